r"""Paths such as `content.m\.relates_to.rel_type` (appendices, Dot-separated property paths)."""

import re
from functools import lru_cache

_TOKEN = re.compile(r"\\[.\\]|\.|[^.\\]+|\\")


@lru_cache(maxsize=4096)
def split_path(path: str) -> tuple[str, ...]:
    r"""The names in the path; `\.` and `\\` stand for dot and backslash, other backslashes for themselves."""
    names = [""]
    for token in _TOKEN.findall(path):
        if token == ".":
            names.append("")
        else:
            names[-1] += token[1:] if token in ("\\.", "\\\\") else token
    return tuple(names)
