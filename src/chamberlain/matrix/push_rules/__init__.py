"""Push rules: defaults, what users make of them, what they say of an event (client-server API, Push)."""

from chamberlain.matrix.push_rules.conditions import RoomContext
from chamberlain.matrix.push_rules.edit import delete_rule, get_rule, put_rule, set_actions, set_enabled
from chamberlain.matrix.push_rules.evaluate import Shared, evaluate, evaluate_defaults
from chamberlain.matrix.push_rules.model import (
    Action,
    Kind,
    Outcome,
    Rule,
    Ruleset,
    default_ruleset,
    has_own_rules,
    rule_to_json,
    ruleset_to_json,
)
from chamberlain.matrix.push_rules.stored import decode_ruleset, encode_ruleset

__all__ = [
    "Action",
    "Kind",
    "Outcome",
    "RoomContext",
    "Rule",
    "Ruleset",
    "Shared",
    "decode_ruleset",
    "default_ruleset",
    "delete_rule",
    "encode_ruleset",
    "evaluate",
    "evaluate_defaults",
    "get_rule",
    "has_own_rules",
    "put_rule",
    "rule_to_json",
    "ruleset_to_json",
    "set_actions",
    "set_enabled",
]
