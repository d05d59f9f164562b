"""The form in which the push rules of a user are stored: only what differs from the defaults."""

from collections.abc import Mapping

import msgspec

from chamberlain.matrix.ids import UserID
from chamberlain.matrix.push_rules.model import Action, Change, Kind, Rule, Ruleset
from chamberlain.matrix.types import JsonObject


class _StoredRule(msgspec.Struct, frozen=True, omit_defaults=True):
    id: str
    actions: tuple[Action, ...] = ()
    enabled: bool = True
    conditions: tuple[JsonObject, ...] | None = None
    pattern: str | None = None


class _Stored(msgspec.Struct, frozen=True, omit_defaults=True):
    custom: Mapping[Kind, tuple[_StoredRule, ...]] = {}
    changes: Mapping[str, Change] = {}


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(_Stored)


def encode_ruleset(ruleset: Ruleset) -> bytes:
    """The ruleset as UTF-8 JSON; `{}` for one without own rules."""
    custom = {
        kind: tuple(
            _StoredRule(rule.rule_id, rule.actions, rule.enabled, rule.conditions, rule.pattern)
            for rule in rules
        )
        for kind, rules in ruleset.custom.items()
    }
    return _ENCODER.encode(_Stored(custom, ruleset.changes))


def decode_ruleset(user_id: UserID, stored: bytes) -> Ruleset:
    """The ruleset that `encode_ruleset` wrote; changes of rules that are gone have no effect."""
    found = _DECODER.decode(stored)
    custom = {
        kind: tuple(
            Rule(rule.id, rule.actions, rule.enabled, conditions=rule.conditions, pattern=rule.pattern)
            for rule in rules
        )
        for kind, rules in found.custom.items()
    }
    return Ruleset(user_id, custom, found.changes)
