"""Policy servers of rooms, and their signatures."""

from typing import Any

import pytest

from chamberlain.matrix.event_signatures import SignedForm
from chamberlain.matrix.events import Event, sign
from chamberlain.matrix.policy import (
    KEY_ID,
    PolicyServer,
    add_signature,
    has_signed,
    needs_signature,
    parse_policy,
)
from chamberlain.matrix.signing import SigningKey, verify_json
from tests.support.event_room import ALICE, KEY, Room

POLICY = SigningKey(bytes(range(1, 33)), "policy_server")
OTHER = SigningKey(bytes(range(2, 34)), "policy_server")
PUBLIC = POLICY.verify_key().to_base64()
CONTENT = {"via": "policy.example", "public_keys": {"ed25519": PUBLIC}}
SERVER = PolicyServer("policy.example", POLICY.verify_key())


def signature_of(event: Event, key: SigningKey = POLICY) -> str:
    """What the policy server gives."""
    return key.sign(SignedForm(event).message)


def test_the_policy_server_that_a_room_names() -> None:
    """By name and key; further keys do not matter."""
    found = parse_policy(CONTENT | {"public_keys": {"ed25519": PUBLIC, "dilithium": "x"}})

    assert found is not None
    assert (found.name, found.key.to_base64(), found.key.key_id) == ("policy.example", PUBLIC, KEY_ID)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"via": "policy.example"},
        {"public_keys": {"ed25519": PUBLIC}},
        CONTENT | {"via": 1},
        CONTENT | {"via": "not a server"},
        CONTENT | {"public_keys": []},
        CONTENT | {"public_keys": {}},
        CONTENT | {"public_keys": {"ed25519": 1}},
        CONTENT | {"public_keys": {"ed25519": "short"}},
        CONTENT | {"public_keys": {"ed25519": "not base64!"}},
    ],
)
def test_rooms_without_a_policy_server(content: dict[str, Any]) -> None:
    """Whatever lacks a name or a key names none."""
    assert parse_policy(content) is None


def test_events_that_a_policy_server_has_a_say_over() -> None:
    """All but the one that names it."""
    room = Room()
    for kind, state_key, expected in (
        ("m.room.message", None, True),
        ("m.room.name", "", True),
        ("m.room.policy", None, True),
        ("m.room.policy", "x", True),
        ("m.room.policy", "", False),
    ):
        assert needs_signature(room.build(kind, ALICE, CONTENT, state_key)) is expected


@pytest.mark.parametrize("version", ["1", "3", "6", "11", "12"])
def test_a_signature_is_added_and_verified(version: str) -> None:
    """The id stays, and so do the signatures that are there, also one of the same server."""
    event = Room(version).build("m.room.message", ALICE, {"body": "hello"})
    own = PolicyServer("a.example", POLICY.verify_key())
    for server in (SERVER, own):
        assert not has_signed(event, server)
        signed = add_signature(event, server, {server.name: {KEY_ID: signature_of(event)}})

        assert signed is not None and has_signed(signed, server)
        assert signed.event_id == event.event_id
        form = SignedForm(signed)
        assert (
            form.signatures_of("a.example")[KEY.key_id]
            == SignedForm(event).signatures_of("a.example")[KEY.key_id]
        )
        assert Event.parse(signed.pdu, signed.version).event_id == event.event_id
    wrong = sign(event, "policy.example", OTHER)
    assert not has_signed(wrong, SERVER)
    mended = add_signature(wrong, SERVER, {"policy.example": {KEY_ID: signature_of(event)}})
    assert mended is not None and has_signed(mended, SERVER)


def test_answers_without_a_good_signature() -> None:
    """Of another shape, another server, another key or another event."""
    room = Room()
    event = room.build("m.room.message", ALICE, {"body": "hello"})
    other = room.build("m.room.message", ALICE, {"body": "other"})
    good = signature_of(event)
    for answer in (
        None,
        [],
        {},
        {"policy.example": good},
        {"policy.example": {KEY_ID: 1}},
        {"policy.example": {KEY_ID: "x"}},
        {"policy.example": {"ed25519:other": good}},
        {"other.example": {KEY_ID: good}},
        {"policy.example": {KEY_ID: signature_of(event, OTHER)}},
        {"policy.example": {KEY_ID: signature_of(other)}},
    ):
        assert add_signature(event, SERVER, answer) is None
    assert not verify_json({}, "policy.example", SERVER.key)
