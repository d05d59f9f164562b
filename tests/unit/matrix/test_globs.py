"""Glob patterns: whole values and words, equal to the obvious regular expression, and never slow."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chamberlain.matrix.globs import compile_glob

PATTERNS = st.text("ab_-*?", max_size=8)
VALUES = st.text("ab_- ", max_size=12)


def _as_regex(pattern: str) -> str:
    return "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)


@given(PATTERNS, VALUES)
def test_a_whole_value_matches_as_the_naive_regex_says(pattern: str, value: str) -> None:
    """`matches` equals a fullmatch of the pattern translated to a regular expression."""
    expected = re.fullmatch(_as_regex(pattern), value, re.DOTALL) is not None

    assert compile_glob(pattern).matches(value) is expected


@given(PATTERNS, VALUES)
def test_words_match_as_trying_every_substring_says(pattern: str, value: str) -> None:
    """`matches_words` finds exactly what trying all substrings between two boundaries finds."""
    regex = re.compile(_as_regex(pattern), re.DOTALL)
    edges = [
        i
        for i in range(len(value) + 1)
        if i in (0, len(value)) or not re.fullmatch("[A-Za-z0-9_]{2}", value[i - 1 : i + 1])
    ]
    expected = any(regex.fullmatch(value, i, j) for i in edges for j in edges if i <= j)

    assert compile_glob(pattern).matches_words(value) is expected


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ("ex*ple", "An example event.", True),
        ("ex*ple", "exple", True),
        ("ex*ple", "An exciting triple-whammy", True),
        ("ex*ple", "an examples list", False),
        ("tea", "It's time for tea", True),
        ("tea", "It's a team", False),
        ("@room", "hey @room!", True),
        ("caf", "café", True),
        ("bob", "bob_2", False),
    ],
)
def test_the_examples_of_the_specification_match_words(pattern: str, value: str, expected: bool) -> None:
    """Words end where the value ends or a character other than A-Z, a-z, 0-9 and _ stands."""
    assert compile_glob(pattern).matches_words(value) is expected


def test_only_the_wildcards_asked_for_are_special() -> None:
    """A star-only glob takes `?` as text, one without wildcards takes `*` as text too."""
    assert compile_glob("m.?*", "*").matches("m.?x")
    assert not compile_glob("m.?*", "*").matches("m.rx")
    assert compile_glob("a*?", "").matches("a*?")
    assert not compile_glob("a*?", "").matches("abc")


@pytest.mark.parametrize("pattern", ["*a" * 100 + "b", "a*" * 100 + "b", "?a" * 100 + "b", "a" * 200 + "b"])
def test_no_pattern_makes_a_match_hang(pattern: str) -> None:
    """Patterns that make backtracking matchers explode are answered at once on the largest body there is."""
    value = "a" * 65_000
    started = time.process_time()

    assert not compile_glob(pattern).matches(value)
    assert not compile_glob(pattern).matches_words(value)
    assert time.process_time() - started < 5
