"""What a handler may return: a Response, or a wrapper for what is not plain JSON with status 200."""

from collections.abc import AsyncIterator, Sequence

import msgspec

Header = tuple[str, str]


class Response(msgspec.Struct, omit_defaults=True):
    """The JSON body of an answer. Fields that hold their default are left out of it."""


class Raw(msgspec.Struct, frozen=True):
    """Bytes that are sent as they are."""

    body: bytes
    content_type: str = "application/json"
    status: int = 200
    headers: Sequence[Header] = ()


class Stream(msgspec.Struct, frozen=True):
    """Bytes that are sent as they come; `length` is their number, where it is known."""

    chunks: AsyncIterator[bytes]
    content_type: str = "application/octet-stream"
    length: int | None = None
    status: int = 200
    headers: Sequence[Header] = ()


class Status(msgspec.Struct, frozen=True):
    """A JSON body with another status than 200, or with further headers. None stands for `{}`."""

    status: int
    body: object = None
    headers: Sequence[Header] = ()
