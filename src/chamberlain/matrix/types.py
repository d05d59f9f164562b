"""Small types that the whole program shares, and the reader of what may be of any type."""

from collections.abc import Mapping
from typing import Any, NewType, TypeAlias, TypeVar

T_co = TypeVar("T_co", covariant=True)

JsonObject: TypeAlias = dict[str, Any]
"""A decoded JSON object."""

StateKey: TypeAlias = tuple[str, str]
"""What names one piece of room state: its event type and its state_key."""

StateMap: TypeAlias = Mapping[StateKey, T_co]
"""Room state: from (type, state_key) to an event, or to its id."""

Millis = NewType("Millis", int)
"""Milliseconds since the Unix epoch."""


def text_of(content: Mapping[str, Any], key: str) -> str | None:
    """The value under a key where it is a string."""
    value = content.get(key)
    return value if isinstance(value, str) else None
