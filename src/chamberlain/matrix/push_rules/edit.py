"""Changes that users make to their push rules: each gives a new ruleset (client-server API, Push Rules API).

Every function raises `InvalidParam` for an unknown kind and `NotFound` for a rule that does not exist.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import InvalidParam, MatrixError, MissingParam, NotFound
from chamberlain.matrix.push_rules.conditions import is_complete
from chamberlain.matrix.push_rules.model import (
    WITH_CONDITIONS,
    Action,
    Change,
    Kind,
    Rule,
    Ruleset,
    default_rules,
)
from chamberlain.matrix.types import JsonObject

MAX_RULE_ID_LENGTH: Final = 255
MAX_PATTERN_LENGTH: Final = 255
MAX_CONDITIONS: Final = 20
MAX_ACTIONS: Final = 20
MAX_RULES: Final = {
    Kind.OVERRIDE: 1_000,
    Kind.CONTENT: 500,
    Kind.ROOM: 10_000,
    Kind.SENDER: 10_000,
    Kind.UNDERRIDE: 500,
}
"""How many rules of their own a user may have; those of rooms and senders cost nothing to evaluate."""

_HISTORICAL_ACTIONS: Final = frozenset(("dont_notify", "coalesce"))


def get_rule(ruleset: Ruleset, kind: str, rule_id: str) -> Rule:
    """The rule as it is for this user.

    Raises:
        InvalidParam: there is no such kind.
        NotFound: there is no such rule.
    """
    for rule in ruleset.rules(_parse_kind(kind)):
        if rule.rule_id == rule_id:
            return rule
    raise NotFound("The push rule was not found")


def put_rule(
    ruleset: Ruleset,
    kind: str,
    rule_id: str,
    body: Mapping[str, Any],
    before: str | None = None,
    after: str | None = None,
) -> Ruleset:
    """The ruleset with this rule added or changed.

    A new rule is enabled and weighs most, unless it has to stand next to another; a changed one stays where
    it is, and enabled or disabled as it was. `before` wins over `after`.

    Raises:
        InvalidParam: the id, the body or the number of rules is not allowed.
        MissingParam: the body lacks what this kind of rule needs.
        MatrixError: M_UNKNOWN (400), the user has no rule `before` or `after` which it could stand.
    """
    parsed = _parse_kind(kind)
    _check_rule_id(rule_id)
    rule = _parse_rule(parsed, rule_id, body)
    rules = list(ruleset.custom.get(parsed, ()))
    old = next((index for index, other in enumerate(rules) if other.rule_id == rule_id), None)
    if old is not None:
        rule = msgspec.structs.replace(rule, enabled=rules.pop(old).enabled)
    elif len(rules) >= MAX_RULES[parsed]:
        raise InvalidParam("You have too many push rules of this kind")
    rules.insert(_find_place(rules, before, after, 0 if old is None else old), rule)
    return _with_custom(ruleset, parsed, rules)


def delete_rule(ruleset: Ruleset, kind: str, rule_id: str) -> Ruleset:
    """The ruleset without this rule.

    Raises:
        InvalidParam: there is no such kind, or the rule is the server's.
        NotFound: there is no such rule.
    """
    if get_rule(ruleset, kind, rule_id).default:
        raise InvalidParam("The server's own push rules cannot be deleted, only disabled")
    parsed = Kind(kind)
    return _with_custom(ruleset, parsed, [rule for rule in ruleset.custom[parsed] if rule.rule_id != rule_id])


def set_enabled(ruleset: Ruleset, kind: str, rule_id: str, enabled: object) -> Ruleset:
    """The ruleset with this rule enabled or disabled.

    Raises:
        InvalidParam: there is no such kind, or `enabled` is not a boolean.
        NotFound: there is no such rule.
    """
    rule = get_rule(ruleset, kind, rule_id)
    if not isinstance(enabled, bool):
        raise InvalidParam("enabled must be a boolean")
    return _replace(ruleset, Kind(kind), msgspec.structs.replace(rule, enabled=enabled))


def set_actions(ruleset: Ruleset, kind: str, rule_id: str, actions: object) -> Ruleset:
    """The ruleset with the actions of this rule changed, those of one of the server's rules too.

    Raises:
        InvalidParam: there is no such kind, or these are no actions.
        NotFound: there is no such rule.
    """
    rule = get_rule(ruleset, kind, rule_id)
    return _replace(ruleset, Kind(kind), msgspec.structs.replace(rule, actions=_parse_actions(actions)))


def _replace(ruleset: Ruleset, kind: Kind, rule: Rule) -> Ruleset:
    """The ruleset with `rule` in the place of the one that has its id."""
    if not rule.default:
        rules = [rule if other.rule_id == rule.rule_id else other for other in ruleset.custom[kind]]
        return _with_custom(ruleset, kind, rules)
    original = next(other for other in default_rules(ruleset.user_id, kind) if other.rule_id == rule.rule_id)
    change = Change(
        enabled=None if rule.enabled == original.enabled else rule.enabled,
        actions=None if rule.actions == original.actions else rule.actions,
    )
    changes = {rule_id: other for rule_id, other in ruleset.changes.items() if rule_id != rule.rule_id}
    if change != Change():
        changes[rule.rule_id] = change
    return Ruleset(ruleset.user_id, ruleset.custom, changes)


def _with_custom(ruleset: Ruleset, kind: Kind, rules: list[Rule]) -> Ruleset:
    custom = {other: own for other, own in ruleset.custom.items() if other is not kind}
    if rules:
        custom[kind] = tuple(rules)
    return Ruleset(ruleset.user_id, custom, ruleset.changes)


def _find_place(rules: list[Rule], before: str | None, after: str | None, otherwise: int) -> int:
    """Where in the list a rule belongs that weighs just more than `before`, or just less than `after`."""
    anchor = before if before is not None else after
    if anchor is None:
        return otherwise
    for index, rule in enumerate(rules):
        if rule.rule_id == anchor:
            return index if before is not None else index + 1
    raise MatrixError(ErrCode.UNKNOWN, "before/after rule not found among your own rules", status=400)


def _parse_kind(kind: str) -> Kind:
    try:
        return Kind(kind)
    except ValueError:
        raise InvalidParam("There is no such kind of push rule") from None


def _check_rule_id(rule_id: str) -> None:
    if not rule_id or len(rule_id) > MAX_RULE_ID_LENGTH:
        raise InvalidParam(f"A rule ID has 1 to {MAX_RULE_ID_LENGTH} characters")
    if rule_id.startswith("."):
        raise InvalidParam("Rule IDs that start with a dot are the server's")
    if "/" in rule_id or "\\" in rule_id:
        raise InvalidParam("A rule ID may not contain slashes or backslashes")


def _parse_rule(kind: Kind, rule_id: str, body: Mapping[str, Any]) -> Rule:
    if "actions" not in body:
        raise MissingParam("The rule has no actions")
    actions = _parse_actions(body["actions"])
    if kind in WITH_CONDITIONS:
        return Rule(rule_id, actions, conditions=_parse_conditions(body.get("conditions")))
    if kind is not Kind.CONTENT:
        return Rule(rule_id, actions)
    if "pattern" not in body:
        raise MissingParam("A content rule needs a pattern")
    return Rule(rule_id, actions, pattern=_parse_pattern(body["pattern"]))


def _parse_pattern(pattern: object) -> str:
    if not isinstance(pattern, str) or len(pattern) > MAX_PATTERN_LENGTH:
        raise InvalidParam(f"A pattern is a string of at most {MAX_PATTERN_LENGTH} characters")
    return pattern


def _parse_conditions(conditions: object) -> tuple[JsonObject, ...]:
    if conditions is None:
        return ()
    if not isinstance(conditions, list) or len(conditions) > MAX_CONDITIONS:
        raise InvalidParam(f"The conditions are a list of at most {MAX_CONDITIONS}")
    for condition in conditions:
        if not isinstance(condition, dict) or not isinstance(condition.get("kind"), str):
            raise InvalidParam("A condition is an object with a kind")
        if not is_complete(condition):
            raise InvalidParam("A condition lacks a parameter, or has a wrong one")
        if "pattern" in condition:
            _parse_pattern(condition["pattern"])
    return tuple(conditions)


def _parse_actions(actions: object) -> tuple[Action, ...]:
    """The actions as they were sent: the historical ones have no effect, but clients read them back."""
    if not isinstance(actions, list) or len(actions) > MAX_ACTIONS:
        raise InvalidParam(f"The actions are a list of at most {MAX_ACTIONS}")
    for action in actions:
        if isinstance(action, dict):
            if not isinstance(action.get("set_tweak"), str):
                raise InvalidParam("An action that is an object needs a set_tweak")
        elif not isinstance(action, str) or (action != "notify" and action not in _HISTORICAL_ACTIONS):
            raise InvalidParam("There is no such action")
    return tuple(actions)
