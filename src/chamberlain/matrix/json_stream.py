"""A large JSON object taken apart while it comes, so that nobody has to hold all of it at once."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from chamberlain.matrix.errors import BadJson

MAX_ITEM: Final = 1024 * 1024
"""Bytes of one object in a list, and of what stands between two brackets."""
MAX_REST: Final = 16 * 1024 * 1024
"""Bytes of all that is in none of the lists."""
_BETWEEN: Final = b" \t\r\n,"
_to_bracket: Final = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+[{}\[\]]', re.DOTALL)
"""All up to the next bracket that stands in no string."""


class ListReader:
    """Gives away the objects in some lists of an object, and keeps the rest of it.

    `lists`: who takes each object, by the name of the list; what they get are bytes between matching brackets, which
    need not be valid JSON. `level`: how many brackets the object itself stands in, its own among them.
    """

    def __init__(self, lists: Mapping[str, Callable[[bytes], object]], *, level: int = 1) -> None:
        self._lists = {b'"%b"' % name.encode(): take for name, take in lists.items()}
        self._level = level
        self._rest = bytearray()
        self._data = b""
        """What has come and belongs nowhere yet."""
        self._at = 0
        """How far brackets have been looked for in it."""
        self._depth = 0
        self._take: Callable[[bytes], object] | None = None
        """Who takes what the list holds that is being read."""

    def feed(self, chunk: bytes) -> None:
        """The next bytes have come.

        Raises:
            BadJson: there are more closing brackets than opening ones, something in a list is no object, or something
                is too large.
        """
        data = self._data + chunk
        start, at = 0, self._at
        while (found := _to_bracket.match(data, at)) is not None:
            before, at = at, found.end()
            bracket = data[at - 1]
            if self._take is not None:
                start = self._in_list(data, start, at, bracket)
                continue
            self._count(bracket)
            if bracket == 0x5B and self._depth == self._level + 1:
                self._take = self._taker(data[before : at - 1])
                if self._take is not None:
                    self._keep(data[start:at])
                    start = at
        if self._take is None:
            self._keep(data[start:at])
            start = at
        self._data, self._at = data[start:], at - start
        if len(self._data) > MAX_ITEM:
            raise BadJson("Something is too large")

    def finish(self) -> bytes:
        """Give the object as it came, those lists empty.

        Raises:
            BadJson: it has not come to its end.
        """
        if self._depth:
            raise BadJson("Not valid JSON: it ends too early")
        self._keep(self._data)
        return bytes(self._rest)

    def _in_list(self, data: bytes, start: int, at: int, bracket: int) -> int:
        """A bracket in a list whose items are given away; give where begins what belongs nowhere yet."""
        in_list = self._level + 1
        was = self._depth
        self._count(bracket)
        is_end = self._depth < in_list
        if was == in_list and data[start : at - 1].strip(_BETWEEN):
            raise BadJson("Something in a list is no object")
        if is_end:
            self._take = None
            self._keep(b"]")
            return at
        if was == in_list:
            return at - 1
        if self._depth == in_list and self._take is not None:
            self._take(data[start:at])
            return at
        return start

    def _count(self, bracket: int) -> None:
        self._depth += 1 if bracket in b"{[" else -1
        if self._depth < 0:
            raise BadJson("Not valid JSON: too many closing brackets")

    def _taker(self, before: bytes) -> Callable[[bytes], object] | None:
        """Who takes the list that follows this."""
        text = before.rstrip()
        if text.endswith(b":"):
            text = text[:-1].rstrip()
            for name, take in self._lists.items():
                # What ends like it may be the end of a longer name with quotes in it.
                if text.endswith(name) and text[: -len(name)].rstrip()[-1:] in (b"", b","):
                    return take
        return None

    def _keep(self, part: bytes) -> None:
        self._rest += part
        if len(self._rest) > MAX_REST:
            raise BadJson("It is too large")
