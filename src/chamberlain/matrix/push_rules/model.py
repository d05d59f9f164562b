"""Push rules and the ruleset of a user, as values (client-server API, Push notifications, Push rules)."""

from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any, Final, TypeAlias

import msgspec

from chamberlain.matrix.events import Event
from chamberlain.matrix.ids import UserID
from chamberlain.matrix.push_rules.conditions import (
    RoomContext,
    Test,
    compile_body_pattern,
    compile_condition,
)
from chamberlain.matrix.types import JsonObject

Action: TypeAlias = str | JsonObject

MASTER: Final = ".m.rule.master"


class Kind(StrEnum):
    """The kinds of rules, in the order in which they are tried."""

    OVERRIDE = "override"
    CONTENT = "content"
    ROOM = "room"
    SENDER = "sender"
    UNDERRIDE = "underride"


WITH_CONDITIONS: Final = frozenset((Kind.OVERRIDE, Kind.UNDERRIDE))


class Outcome(msgspec.Struct, frozen=True):
    """What an event means for a user: whether it notifies, is highlighted, and the actions for pushers."""

    notify: bool = False
    highlight: bool = False
    actions: tuple[Action, ...] = ()


SILENT: Final = Outcome()


class Rule(msgspec.Struct, frozen=True, dict=True):
    """One rule; `conditions` belong to override and underride rules, `pattern` to content rules."""

    rule_id: str
    actions: tuple[Action, ...]
    enabled: bool = True
    default: bool = False
    conditions: tuple[JsonObject, ...] | None = None
    pattern: str | None = None

    @cached_property
    def tests(self) -> tuple[Test, ...]:
        """What must hold for an event, beside the id of a room rule's room and of a sender rule's sender."""
        if self.pattern is not None:
            return (compile_body_pattern(self.pattern),)
        return tuple(compile_condition(condition) for condition in self.conditions or ())

    @cached_property
    def outcome(self) -> Outcome:
        """What the rule's actions, but for the historical ones, come to when it is the one that matches."""
        actions = tuple(action for action in self.actions if isinstance(action, dict) or action == "notify")
        if "notify" not in actions:
            return Outcome(actions=actions)
        return Outcome(True, any(_is_highlight(action) for action in actions), actions)


class Program:
    """The enabled rules of a ruleset, ready to be tried in their order."""

    __slots__ = ("_after", "_before", "_rooms", "_senders")

    def __init__(self, ruleset: "Ruleset") -> None:
        enabled = {kind: [rule for rule in ruleset.rules(kind) if rule.enabled] for kind in Kind}
        self._before = enabled[Kind.OVERRIDE] + enabled[Kind.CONTENT]
        self._rooms = {rule.rule_id: rule for rule in enabled[Kind.ROOM]}
        self._senders = {rule.rule_id: rule for rule in enabled[Kind.SENDER]}
        self._after = enabled[Kind.UNDERRIDE]

    def run(self, event: Event, room: RoomContext) -> Outcome:
        """The outcome of the first rule that matches the event."""
        rule = (
            _find_match(self._before, event, room)
            or self._rooms.get(event.room_id)
            or self._senders.get(event.sender)
            or _find_match(self._after, event, room)
        )
        return rule.outcome if rule else SILENT


def _find_match(rules: list[Rule], event: Event, room: RoomContext) -> Rule | None:
    for rule in rules:
        for test in rule.tests:
            if not test(event, room):
                break
        else:
            return rule
    return None


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a user changed in a default rule; None: nothing."""

    enabled: bool | None = None
    actions: tuple[Action, ...] | None = None


class Ruleset(msgspec.Struct, frozen=True, dict=True):
    """All push rules of a user, held as what differs from the defaults; a kind's first rule weighs most."""

    user_id: UserID
    custom: Mapping[Kind, tuple[Rule, ...]] = {}
    changes: Mapping[str, Change] = {}

    def rules(self, kind: Kind) -> tuple[Rule, ...]:
        """The rules of this kind as the user sees them: the master rule, their own, the defaults."""
        own = self.custom.get(kind, ())
        defaults = default_rules(self.user_id, kind)
        if self.changes:
            defaults = tuple(self._changed(rule) for rule in defaults)
        return defaults[:1] + own + defaults[1:] if kind is Kind.OVERRIDE else own + defaults

    @cached_property
    def program(self) -> Program:
        """The rules in the form in which they are evaluated."""
        return Program(self)

    def _changed(self, rule: Rule) -> Rule:
        change = self.changes.get(rule.rule_id)
        if change is None:
            return rule
        enabled = rule.enabled if change.enabled is None else change.enabled
        actions = rule.actions if change.actions is None else change.actions
        return msgspec.structs.replace(rule, enabled=enabled, actions=actions)


@lru_cache(maxsize=4096)
def default_ruleset(user_id: UserID) -> Ruleset:
    """The ruleset of a user who has changed nothing."""
    return Ruleset(user_id)


def has_own_rules(ruleset: Ruleset) -> bool:
    """Whether the shared evaluation does not hold for this user."""
    return bool(ruleset.custom or ruleset.changes)


def ruleset_to_json(ruleset: Ruleset) -> JsonObject:
    """The body of `GET /pushrules/` and the content of `m.push_rules`."""
    return {"global": {kind.value: [rule_to_json(rule) for rule in ruleset.rules(kind)] for kind in Kind}}


def rule_to_json(rule: Rule) -> JsonObject:
    """The rule as clients see it."""
    body: JsonObject = {
        "rule_id": rule.rule_id,
        "default": rule.default,
        "enabled": rule.enabled,
        "actions": list(rule.actions),
    }
    if rule.conditions is not None:
        body["conditions"] = list(rule.conditions)
    if rule.pattern is not None:
        body["pattern"] = rule.pattern
    return body


def default_rules(user_id: UserID, kind: Kind) -> tuple[Rule, ...]:
    """The server's own rules of this kind for a user who has changed nothing."""
    if kind is Kind.UNDERRIDE:
        return _UNDERRIDES
    if kind is not Kind.OVERRIDE:
        return ()
    invite = _default(
        ".m.rule.invite_for_me",
        _match("type", "m.room.member"),
        _match("content.membership", "invite"),
        _match("state_key", user_id),
        actions=("notify", _SOUND),
    )
    mention = _default(
        ".m.rule.is_user_mention",
        {"kind": "event_property_contains", "key": r"content.m\.mentions.user_ids", "value": user_id},
        actions=("notify", _SOUND, _HIGHLIGHT),
    )
    return (*_OVERRIDES_1, invite, *_OVERRIDES_2, mention, *_OVERRIDES_3)


def _is_highlight(action: Action) -> bool:
    return (
        isinstance(action, dict)
        and action.get("set_tweak") == "highlight"
        and action.get("value", True) is True
    )


def _default(rule_id: str, *conditions: JsonObject, actions: tuple[Action, ...] = ()) -> Rule:
    return Rule(rule_id, actions, rule_id != MASTER, True, conditions)


def _match(key: str, pattern: str) -> JsonObject:
    return {"kind": "event_match", "key": key, "pattern": pattern}


def _is(key: str, value: Any) -> JsonObject:
    return {"kind": "event_property_is", "key": key, "value": value}


_SOUND: Final[JsonObject] = {"set_tweak": "sound", "value": "default"}
_RING: Final[JsonObject] = {"set_tweak": "sound", "value": "ring"}
_HIGHLIGHT: Final[JsonObject] = {"set_tweak": "highlight"}
_TWO_MEMBERS: Final[JsonObject] = {"kind": "room_member_count", "is": "2"}

_OVERRIDES_1: Final = (
    _default(MASTER),
    _default(".m.rule.suppress_notices", _match("content.msgtype", "m.notice")),
)
_OVERRIDES_2: Final = (_default(".m.rule.member_event", _match("type", "m.room.member")),)
_OVERRIDES_3: Final = (
    _default(
        ".m.rule.is_room_mention",
        _is(r"content.m\.mentions.room", True),
        {"kind": "sender_notification_permission", "key": "room"},
        actions=("notify", _HIGHLIGHT),
    ),
    _default(
        ".m.rule.tombstone",
        _match("type", "m.room.tombstone"),
        _match("state_key", ""),
        actions=("notify", _HIGHLIGHT),
    ),
    _default(".m.rule.reaction", _match("type", "m.reaction")),
    _default(".m.rule.room.server_acl", _match("type", "m.room.server_acl"), _match("state_key", "")),
    _default(".m.rule.suppress_edits", _is(r"content.m\.relates_to.rel_type", "m.replace")),
)
_UNDERRIDES: Final = (
    _default(".m.rule.call", _match("type", "m.call.invite"), actions=("notify", _RING)),
    _default(
        ".m.rule.encrypted_room_one_to_one",
        _TWO_MEMBERS,
        _match("type", "m.room.encrypted"),
        actions=("notify", _SOUND),
    ),
    _default(
        ".m.rule.room_one_to_one",
        _TWO_MEMBERS,
        _match("type", "m.room.message"),
        actions=("notify", _SOUND),
    ),
    _default(".m.rule.message", _match("type", "m.room.message"), actions=("notify",)),
    _default(".m.rule.encrypted", _match("type", "m.room.encrypted"), actions=("notify",)),
)
