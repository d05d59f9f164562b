"""Patterns for LIKE, with `!` to escape in all SQL of the store."""

from typing import Final

from chamberlain.matrix.errors import InvalidParam

MAX_LENGTH: Final = 10_000
"""Characters of a text that is looked for. SQLite takes 50,000 bytes of a pattern."""


def escaped(text: str) -> str:
    """What LIKE … ESCAPE '!' takes for the text itself.

    Raises:
        InvalidParam: the text is longer than `MAX_LENGTH`.
    """
    check_length(text)
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def containing(text: str) -> str:
    """The pattern of what contains the text as it is; raises as `escaped` does."""
    return f"%{escaped(text)}%"


def check_length(text: str) -> None:
    """Do nothing where a text is short enough to be looked for.

    Raises:
        InvalidParam: it is longer than `MAX_LENGTH`.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidParam(f"What is looked for is longer than {MAX_LENGTH} characters")
