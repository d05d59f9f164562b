"""`[passwords]`: how passwords are kept and what they must look like."""

from typing import Literal

from chamberlain.config.section import Section


class Passwords(Section, frozen=True, kw_only=True):
    """Local passwords, kept as argon2id hashes."""

    enabled: bool = True
    """Whether people may log in with a password; off where single sign-on is the only way in."""
    hash_cost: Literal["default", "lowest"] = "default"
    """`lowest` makes hashing cheap and passwords easy to guess from a stolen database: for tests only."""
    minimum_length: int = 8
    """New passwords shorter than this many characters are refused."""
    require_digit: bool = False
    """Whether a new password must have a digit."""
    require_symbol: bool = False
    """Whether a new password must have a character that is neither letter nor digit."""
    require_lowercase: bool = False
    """Whether a new password must have a lowercase letter."""
    require_uppercase: bool = False
    """Whether a new password must have an uppercase letter."""
