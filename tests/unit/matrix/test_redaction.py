"""Redaction: what stays of each kind of event in each room version."""

from typing import Any

import pytest

from chamberlain.matrix.redaction import redact_json
from chamberlain.matrix.types import JsonObject
from chamberlain.matrix.versions import ROOM_VERSIONS, RoomVersion

VERSIONS = list(ROOM_VERSIONS.values())
ALWAYS = [
    "event_id",
    "type",
    "room_id",
    "sender",
    "state_key",
    "content",
    "hashes",
    "signatures",
    "depth",
    "prev_events",
    "auth_events",
    "origin_server_ts",
]


def _content_after(version: RoomVersion, event_type: str, content: Any) -> JsonObject:
    return dict(redact_json({"type": event_type, "content": content}, version)["content"])


def _since(number: int, version: RoomVersion) -> bool:
    return int(version.id) >= number


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v.id)
def test_the_top_level(version: RoomVersion) -> None:
    """`origin`, `membership` and `prev_state` stayed until version 10; `unsigned` and the rest never do."""
    old = ["origin", "membership", "prev_state"]
    pdu: JsonObject = dict.fromkeys([*ALWAYS, *old, "unsigned", "redacts", "extra"], "x") | {
        "content": {"a": 1}
    }

    kept = redact_json(pdu, version)

    assert sorted(kept) == sorted(ALWAYS if _since(11, version) else [*ALWAYS, *old])
    assert kept["content"] == {}


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v.id)
def test_memberships(version: RoomVersion) -> None:
    """Who vouched stays since 9, the signed part of a third-party invite since 11."""
    content = {
        "membership": "join",
        "displayname": "Alice",
        "join_authorised_via_users_server": "@b:c",
        "third_party_invite": {"display_name": "a@b", "signed": {"token": "t"}},
    }
    expected: JsonObject = {"membership": "join"}
    if _since(9, version):
        expected["join_authorised_via_users_server"] = "@b:c"
    if _since(11, version):
        expected["third_party_invite"] = {"signed": {"token": "t"}}

    assert _content_after(version, "m.room.member", content) == expected
    assert _content_after(version, "m.room.member", {"third_party_invite": 5}) == {}
    assert _content_after(version, "m.room.member", {"third_party_invite": {"display_name": "x"}}) == {}


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v.id)
def test_create_events(version: RoomVersion) -> None:
    """Only the creator stayed until version 10, everything since."""
    content = {"creator": "@a:b", "room_version": version.id, "m.federate": False}

    assert _content_after(version, "m.room.create", content) == (
        content if _since(11, version) else {"creator": "@a:b"}
    )


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v.id)
def test_join_rules(version: RoomVersion) -> None:
    """The rooms that let in stay since version 8."""
    content = {"join_rule": "restricted", "allow": [1], "extra": 1}

    assert set(_content_after(version, "m.room.join_rules", content)) == (
        {"join_rule", "allow"} if _since(8, version) else {"join_rule"}
    )


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v.id)
def test_power_levels(version: RoomVersion) -> None:
    """The invite level stays since version 11; notification levels never."""
    kept = {"ban", "events", "events_default", "kick", "redact", "state_default", "users", "users_default"}
    content = dict.fromkeys([*kept, "invite", "notifications", "extra"], 1)

    assert set(_content_after(version, "m.room.power_levels", content)) == (
        kept | {"invite"} if _since(11, version) else kept
    )


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v.id)
def test_aliases_visibility_redactions_and_messages(version: RoomVersion) -> None:
    """Aliases stayed until 5, what a redaction redacts since 11, nothing of a message."""
    assert _content_after(version, "m.room.aliases", {"aliases": [], "x": 1}) == (
        {} if _since(6, version) else {"aliases": []}
    )
    assert _content_after(version, "m.room.history_visibility", {"history_visibility": "shared", "x": 1}) == {
        "history_visibility": "shared"
    }
    assert _content_after(version, "m.room.redaction", {"redacts": "$a", "reason": "spam"}) == (
        {"redacts": "$a"} if _since(11, version) else {}
    )
    assert _content_after(version, "m.room.message", {"body": "x", "membership": "y"}) == {}
    assert _content_after(version, "m.room.third_party_invite", {"public_key": "x"}) == {}


@pytest.mark.parametrize(
    "pdu", [{}, {"type": 5, "content": {"a": 1}}, {"type": "m.room.create", "content": "x"}]
)
def test_what_is_no_event_loses_its_content(pdu: JsonObject) -> None:
    """Redaction never raises, for signatures are checked before the format may be trusted."""
    for version in VERSIONS:
        assert redact_json(pdu, version)["content"] == {}


def test_redacting_twice_is_redacting_once() -> None:
    """And the original stays what it was."""
    pdu = {"type": "m.room.member", "content": {"membership": "join", "displayname": "A"}, "unsigned": {}}
    before = {"type": "m.room.member", "content": {"membership": "join", "displayname": "A"}, "unsigned": {}}
    for version in VERSIONS:
        once = redact_json(pdu, version)

        assert redact_json(once, version) == once
        assert pdu == before
