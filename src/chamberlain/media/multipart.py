"""`multipart/mixed`, as servers hand each other files (server-server API, Content Repository; RFC 2046, 5.1)."""

from collections.abc import AsyncIterator
from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import Final

import msgspec

from chamberlain.runtime.rng import Rng

MAX_BOUNDARY: Final = 70
MAX_PREAMBLE: Final = 4 * 1024
MAX_HEADERS: Final = 16 * 1024
"""Bytes of the headers of a part."""
MAX_METADATA: Final = 64 * 1024
"""Bytes of the first part."""
MAX_EPILOGUE: Final = 4 * 1024

_LINE_END: Final = b"\r\n"


class Malformed(Exception):
    """The bytes are not two parts with a file in the second; the message says why."""


class Envelope(msgspec.Struct, frozen=True):
    """What goes around the bytes of a file; `content_type` is that of the whole."""

    content_type: str
    head: bytes
    tail: bytes


class Multipart:
    """Makes envelopes."""

    def __init__(self, rng: Rng) -> None:
        self._rng = rng

    def envelope(self, content_type: str, disposition: str) -> Envelope:
        """The envelope of a file of this type. Its boundary cannot be foreseen, so no file can hold it."""
        boundary = self._rng.id(40)
        head = (
            f"--{boundary}\r\nContent-Type: application/json\r\n\r\n{{}}\r\n"
            f"--{boundary}\r\nContent-Type: {content_type}\r\nContent-Disposition: {disposition}\r\n\r\n"
        )
        tail = f"\r\n--{boundary}--\r\n"
        return Envelope(f"multipart/mixed; boundary={boundary}", head.encode("latin-1"), tail.encode())


class Unwrapping:
    """The second part of what another server sent. Whatever comes before and after it is skipped, within bounds."""

    def __init__(self, content_type: str, chunks: AsyncIterator[bytes]) -> None:
        """`content_type` is that of the whole. Raises Malformed where it names no boundary."""
        boundary = _parameter("Content-Type", content_type, "boundary")
        kind = content_type.partition(";")[0].strip().lower()
        if kind != "multipart/mixed" or not boundary or len(boundary) > MAX_BOUNDARY:
            raise Malformed("it is not multipart/mixed with a boundary")
        self._delimiter = b"\r\n--" + boundary.encode()
        self._chunks = chunks
        # A delimiter begins with a line's end, which the first one of all may lack.
        self._buffer = bytearray(_LINE_END)

    async def headers(self) -> dict[str, str]:
        """The headers of the second part, names in lower case; to be asked for once, before `body`.

        Raises:
            Malformed: there is no second part, or too much before it.
        """
        await self._take_until(self._delimiter, MAX_PREAMBLE)
        await self._part_headers()
        await self._take_until(self._delimiter, MAX_METADATA)
        return await self._part_headers()

    async def body(self) -> AsyncIterator[bytes]:
        """The bytes of the second part; raises Malformed where they have no end."""
        skipped = len(_LINE_END)
        while True:
            found = self._buffer.find(self._delimiter)
            end = len(self._buffer) - len(self._delimiter) + 1 if found < 0 else found
            if end > skipped:
                yield bytes(self._buffer[skipped:end])
            if end > 0:
                del self._buffer[:end]
                skipped = max(0, skipped - end)
            if found >= 0:
                break
            await self._fill()
        await self._skip_rest()

    async def _part_headers(self) -> dict[str, str]:
        """Take what stands between a delimiter and the body of its part, but for the line's end before the body.

        That one is part of the next delimiter where the body is empty.
        """
        rest = await self._take_until(_LINE_END, MAX_HEADERS)
        if rest.strip(b" \t"):
            raise Malformed("it ends before the second part")
        found: dict[str, str] = {}
        left = MAX_HEADERS
        while line := await self._take_until(_LINE_END, left):
            left -= len(line) + len(_LINE_END)
            name, _, value = line.partition(b":")
            found[name.decode("latin-1").strip().lower()] = _text(value).strip()
        self._buffer[:0] = _LINE_END
        return found

    async def _take_until(self, mark: bytes, limit: int) -> bytes:
        """What stands before the mark; both are taken off the buffer."""
        looked_at = 0
        while (found := self._buffer.find(mark, looked_at)) < 0:
            if len(self._buffer) > limit + len(mark):
                raise Malformed("too much stands before the file")
            looked_at = max(0, len(self._buffer) - len(mark) + 1)
            await self._fill()
        if found > limit:
            raise Malformed("too much stands before the file")
        taken = bytes(self._buffer[:found])
        del self._buffer[: found + len(mark)]
        return taken

    async def _fill(self) -> None:
        async for chunk in self._chunks:
            self._buffer += chunk
            return
        raise Malformed("it ends before the file does")

    async def _skip_rest(self) -> None:
        """Read to the end, so that the connection can be used again; unless there is much more."""
        seen = len(self._buffer)
        self._buffer.clear()
        async for chunk in self._chunks:
            seen += len(chunk)
            if seen > MAX_EPILOGUE:
                return


def file_name_in(disposition: str) -> str | None:
    """The file name in a `Content-Disposition` header, as it stands there, or None."""
    return _parameter("Content-Disposition", disposition, "filename")


def _parameter(header: str, value: str, name: str) -> str | None:
    message = Message()
    message[header] = value
    try:
        found = message.get_param(name, header=header)
        return None if found is None else collapse_rfc2231_value(found).strip()
    except (LookupError, TypeError, ValueError):
        # The library's own words for parameters that are numbered or encoded in impossible ways.
        return None


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
