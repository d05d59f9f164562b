"""What the default rules and rules of users say of events, and that the shared evaluation says the same."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chamberlain.matrix.ids import UserID
from chamberlain.matrix.push_rules import (
    Outcome,
    RoomContext,
    Ruleset,
    default_ruleset,
    evaluate,
    evaluate_defaults,
    put_rule,
    set_actions,
    set_enabled,
)
from tests.support.events import make_event

ALICE = UserID("@alice:example.org")
BOB = UserID("@bob:example.org")
GROUP = RoomContext(member_count=3, sender_power=50)
PAIR = RoomContext(member_count=2)
MENTION = {"m.mentions": {"user_ids": [ALICE]}}
AT_ROOM = {"m.mentions": {"room": True}}
EDIT = {"m.relates_to": {"rel_type": "m.replace", "event_id": "$x"}}


@pytest.mark.parametrize(
    ("type", "content", "state_key", "notify", "highlight"),
    [
        ("m.room.message", {"msgtype": "m.text", "body": "x"}, None, True, False),
        ("m.room.message", {"msgtype": "m.text", "body": "alice"}, None, True, False),
        ("m.room.encrypted", {}, None, True, False),
        ("m.call.invite", {}, None, True, False),
        ("m.sticker", {}, None, False, False),
        ("m.room.message", {"msgtype": "m.notice"} | MENTION, None, False, False),
        ("m.room.message", MENTION, None, True, True),
        ("m.room.message", AT_ROOM, None, True, True),
        ("m.room.message", {"m.mentions": {"room": 1, "user_ids": ALICE}}, None, True, False),
        ("m.room.message", {"m.mentions": {"user_ids": [{}, [ALICE], 5]}}, None, True, False),
        ("m.room.message", EDIT, None, False, False),
        ("m.room.message", EDIT | MENTION, None, True, True),
        ("m.room.message", {"m.relates_to": "m.replace"}, None, True, False),
        ("m.reaction", {}, None, False, False),
        ("m.reaction", MENTION, None, True, True),
        ("m.room.tombstone", {}, "", True, True),
        ("m.room.tombstone", {}, None, False, False),
        ("m.room.server_acl", {}, "", False, False),
        ("m.room.member", {"membership": "invite"}, ALICE, True, False),
        ("m.room.member", {"membership": "invite"}, "@other:example.org", False, False),
        ("m.room.member", {"membership": "join"} | MENTION, ALICE, False, False),
        ("m.room.topic", {"topic": "x"}, "", False, False),
    ],
)
def test_the_default_rules(
    type: str, content: dict[str, Any], state_key: str | None, notify: bool, highlight: bool
) -> None:
    """Each default rule, by its own rules and by the shared evaluation."""
    event = make_event(type, content, state_key=state_key)
    outcome = evaluate(default_ruleset(ALICE), event, GROUP)

    assert (outcome.notify, outcome.highlight) == (notify, highlight)
    assert evaluate_defaults(event, GROUP).for_user(ALICE) == (notify, highlight)


def test_mentioning_the_room_takes_power() -> None:
    """Without it the message is an ordinary one."""
    event = make_event(content=AT_ROOM)
    weak = RoomContext(3, sender_power=49)

    assert evaluate(default_ruleset(ALICE), event, weak) == Outcome(True, False, ("notify",))
    assert evaluate_defaults(event, weak).for_user(ALICE) == (True, False)


def test_messages_among_two_make_a_sound() -> None:
    """In larger rooms they notify in silence."""
    sound = ("notify", {"set_tweak": "sound", "value": "default"})
    for type in ("m.room.message", "m.room.encrypted"):
        assert evaluate(default_ruleset(ALICE), make_event(type), PAIR).actions == sound
        assert evaluate(default_ruleset(ALICE), make_event(type), GROUP).actions == ("notify",)


def test_nobody_is_notified_of_their_own_events() -> None:
    """Whatever the rules say."""
    event = make_event(content={"m.mentions": {"user_ids": [BOB], "room": True}}, sender=BOB)

    assert evaluate(default_ruleset(BOB), event, GROUP) == Outcome()
    assert evaluate_defaults(event, GROUP).for_user(BOB) == (False, False)


def _with(kind: str, rule_id: str, actions: list[Any], **body: Any) -> Ruleset:
    return put_rule(default_ruleset(ALICE), kind, rule_id, {"actions": actions, **body})


def test_a_room_can_be_muted_and_a_sender_too() -> None:
    """Their rules are tried before the underrides, so the room or sender falls silent, and no other."""
    for ruleset in (
        _with("room", "!room:example.org", []),
        _with("sender", BOB, ["dont_notify"]),
    ):
        assert evaluate(ruleset, make_event(), GROUP).notify is False
        elsewhere = make_event(room_id="!other:example.org", sender="@carol:example.org")
        assert evaluate(ruleset, elsewhere, GROUP).notify is True
        assert evaluate(ruleset, make_event(content=MENTION), GROUP).highlight is True


def test_the_kinds_are_tried_in_their_order() -> None:
    """Override, content, room, sender, underride: the first one that matches decides."""
    event = make_event(content={"body": "cake"})
    ruleset = default_ruleset(ALICE)
    ids = {"underride": "u", "sender": BOB, "room": "!room:example.org", "content": "c", "override": "o"}
    for kind, rule_id in ids.items():
        body = {"actions": [{"set_tweak": kind}], "pattern": "cake"}
        ruleset = put_rule(ruleset, kind, rule_id, body)

        assert evaluate(ruleset, event, GROUP).actions == ({"set_tweak": kind},)


def test_the_master_rule_silences_everything() -> None:
    """Even what a user's own override would notify of."""
    ruleset = set_enabled(_with("override", "all", ["notify"]), "override", ".m.rule.master", True)

    assert evaluate(ruleset, make_event(content=MENTION), GROUP) == Outcome()


def test_disabled_rules_never_match() -> None:
    """Own ones and default ones alike."""
    ruleset = set_enabled(_with("content", "cake", [], pattern="cake"), "content", "cake", False)
    assert evaluate(ruleset, make_event(content={"body": "cake"}), GROUP).notify

    ruleset = set_enabled(ruleset, "underride", ".m.rule.message", False)
    assert not evaluate(ruleset, make_event(content={"body": "cake"}), GROUP).notify


def test_changed_actions_of_default_rules_count() -> None:
    """Highlights may be switched on and off; without a value a highlight is one."""
    for tweak, expected in (({}, True), ({"value": True}, True), ({"value": False}, False)):
        actions = ["notify", {"set_tweak": "highlight", **tweak}]
        ruleset = set_actions(default_ruleset(ALICE), "underride", ".m.rule.message", actions)

        assert evaluate(ruleset, make_event(), GROUP).highlight is expected


def test_a_highlight_without_a_notification_is_none() -> None:
    """Highlights are counted among the notifications."""
    ruleset = _with("room", "!room:example.org", [{"set_tweak": "highlight"}])

    assert evaluate(ruleset, make_event(), GROUP) == Outcome(False, False, ({"set_tweak": "highlight"},))


_TYPES = [
    "m.room.message", "m.room.encrypted", "m.room.member", "m.room.tombstone", "m.reaction", "m.call.invite",
    "m.room.server_acl", "m.room.topic", "M.Room.Message", "M.ROOM.MEMBER", "x",
]  # fmt: skip
_USERS = [ALICE, BOB, "@carol:example.org", "@ALICE:example.org", "@*:example.org", "@c?rol:example.org"]
_junk = st.sampled_from([None, 0, 1, True, False, "", "x", [], {}, ["m.replace"], [ALICE]])
_mentions = st.fixed_dictionaries(
    {},
    optional={
        "room": st.booleans() | _junk,
        "user_ids": st.lists(st.sampled_from(_USERS) | _junk, max_size=3) | _junk,
    },
)
_contents = st.fixed_dictionaries(
    {},
    optional={
        "msgtype": st.sampled_from(["m.text", "m.notice", "M.Notice"]) | _junk,
        "body": st.sampled_from(["hello", "alice", "@room"]) | _junk,
        "membership": st.sampled_from(["invite", "Invite", "join", "leave"]) | _junk,
        "m.mentions": _mentions | _junk,
        "m.relates_to": st.fixed_dictionaries(
            {}, optional={"rel_type": st.sampled_from(["m.replace", "M.Replace", "m.thread"]) | _junk}
        )
        | _junk,
    },
)
_rooms = st.builds(
    RoomContext,
    st.integers(1, 4),
    st.sampled_from([0, 49, 50, 100, float("inf")]),
    st.sampled_from([{}, {"room": 0}, {"room": 100}]),
    st.sampled_from([None, "Alice"]),
)


@given(
    st.sampled_from(_TYPES),
    _contents,
    st.none() | st.sampled_from(["", *_USERS]),
    st.sampled_from(_USERS),
    st.sampled_from(_USERS),
    _rooms,
)
def test_the_shared_evaluation_equals_the_default_rules(
    type: str, content: dict[str, Any], state_key: str | None, sender: str, user: str, room: RoomContext
) -> None:
    """For every event, room and user without own rules, one look at the event says what all rules say."""
    event = make_event(type, content, sender=sender, state_key=state_key)
    outcome = evaluate(default_ruleset(UserID(user)), event, room)

    assert evaluate_defaults(event, room).for_user(UserID(user)) == (outcome.notify, outcome.highlight)
