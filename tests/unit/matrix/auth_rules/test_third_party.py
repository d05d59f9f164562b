"""Authorization of invites that come of a third-party identifier."""

from typing import Any

import pytest

from chamberlain.matrix.auth_rules import ALLOW, Reject
from chamberlain.matrix.signing import SigningKey, sign_json
from chamberlain.matrix.types import JsonObject
from chamberlain.matrix.versions import ROOM_VERSIONS
from tests.support.event_room import ALICE, BOB, CAROL, Room

IDENTITY = SigningKey(b"\x05" * 32, "0")
OTHER = SigningKey(b"\x06" * 32, "0")
PUBLIC = IDENTITY.verify_key().to_base64()
SIGNED = sign_json({"mxid": BOB, "token": "abc"}, "id.example", IDENTITY)


def _room(version: str = "11", **content: Any) -> Room:
    room = Room(version)
    keys = content or {"public_key": PUBLIC}
    room.send("m.room.third_party_invite", ALICE, {"display_name": "b…", **keys}, "abc")
    return room


def _invite(room: Room, signed: Any, sender: str = ALICE) -> bool:
    return room.member(BOB, "invite", sender, third_party_invite={"signed": signed}).allowed


@pytest.mark.parametrize("version", list(ROOM_VERSIONS))
def test_the_invited_address_becomes_a_member(version: str) -> None:
    """Signed by the key that the room knows, and made by who made the first invite."""
    room = _room(version)

    assert _invite(room, SIGNED)
    assert not _invite(room, SIGNED, BOB)
    room.set_member(BOB, "ban", ALICE)
    assert not _invite(room, SIGNED)


@pytest.mark.parametrize(
    "keys",
    [
        {"public_keys": [{"public_key": PUBLIC}]},
        {"public_key": OTHER.verify_key().to_base64(), "public_keys": [{"public_key": PUBLIC}]},
        {"public_key": "garbage", "public_keys": [5, {}, {"public_key": 5}, {"public_key": PUBLIC}]},
        {"public_key": PUBLIC.replace("+", "-").replace("/", "_"), "public_keys": "x"},
    ],
)
def test_any_of_the_keys_will_do(keys: JsonObject) -> None:
    """The single one or one of the list; broken ones are passed over."""
    assert _invite(_room(**keys), SIGNED)


@pytest.mark.parametrize(
    "keys", [{"public_key": OTHER.verify_key().to_base64()}, {"public_keys": []}, {"public_key": 5}]
)
def test_no_other_key_will_do(keys: JsonObject) -> None:
    """Nor none at all."""
    assert not _invite(_room(**keys), SIGNED)


@pytest.mark.parametrize(
    "signed",
    [
        None,
        5,
        {},
        {"mxid": BOB, "token": "abc"},
        SIGNED | {"token": "other"},
        SIGNED | {"token": 5},
        SIGNED | {"mxid": 5},
        SIGNED | {"mxid": CAROL},
        SIGNED | {"extra": 1},
        SIGNED | {"signatures": 5},
        SIGNED | {"signatures": {"id.example": 5}},
        SIGNED | {"signatures": {"id.example": {"ed25519:0": 5}}},
        SIGNED | {"signatures": {"id.example": {"ed25519:0": "AAAA"}}},
        SIGNED | {"signatures": {"id.example": {"rsa:0": SIGNED["signatures"]["id.example"]["ed25519:0"]}}},
        sign_json({"mxid": CAROL, "token": "abc"}, "id.example", IDENTITY),
    ],
    ids=str,
)
def test_anything_else_is_rejected(signed: Any) -> None:
    """Another token, another user, another signature, or no signature."""
    assert not _invite(_room(), signed)


def test_a_float_in_an_old_room_is_not_signed() -> None:
    """Room versions 1 to 5 let it into the event, but canonical JSON has no spelling for it."""
    assert not _invite(_room("5"), SIGNED | {"extra": 1.5})


@pytest.mark.parametrize("invite", [None, 5, {}, []])
def test_a_broken_third_party_invite_is_rejected(invite: Any) -> None:
    """It does not fall back to a plain invite."""
    assert isinstance(_room().member(BOB, "invite", ALICE, third_party_invite=invite), Reject)
    assert Room().member(BOB, "invite", ALICE) is ALLOW


def test_inviting_an_address_takes_the_invite_level() -> None:
    """And that alone, whatever level state events need."""
    room = Room("11")
    room.set_member(BOB, "join")
    room.set_power_levels(users={ALICE: 100, BOB: 10}, invite=10)

    assert room.verdict("m.room.third_party_invite", BOB, {}, "t") is ALLOW
    room.set_power_levels(users={ALICE: 100, BOB: 9}, invite=10)
    assert isinstance(room.verdict("m.room.third_party_invite", BOB, {}, "t"), Reject)
    assert isinstance(room.verdict("m.room.third_party_invite", CAROL, {}, "t"), Reject)
