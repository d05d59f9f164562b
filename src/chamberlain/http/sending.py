"""From what a handler returned to the messages of an ASGI server."""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from chamberlain.http.answers import Header, Raw, Status, Stream
from chamberlain.http.context import Message
from chamberlain.http.cors import RawHeader

Send = Callable[[Message], Awaitable[None]]
Wire = tuple[int, list[RawHeader], bytes]
"""Status, headers and body of an answer."""

_JSON: RawHeader = (b"content-type", b"application/json")
_BODILESS = (204, 304)
_encode = msgspec.json.Encoder().encode


def to_wire(answer: object) -> Wire:
    """The bytes of any answer but a `Stream`. Raises what the encoder raises for a value that is no JSON."""
    if isinstance(answer, Raw):
        content_type = (b"content-type", answer.content_type.encode("latin-1"))
        return answer.status, [content_type, *_raw(answer.headers)], answer.body
    if isinstance(answer, Status):
        return answer.status, [_JSON, *_raw(answer.headers)], _to_json(answer.body)
    return 200, [_JSON], _to_json(answer)


def _to_json(body: object) -> bytes:
    return b"{}" if body is None else _encode(body)


def _raw(headers: Sequence[Header]) -> list[RawHeader]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


async def send_wire(send: Send, wire: Wire, headers: list[RawHeader]) -> None:
    """Send an answer, with `headers` before its own."""
    status, own, body = wire
    if status in _BODILESS:
        body = b""
    else:
        own.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers + own})
    await send({"type": "http.response.body", "body": body})


async def send_stream(send: Send, stream: Stream, headers: list[RawHeader]) -> None:
    """Send an answer as its chunks come; an iterator that fails breaks the connection off."""
    own: list[RawHeader] = [(b"content-type", stream.content_type.encode("latin-1")), *_raw(stream.headers)]
    if stream.length is not None:
        own.append((b"content-length", b"%d" % stream.length))
    await send({"type": "http.response.start", "status": stream.status, "headers": headers + own})
    async for chunk in stream.chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
