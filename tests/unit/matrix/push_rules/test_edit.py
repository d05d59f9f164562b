"""What users change in their push rules, what is refused, and what they then see."""

from typing import Any

import pytest

from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MatrixError
from chamberlain.matrix.ids import UserID
from chamberlain.matrix.push_rules import (
    Ruleset,
    decode_ruleset,
    default_ruleset,
    delete_rule,
    encode_ruleset,
    get_rule,
    has_own_rules,
    put_rule,
    rule_to_json,
    ruleset_to_json,
    set_actions,
    set_enabled,
)

ALICE = UserID("@alice:example.org")
DEFAULTS = default_ruleset(ALICE)
NOTIFY: dict[str, Any] = {"actions": ["notify"]}
CAKE: dict[str, Any] = {"actions": ["notify"], "pattern": "cake*lie"}
OVERRIDES = [
    ".m.rule.master", ".m.rule.suppress_notices", ".m.rule.invite_for_me", ".m.rule.member_event",
    ".m.rule.is_user_mention", ".m.rule.is_room_mention", ".m.rule.tombstone", ".m.rule.reaction",
    ".m.rule.room.server_acl", ".m.rule.suppress_edits",
]  # fmt: skip
UNDERRIDES = [
    ".m.rule.call", ".m.rule.encrypted_room_one_to_one", ".m.rule.room_one_to_one", ".m.rule.message",
    ".m.rule.encrypted",
]  # fmt: skip


def _ids(ruleset: Ruleset, kind: str) -> list[str]:
    return [rule["rule_id"] for rule in ruleset_to_json(ruleset)["global"][kind]]


def _own(*rule_ids: str) -> Ruleset:
    """A ruleset with these content rules, the first one weighing most."""
    ruleset = DEFAULTS
    for rule_id in reversed(rule_ids):
        ruleset = put_rule(ruleset, "content", rule_id, CAKE)
    return ruleset


def test_the_defaults_are_those_of_the_specification() -> None:
    """Their ids, order and whether they are enabled, and the body of GET /pushrules/ as a whole."""
    body = ruleset_to_json(DEFAULTS)["global"]

    assert list(body) == ["override", "content", "room", "sender", "underride"]
    assert _ids(DEFAULTS, "override") == OVERRIDES
    assert _ids(DEFAULTS, "underride") == UNDERRIDES
    assert body["content"] == body["room"] == body["sender"] == []
    for rule in body["override"] + body["underride"]:
        assert rule["default"] is True
        assert rule["enabled"] is (rule["rule_id"] != ".m.rule.master")


def test_default_rules_name_the_user() -> None:
    """The rules about mentions and invites hold the user's own id."""
    assert rule_to_json(get_rule(DEFAULTS, "override", ".m.rule.is_user_mention")) == {
        "rule_id": ".m.rule.is_user_mention",
        "default": True,
        "enabled": True,
        "conditions": [
            {"kind": "event_property_contains", "key": "content.m\\.mentions.user_ids", "value": ALICE}
        ],
        "actions": ["notify", {"set_tweak": "sound", "value": "default"}, {"set_tweak": "highlight"}],
    }
    assert {"kind": "event_match", "key": "state_key", "pattern": ALICE} in rule_to_json(
        get_rule(DEFAULTS, "override", ".m.rule.invite_for_me")
    )["conditions"]


def test_own_overrides_stand_between_the_master_rule_and_the_defaults() -> None:
    """So that only the master rule weighs more."""
    ruleset = put_rule(DEFAULTS, "override", "mine", NOTIFY)

    assert _ids(ruleset, "override") == [OVERRIDES[0], "mine", *OVERRIDES[1:]]
    assert _ids(put_rule(DEFAULTS, "underride", "mine", NOTIFY), "underride") == ["mine", *UNDERRIDES]


def test_a_put_rule_is_seen_as_it_was_put() -> None:
    """Each kind shows its own fields: conditions, a pattern, or neither."""
    condition = {"kind": "org.example.unknown", "x": [1]}
    ruleset = put_rule(DEFAULTS, "override", "a", {"actions": [], "conditions": [condition]})
    ruleset = put_rule(ruleset, "content", "nocake", {"actions": [], "pattern": "cake*lie"})
    ruleset = put_rule(ruleset, "room", "!r:x", {"actions": ["notify", {"set_tweak": "sound", "value": "b"}]})
    base = {"default": False, "enabled": True}

    assert rule_to_json(get_rule(ruleset, "override", "a")) == base | {
        "rule_id": "a", "actions": [], "conditions": [condition],
    }  # fmt: skip
    assert rule_to_json(get_rule(ruleset, "content", "nocake")) == base | {
        "rule_id": "nocake", "actions": [], "pattern": "cake*lie",
    }  # fmt: skip
    assert rule_to_json(get_rule(ruleset, "room", "!r:x")) == base | {
        "rule_id": "!r:x", "actions": ["notify", {"set_tweak": "sound", "value": "b"}],
    }  # fmt: skip


def test_new_rules_weigh_most_or_stand_where_they_are_put() -> None:
    """Without a place first; `before` just above another, `after` just below, `before` winning over both."""
    ruleset = _own("a", "b")

    assert _ids(ruleset, "content") == ["a", "b"]
    assert _ids(put_rule(ruleset, "content", "n", CAKE, before="b"), "content") == ["a", "n", "b"]
    assert _ids(put_rule(ruleset, "content", "n", CAKE, after="b"), "content") == ["a", "b", "n"]
    assert _ids(put_rule(ruleset, "content", "n", CAKE, before="a", after="b"), "content") == ["n", "a", "b"]


def test_putting_a_rule_again_changes_it_in_its_place() -> None:
    """A disabled rule stays disabled, and moves only if it is told to."""
    ruleset = set_enabled(_own("a", "b", "c"), "content", "b", False)
    changed = put_rule(ruleset, "content", "b", {"actions": [], "pattern": "tea"})

    assert _ids(changed, "content") == ["a", "b", "c"]
    assert rule_to_json(get_rule(changed, "content", "b")) == {
        "rule_id": "b", "default": False, "enabled": False, "actions": [], "pattern": "tea",
    }  # fmt: skip
    assert put_rule(changed, "content", "b", {"actions": [], "pattern": "tea"}) == changed
    assert _ids(put_rule(changed, "content", "b", CAKE, after="c"), "content") == ["a", "c", "b"]
    assert _ids(put_rule(changed, "content", "c", CAKE, before="a"), "content") == ["c", "a", "b"]


@pytest.mark.parametrize(
    "place", [{"before": "x"}, {"after": "x"}, {"before": ".m.rule.message"}, {"after": "n"}]
)
def test_a_place_next_to_no_own_rule_is_refused(place: dict[str, str]) -> None:
    """The neighbor must be another rule of the user, of the same kind."""
    with pytest.raises(MatrixError) as refused:
        put_rule(_own("a"), "content", "n", CAKE, **place)

    assert (refused.value.code, refused.value.status) == (ErrCode.UNKNOWN, 400)


@pytest.mark.parametrize("rule_id", ["", ".m.rule.master", ".x", "a/b", "a\\b", "x" * 256])
def test_bad_rule_ids_are_refused(rule_id: str) -> None:
    """Empty, reserved, with slashes, too long."""
    with pytest.raises(MatrixError) as refused:
        put_rule(DEFAULTS, "content", rule_id, CAKE)

    assert refused.value.code is ErrCode.INVALID_PARAM


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("nope", NOTIFY),
        ("content", {}),
        ("content", {"actions": ["notify"]}),
        ("content", {"actions": ["notify"], "pattern": 5}),
        ("content", {"actions": ["notify"], "pattern": "x" * 256}),
        ("content", {"actions": "notify", "pattern": "x"}),
        ("room", {"actions": None}),
        ("room", {"actions": [5]}),
        ("room", {"actions": [["notify"]]}),
        ("room", {"actions": ["shout"]}),
        ("room", {"actions": [{"set_sound": "x"}]}),
        ("room", {"actions": [{"set_tweak": 5}]}),
        ("room", {"actions": ["notify"] * 21}),
        ("override", {"actions": [], "conditions": {}}),
        ("override", {"actions": [], "conditions": ["x"]}),
        ("override", {"actions": [], "conditions": [{}]}),
        ("override", {"actions": [], "conditions": [{"kind": ["event_match"]}]}),
        ("override", {"actions": [], "conditions": [{"kind": "event_match", "key": "type"}]}),
        (
            "override",
            {"actions": [], "conditions": [{"kind": "event_match", "key": "a", "pattern": "*" * 256}]},
        ),
        ("override", {"actions": [], "conditions": [{"kind": "event_property_is", "key": "a"}]}),
        ("override", {"actions": [], "conditions": [{"kind": "event_property_is", "key": "a", "value": []}]}),
        ("override", {"actions": [], "conditions": [{"kind": "event_property_contains", "value": 1}]}),
        ("override", {"actions": [], "conditions": [{"kind": "room_member_count", "is": "many"}]}),
        ("override", {"actions": [], "conditions": [{"kind": "room_member_count", "is": "=2"}]}),
        ("override", {"actions": [], "conditions": [{"kind": "room_member_count", "is": "9" * 9999}]}),
        ("override", {"actions": [], "conditions": [{"kind": "sender_notification_permission"}]}),
        ("override", {"actions": [], "conditions": [{"kind": "contains_display_name"}] * 21}),
    ],
)
def test_bad_rules_are_refused(kind: str, body: dict[str, Any]) -> None:
    """Each with 400 and an errcode."""
    with pytest.raises(MatrixError) as refused:
        put_rule(DEFAULTS, kind, "mine", body)

    assert refused.value.code in (ErrCode.INVALID_PARAM, ErrCode.MISSING_PARAM)
    assert refused.value.status == 400


def test_the_number_of_own_rules_is_bounded() -> None:
    """Beyond the bound a new rule is refused, a changed one is not."""
    ruleset = _own(*(f"r{number}" for number in range(500)))

    with pytest.raises(MatrixError):
        put_rule(ruleset, "content", "one-more", CAKE)
    assert len(_ids(put_rule(ruleset, "content", "r7", CAKE), "content")) == 500


def test_historical_actions_mean_nothing() -> None:
    """`dont_notify` and `coalesce` are read back as they were sent, and have no effect."""
    ruleset = put_rule(DEFAULTS, "room", "!r:x", {"actions": ["dont_notify", "coalesce", "notify"]})

    rule = get_rule(ruleset, "room", "!r:x")
    assert rule.actions == ("dont_notify", "coalesce", "notify")
    assert rule.outcome.notify and rule.outcome.actions == ("notify",)


def test_deleted_rules_are_gone() -> None:
    """Deleting twice is not found, and after the last one nothing is left of them."""
    ruleset = delete_rule(_own("a"), "content", "a")

    assert ruleset == DEFAULTS
    with pytest.raises(MatrixError) as refused:
        delete_rule(ruleset, "content", "a")
    assert refused.value.code is ErrCode.NOT_FOUND


def test_default_rules_cannot_be_deleted() -> None:
    """They can only be disabled."""
    with pytest.raises(MatrixError) as refused:
        delete_rule(DEFAULTS, "override", ".m.rule.master")

    assert refused.value.code is ErrCode.INVALID_PARAM


@pytest.mark.parametrize(("kind", "code"), [("content", ErrCode.NOT_FOUND), ("nope", ErrCode.INVALID_PARAM)])
def test_unknown_rules_cannot_be_touched(kind: str, code: ErrCode) -> None:
    """Neither read nor changed nor deleted; a default rule of another kind is unknown too."""
    for attempt in (
        lambda: get_rule(DEFAULTS, kind, ".m.rule.master"),
        lambda: set_enabled(DEFAULTS, kind, "x", True),
        lambda: set_actions(DEFAULTS, kind, "x", []),
        lambda: delete_rule(DEFAULTS, kind, "x"),
    ):
        with pytest.raises(MatrixError) as refused:
            attempt()
        assert refused.value.code is code


def test_default_rules_can_be_changed_and_changed_back() -> None:
    """What is as the server has it is not remembered as a change."""
    changed = set_enabled(DEFAULTS, "override", ".m.rule.master", True)
    changed = set_actions(changed, "underride", ".m.rule.message", [])
    changed = set_enabled(changed, "underride", ".m.rule.message", False)

    assert has_own_rules(changed)
    assert get_rule(changed, "override", ".m.rule.master").enabled
    message = get_rule(changed, "underride", ".m.rule.message")
    assert (message.enabled, message.actions, message.default) == (False, (), True)

    back = set_enabled(changed, "override", ".m.rule.master", False)
    back = set_actions(back, "underride", ".m.rule.message", ["notify"])
    back = set_enabled(back, "underride", ".m.rule.message", True)
    assert back == DEFAULTS
    assert not has_own_rules(back)


@pytest.mark.parametrize("enabled", [None, 1, "true", []])
def test_enabled_is_a_boolean(enabled: object) -> None:
    """Nothing else is taken for one."""
    with pytest.raises(MatrixError) as refused:
        set_enabled(DEFAULTS, "override", ".m.rule.master", enabled)

    assert refused.value.code is ErrCode.INVALID_PARAM


def test_own_rules_can_be_disabled_and_given_other_actions() -> None:
    """In their place, and the other rules stay as they are."""
    ruleset = set_enabled(_own("a", "b"), "content", "a", False)
    ruleset = set_actions(ruleset, "content", "a", [])

    assert _ids(ruleset, "content") == ["a", "b"]
    assert get_rule(ruleset, "content", "a").enabled is False
    assert get_rule(ruleset, "content", "a").actions == ()
    assert get_rule(ruleset, "content", "b") == get_rule(_own("b"), "content", "b")


def test_a_ruleset_survives_being_stored() -> None:
    """Own rules of every kind and changes come back as they were; the defaults take two bytes."""
    ruleset = set_enabled(_own("a", "b"), "content", "b", False)
    ruleset = put_rule(ruleset, "override", "o", {"actions": [], "conditions": [{"kind": "x", "y": None}]})
    ruleset = put_rule(ruleset, "underride", "u", {"actions": []})
    ruleset = put_rule(ruleset, "room", "!r:x", {"actions": ["notify", {"set_tweak": "highlight"}]})
    ruleset = put_rule(ruleset, "sender", "@b:x", NOTIFY)
    ruleset = set_actions(ruleset, "underride", ".m.rule.message", [])
    ruleset = set_enabled(ruleset, "override", ".m.rule.master", True)

    again = decode_ruleset(ALICE, encode_ruleset(ruleset))
    assert again == ruleset
    assert ruleset_to_json(again) == ruleset_to_json(ruleset)
    assert encode_ruleset(DEFAULTS) == b"{}"
    assert decode_ruleset(ALICE, b"{}") == DEFAULTS
