"""The conditions of push rules, one by one."""

from typing import Any

import pytest

from chamberlain.matrix.ids import UserID
from chamberlain.matrix.push_rules import RoomContext, default_ruleset, evaluate, put_rule
from tests.support.events import make_event

ALICE = UserID("@alice:example.org")
ROOM = RoomContext(
    member_count=3, sender_power=40, notification_levels={"room": 50, "low": 10}, display_name="Alice Q"
)


def _holds(
    condition: dict[str, Any], content: dict[str, Any], room: RoomContext = ROOM, **fields: Any
) -> bool:
    """Whether an override rule with this one condition notifies alice of the event."""
    body = {"conditions": [condition], "actions": ["notify", {"set_tweak": "mark"}]}
    ruleset = put_rule(default_ruleset(ALICE), "override", "mine", body)
    outcome = evaluate(ruleset, make_event(fields.pop("type", "x"), content, **fields), room)
    return {"set_tweak": "mark"} in outcome.actions


@pytest.mark.parametrize(
    ("key", "pattern", "content", "expected"),
    [
        ("content.topic", "lunc?*", {"topic": "Lunch plans"}, True),
        ("content.topic", "lunc?*", {"topic": "LUNCH"}, True),
        ("content.topic", "lunc?*", {"topic": " lunch"}, False),
        ("content.topic", "lunc?*", {"topic": "lunc"}, False),
        ("content.topic", "*", {"topic": None}, False),
        ("content.topic", "*", {"topic": 5}, False),
        ("content.topic", "*", {}, False),
        ("content.body", "ex*ple", {"body": "An exciting triple-whammy"}, True),
        ("content.body", "CAKE", {"body": "more cake!"}, True),
        ("content.body", "cake", {"body": "cakes"}, False),
        (r"content.m\.x.y", "z", {"m.x": {"y": "Z"}}, True),
        ("content.m.x.y", "z", {"m.x": {"y": "Z"}}, False),
        ("content.a.b", "z", {"a": ["z"]}, False),
        ("content", "*", {}, False),
        ("type", "X", {}, True),
        ("sender", "@bob:*", {}, True),
        ("room_id", "!room:example.org", {}, True),
        ("state_key", "*", {}, False),
        ("pdu", "*", {}, False),
        ("type.x", "*", {}, False),
        ("content.topic", "a[b]", {"topic": "ab"}, False),
        ("content.topic", "a*c", {"topic": "a\nc"}, True),
    ],
)
def test_event_match(key: str, pattern: str, content: dict[str, Any], expected: bool) -> None:
    """Whole values in any case, words of the body, strings only, properties that exist only."""
    assert _holds({"kind": "event_match", "key": key, "pattern": pattern}, content) is expected


def test_event_match_sees_the_state_key_of_state_events() -> None:
    """An empty state key is there, an absent one is not."""
    condition = {"kind": "event_match", "key": "state_key", "pattern": ""}

    assert _holds(condition, {}, state_key="")
    assert not _holds(condition, {})


@pytest.mark.parametrize(
    ("value", "actual", "expected"),
    [
        (True, True, True),
        (True, "true", False),
        (True, 1, False),
        (1, True, False),
        (1, 1, True),
        (0, False, False),
        (None, None, True),
        ("a", "A", False),
        ("a", "a", True),
        ("a", ["a"], False),
    ],
)
def test_event_property_is(value: object, actual: object, expected: bool) -> None:
    """Values are compared exactly, without casts."""
    condition = {"kind": "event_property_is", "key": r"content.m\.federate", "value": value}

    assert _holds(condition, {"m.federate": actual}) is expected
    assert not _holds(condition, {})


@pytest.mark.parametrize(
    ("value", "actual", "expected"),
    [
        ("#myroom:example.com", ["#other:x", "#myroom:example.com"], True),
        (":example.com", ["#myroom:example.com"], False),
        (1, [True, "1", [1]], False),
        (None, [None], True),
        ("a", "a", False),
        ("a", {"a": "a"}, False),
    ],
)
def test_event_property_contains(value: object, actual: object, expected: bool) -> None:
    """An array holds exactly this value."""
    condition = {"kind": "event_property_contains", "key": "content.list", "value": value}

    assert _holds(condition, {"list": actual}) is expected
    assert not _holds(condition, {})


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [("3", True), ("==3", True), ("2", False), ("<3", False), ("<=3", True), (">2", True), (">=4", False)],
)
def test_room_member_count(wanted: str, expected: bool) -> None:
    """Compared as the prefix says, equality without one."""
    assert _holds({"kind": "room_member_count", "is": wanted}, {}) is expected


@pytest.mark.parametrize(("key", "expected"), [("room", False), ("low", True), ("unset", False)])
def test_sender_notification_permission(key: str, expected: bool) -> None:
    """The sender needs the level of the notifications of this kind, 50 where none is set."""
    assert _holds({"kind": "sender_notification_permission", "key": key}, {}) is expected


def test_a_creator_has_power_for_every_notification() -> None:
    """Since room version 12 creators have no finite level."""
    room = RoomContext(3, sender_power=float("inf"), notification_levels={"room": 2**53})

    assert _holds({"kind": "sender_notification_permission", "key": "room"}, {}, room)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("hi alice q!", True),
        ("Alice Q", True),
        ("alice qq", False),
        ("alice", False),
        (5, False),
        (None, False),
    ],
)
def test_contains_display_name(body: object, expected: bool) -> None:
    """The name in the room occurs as words of the body, in any case."""
    assert _holds({"kind": "contains_display_name"}, {"body": body}) is expected


def test_wildcards_in_a_display_name_are_text() -> None:
    """A user named `*` is not mentioned by every message, one without a name by none."""
    condition = {"kind": "contains_display_name"}

    assert not _holds(condition, {"body": "hello"}, RoomContext(3, display_name="h*"))
    assert _holds(condition, {"body": "hi h* there"}, RoomContext(3, display_name="h*"))
    assert not _holds(condition, {"body": "hello"}, RoomContext(3))


def test_an_unknown_condition_never_holds() -> None:
    """A rule with one is kept, but as good as disabled."""
    assert not _holds({"kind": "device", "profile_tag": "x"}, {})
