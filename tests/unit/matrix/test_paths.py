"""Dot-separated property paths."""

import pytest

from chamberlain.matrix.paths import split_path


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("content.body", ("content", "body")),
        (r"content.m\.relates_to.rel_type", ("content", "m.relates_to", "rel_type")),
        (r"content.m\\foo", ("content", r"m\foo")),
        (r"content.\x", ("content", r"\x")),
        ("type", ("type",)),
        ("", ("",)),
        ("a..b.", ("a", "", "b", "")),
        ("a\\", ("a\\",)),
        (r"a\\.b", ("a\\", "b")),
    ],
)
def test_paths_are_split_at_dots_that_are_not_escaped(path: str, names: tuple[str, ...]) -> None:
    """A backslash escapes dots and backslashes, and stands for itself elsewhere."""
    assert split_path(path) == names
