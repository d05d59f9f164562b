"""From what a handler returned to the messages of an ASGI server."""

import re
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from chamberlain.http import cors
from chamberlain.http.answers import Header, Raw, Status, Stream
from chamberlain.http.context import Context, Message
from chamberlain.http.cors import RawHeader

Send = Callable[[Message], Awaitable[None]]
Wire = tuple[int, tuple[RawHeader, ...], bytes]
"""Status, headers and body of an answer."""

_JSON: RawHeader = (b"content-type", b"application/json")
_JSON_ALONE = (_JSON,)
_JSON_LINES = b"content-type: application/json\r\n"
_BODILESS = (204, 304)
_NO_CONTROL = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_encode = msgspec.json.Encoder().encode

PREFLIGHT: Wire = (204, (cors.PREFLIGHT,), b"")
"""The answer to OPTIONS."""


def to_wire(answer: object) -> Wire:
    """The bytes of any answer but a `Stream`. Raises what the encoder raises for a value that is no JSON."""
    if isinstance(answer, Raw):
        if answer.content_type == "application/json" and not answer.headers:
            return answer.status, _JSON_ALONE, answer.body
        content_type = (b"content-type", answer.content_type.encode("latin-1"))
        return answer.status, (content_type, *_raw(answer.headers)), answer.body
    if isinstance(answer, Status):
        return answer.status, (_JSON, *_raw(answer.headers)), _to_json(answer.body)
    return 200, _JSON_ALONE, _to_json(answer)


def _to_json(body: object) -> bytes:
    return b"{}" if body is None else _encode(body)


def _raw(headers: Sequence[Header]) -> list[RawHeader]:
    for name, value in headers:
        if not _NO_CONTROL.fullmatch(value):
            raise ValueError(f"a control character in the header {name}")
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


async def send_wire(send: Send, ctx: Context, wire: Wire, *, is_shared: bool) -> None:
    """Send an answer; one that is shared may be read by a page of any origin."""
    status, own, body = wire
    if ctx.shortcut is not None:
        lines = _JSON_LINES if own is _JSON_ALONE else b"".join([b"%b: %b\r\n" % header for header in own])
        common = cors.LINES if is_shared else b""
        ctx.shortcut.answer(
            status, b"x-request-id: %b\r\n%b%b" % (ctx.request_id.encode(), common, lines), body
        )
        return
    headers = [*_common(ctx, is_shared=is_shared), *own]
    if status in _BODILESS:
        body = b""
    else:
        headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _common(ctx: Context, *, is_shared: bool) -> list[RawHeader]:
    request_id = (b"x-request-id", ctx.request_id.encode())
    return [request_id, *cors.HEADERS] if is_shared else [request_id]


async def send_stream(send: Send, ctx: Context, stream: Stream, *, is_shared: bool) -> None:
    """Send an answer as its chunks come; an iterator that fails breaks the connection off."""
    headers = _common(ctx, is_shared=is_shared)
    headers += [(b"content-type", stream.content_type.encode("latin-1")), *_raw(stream.headers)]
    if stream.length is not None:
        headers.append((b"content-length", b"%d" % stream.length))
    await send({"type": "http.response.start", "status": stream.status, "headers": headers})
    async for chunk in stream.chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
