"""Patterns for LIKE, with `!` to escape in all SQL of the store."""


def escaped(text: str) -> str:
    """What LIKE … ESCAPE '!' takes for the text itself."""
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def containing(text: str) -> str:
    """The pattern of what contains the text as it is."""
    return f"%{escaped(text)}%"
