"""Filters: what they let through, what is refused, and how events are cut down."""

from typing import Any

import orjson
import pytest

from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MatrixError
from chamberlain.matrix.filters import (
    DEFAULT_FILTER,
    EventFields,
    parse_filter,
    parse_room_event_filter,
)

ALICE = "@alice:example.org"
BOB = "@bob:example.org"
ROOM = "!726s6s6q:example.com"


def test_the_example_of_the_specification_is_understood() -> None:
    """Its parts end up where they belong, and the same filter comes from bytes, text and decoded JSON."""
    body = {
        "room": {
            "state": {"types": ["m.room.*"], "not_rooms": [ROOM], "lazy_load_members": True},
            "timeline": {"limit": 10, "types": ["m.room.message"], "not_senders": ["@spam:example.com"]},
            "include_leave": True,
        },
        "presence": {"types": ["m.presence"], "not_senders": [ALICE]},
        "event_format": "federation",
        "event_fields": ["type", "content", "sender"],
        "org.example.unknown": 5,
    }
    parsed = parse_filter(orjson.dumps(body))

    assert parse_filter(body) == parse_filter(orjson.dumps(body).decode()) == parsed
    assert parsed.room.include_leave
    assert parsed.room.state.lazy_load_members
    assert not parsed.room.state.wants_room(ROOM)
    assert parsed.room.wants_room(ROOM)
    assert parsed.room.timeline.limit_within(20, 100) == 10
    assert parsed.event_format == "federation"
    assert not parsed.presence.matches("m.presence", ALICE)
    assert parsed.presence.matches("m.presence", BOB)


def test_an_empty_filter_lets_everything_through() -> None:
    """It equals the default one, with client format, whole events and the server's limit."""
    parsed = parse_filter(b"{}")

    assert parsed == DEFAULT_FILTER
    assert parsed.fields is None
    assert parsed.room.timeline.is_open
    assert not parsed.room.timeline.is_closed
    assert parsed.room.timeline.limit_within(20, 100) == 20
    assert parsed.room.timeline.wants_event("m.room.message", BOB, False)
    assert parsed.room.wants_room(ROOM)


def test_a_limit_never_exceeds_the_maximum() -> None:
    """Whatever the client asks for."""
    assert parse_room_event_filter(b'{"limit": 100000}').limit_within(20, 100) == 100
    assert parse_room_event_filter(b'{"limit": 0}').limit_within(20, 100) == 0


@pytest.mark.parametrize(
    ("body", "type", "sender", "wanted"),
    [
        ({"types": ["m.room.*"]}, "m.room.message", BOB, True),
        ({"types": ["m.room.*"]}, "m.reaction", BOB, False),
        ({"types": ["m.room.message"]}, "m.room.messages", BOB, False),
        ({"types": ["*.member"]}, "m.room.member", BOB, True),
        ({"types": ["m.?"]}, "m.x", BOB, False),
        ({"types": []}, "m.room.message", BOB, False),
        ({"types": ["m.room.message"], "not_types": ["m.room.*"]}, "m.room.message", BOB, False),
        ({"not_types": ["*"]}, "m.room.message", BOB, False),
        ({"senders": [BOB]}, "m.room.message", BOB, True),
        ({"senders": [BOB]}, "m.room.message", ALICE, False),
        ({"senders": []}, "m.room.message", BOB, False),
        ({"senders": [BOB], "not_senders": [BOB]}, "m.room.message", BOB, False),
        ({"not_senders": [ALICE]}, "m.room.message", BOB, True),
        ({"types": None}, "m.room.message", BOB, True),
        ({"not_types": []}, "m.room.message", BOB, True),
    ],
)
def test_types_and_senders_are_matched(body: dict[str, Any], type: str, sender: str, wanted: bool) -> None:
    """Exclusions win, an empty list wants nothing, only the star is a wildcard."""
    parsed = parse_room_event_filter(body)

    assert parsed.matches(type, sender) is wanted
    assert not (parsed.is_open and not wanted)
    assert not (parsed.is_closed and wanted)


def test_closed_filters_are_known_as_such() -> None:
    """So that nothing is read for a client that wants nothing."""
    for body in ({"types": []}, {"senders": []}, {"not_types": ["*"]}):
        assert parse_room_event_filter(body).is_closed


def test_events_can_be_wanted_by_their_url() -> None:
    """True: only with one; false: only without; absent: both."""
    with_url = parse_room_event_filter({"contains_url": True})
    without = parse_room_event_filter({"contains_url": False})

    assert with_url.wants_event("m.room.message", BOB, True)
    assert not with_url.wants_event("m.room.message", BOB, False)
    assert not without.wants_event("m.room.message", BOB, True)
    assert without.wants_event("m.room.message", BOB, False)


def test_rooms_are_matched() -> None:
    """In the room filter and in the event filters alike, room ids of version 12 too."""
    parsed = parse_filter({"room": {"rooms": ["!a:b", "!hash"], "not_rooms": ["!a:b"]}})

    assert parsed.room.wants_room("!hash")
    assert not parsed.room.wants_room("!a:b")
    assert not parsed.room.wants_room("!c:d")


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (b"", ErrCode.NOT_JSON),
        (b"{", ErrCode.NOT_JSON),
        (b"\xff", ErrCode.NOT_JSON),
        (b"[]", ErrCode.BAD_JSON),
        (b'{"a":' * 10_000, ErrCode.NOT_JSON),
        (b'{"a":"' + b"a" * 70_000 + b'"}', ErrCode.TOO_LARGE),
        ({"presence": "x"}, ErrCode.BAD_JSON),
        ({"room": []}, ErrCode.BAD_JSON),
        ({"room": {"timeline": 1}}, ErrCode.BAD_JSON),
        ({"room": {"timeline": {"types": "m.room.message"}}}, ErrCode.BAD_JSON),
        ({"room": {"timeline": {"types": [0]}}}, ErrCode.BAD_JSON),
        ({"room": {"timeline": {"limit": "10"}}}, ErrCode.BAD_JSON),
        ({"room": {"timeline": {"limit": True}}}, ErrCode.BAD_JSON),
        ({"room": {"timeline": {"limit": -1}}}, ErrCode.INVALID_PARAM),
        ({"room": {"timeline": {"senders": ["bob"]}}}, ErrCode.INVALID_PARAM),
        ({"presence": {"not_senders": ["bob"]}}, ErrCode.INVALID_PARAM),
        ({"room": {"rooms": ["room"]}}, ErrCode.INVALID_PARAM),
        ({"room": {"ephemeral": {"not_rooms": ["#a:b"]}}}, ErrCode.INVALID_PARAM),
        ({"room": {"state": {"lazy_load_members": "yes"}}}, ErrCode.BAD_JSON),
        ({"event_format": "xml"}, ErrCode.BAD_JSON),
        ({"event_fields": "type"}, ErrCode.BAD_JSON),
    ],
)
def test_bad_filters_are_refused(source: bytes | dict[str, Any], code: ErrCode) -> None:
    """Each with an errcode, none with a crash."""
    with pytest.raises(MatrixError) as refused:
        parse_filter(source)

    assert refused.value.code is code
    assert 400 <= refused.value.status < 500


def test_events_are_cut_down_to_the_wanted_fields() -> None:
    """Paths reach into objects, escapes into names with dots; what an event lacks is not made up."""
    event = {
        "type": "m.room.message",
        "sender": BOB,
        "content": {"body": "x", "m.relates_to": {"rel_type": "m.thread", "event_id": "$a"}, "n": {"b": 1}},
        "unsigned": {"age": 5},
    }
    fields = EventFields(
        ["type", "content.body", r"content.m\.relates_to.event_id", "content.n.b.c", "nope.x"]
    )

    assert fields.select(event) == {
        "type": "m.room.message",
        "content": {"body": "x", "m.relates_to": {"event_id": "$a"}},
    }
    assert event["content"] != {"body": "x"}
    assert EventFields([]).select(event) == {}


def test_overlapping_fields_leave_the_event_alone() -> None:
    """Asking for an object and then for a part of it changes neither the answer nor the event."""
    event: dict[str, Any] = {"content": {"a": 1, "b": {"c": 2}}}

    for wanted in (["content", "content.b.c"], ["content.b.c", "content"]):
        assert EventFields(wanted).select(event) == event
    assert event == {"content": {"a": 1, "b": {"c": 2}}}
