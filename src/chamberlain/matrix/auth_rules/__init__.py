"""The authorization rules of all room versions on one engine (Room Versions, Authorisation rules)."""

from chamberlain.matrix.auth_rules.check import check
from chamberlain.matrix.auth_rules.power_levels import PowerLevels, creators_of, power_levels_of
from chamberlain.matrix.auth_rules.selection import auth_keys, check_auth_events
from chamberlain.matrix.auth_rules.verdict import ALLOW, Allow, Reject, Verdict

__all__ = [
    "ALLOW",
    "Allow",
    "PowerLevels",
    "Reject",
    "Verdict",
    "auth_keys",
    "check",
    "check_auth_events",
    "creators_of",
    "power_levels_of",
]
