"""Glob-style patterns, matched without backtracking: no pattern makes a match slow (appendices, Globbing).

Matching is exact: where the specification asks for a case-insensitive match, pattern and value come lowered.
"""

import re
from functools import lru_cache

_WORD = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")


class _Part:
    """What stands between two stars: text of a fixed length, in which `?` may stand for any one character."""

    __slots__ = ("_regex", "_text", "length")

    def __init__(self, text: str, *, question: bool) -> None:
        self._text = text
        self.length = len(text)
        self._regex: re.Pattern[str] | None = None
        if question and "?" in text:
            self._regex = re.compile(".".join(map(re.escape, text.split("?"))), re.DOTALL)

    def find(self, value: str, start: int) -> int:
        """Where it first occurs from `start` on, or -1."""
        if self._regex is None:
            return value.find(self._text, start)
        found = self._regex.search(value, start)
        return found.start() if found else -1

    def is_at(self, value: str, start: int) -> bool:
        """Whether it occurs exactly there."""
        if self._regex is None:
            return value.startswith(self._text, start)
        return self._regex.match(value, start) is not None


class Glob:
    """A pattern, ready to be matched; the time is at most (length of the value) x (length of the pattern)."""

    __slots__ = ("_length", "_parts", "_plain")

    def __init__(self, pattern: str, wildcards: str = "*?") -> None:
        texts = re.split(r"\*+", pattern) if "*" in wildcards else [pattern]
        question = "?" in wildcards
        self._parts = [_Part(text, question=question) for text in texts]
        self._length = sum(part.length for part in self._parts)
        self._plain = pattern if len(texts) == 1 and not (question and "?" in pattern) else None

    def matches(self, value: str) -> bool:
        """Whether the whole of `value` fits the pattern."""
        if self._plain is not None:
            return value == self._plain
        spare = len(value) - self._length
        first, last = self._parts[0], self._parts[-1]
        if spare < 0 or not first.is_at(value, 0):
            return False
        if len(self._parts) == 1:
            return spare == 0
        end = len(value) - last.length
        if not last.is_at(value, end):
            return False
        position = self._skip_middle(value, first.length)
        return 0 <= position <= end

    def matches_words(self, value: str) -> bool:
        """Whether a part of `value` that starts and ends at a word boundary fits the pattern.

        A boundary is each end of the value and each side of a character other than A-Z, a-z, 0-9 and `_`.
        """
        if self._length > len(value):
            return False
        first, last = self._parts[0], self._parts[-1]
        single = len(self._parts) == 1
        position = first.find(value, 0)
        while position >= 0:
            end = position + first.length
            if _is_boundary(value, position) and (not single or _is_boundary(value, end)):
                break
            position = first.find(value, position + 1)
        if position < 0 or single:
            return position >= 0
        position = self._skip_middle(value, position + first.length)
        return position >= 0 and _ends_word(last, value, position)

    def _skip_middle(self, value: str, position: int) -> int:
        """Where the parts between first and last end when each is taken at its first occurrence, or -1."""
        for part in self._parts[1:-1]:
            position = part.find(value, position)
            if position < 0:
                return -1
            position += part.length
        return position


def _ends_word(part: _Part, value: str, start: int) -> bool:
    """Whether the part occurs from `start` on with a word boundary behind it."""
    position = part.find(value, start)
    while position >= 0:
        if _is_boundary(value, position + part.length):
            return True
        position = part.find(value, position + 1)
    return False


def _is_boundary(value: str, position: int) -> bool:
    if position == 0 or position == len(value):
        return True
    return value[position - 1] not in _WORD or value[position] not in _WORD


@lru_cache(maxsize=8192)
def compile_glob(pattern: str, wildcards: str = "*?") -> Glob:
    """The pattern, ready to be matched; of `*` and `?` those in `wildcards` are special, others are text."""
    return Glob(pattern, wildcards)
