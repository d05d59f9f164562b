"""Calling an ASGI application in process, as a client behind a server would."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote

import msgspec
import orjson

App = Callable[..., Awaitable[None]]


class Answer(msgspec.Struct):
    """What came back. `json` is None where the body is not JSON; header names are in lower case."""

    status: int
    headers: dict[str, str]
    json: Any
    body: bytes

    def ok(self) -> Any:
        """The JSON of an answer that must be a 200."""
        assert self.status == 200, f"{self.status}: {self.body[:500]!r}"
        return self.json

    def error(self, status: int, errcode: str) -> Any:
        """The JSON of an answer that must be this error."""
        found = (self.status, self.json.get("errcode") if isinstance(self.json, dict) else None)
        assert found == (status, errcode), f"{found}: {self.body[:500]!r}"
        return self.json


class Exchange:
    """One request under way. `hang_up` closes the connection; `answer` waits for the whole answer."""

    def __init__(self, app: App, scope: dict[str, Any], chunks: list[bytes]) -> None:
        self._chunks = chunks
        self._gone = asyncio.Event()
        self._messages: list[dict[str, Any]] = []
        self.task = asyncio.create_task(app(scope, self._receive, self._send))  # type: ignore[arg-type]

    async def _receive(self) -> dict[str, Any]:
        if self._chunks:
            chunk = self._chunks.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(self._chunks)}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        self._messages.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self._gone.set()

    def stall(self) -> None:
        """Send nothing more of the body."""
        self._chunks.clear()

    def hang_up(self) -> None:
        """Close the connection."""
        self._chunks.clear()
        self._gone.set()

    async def answer(self) -> Answer:
        """The whole answer."""
        await self.task
        assert self._messages, "nothing was answered"
        start, *rest = self._messages
        headers: dict[str, str] = {}
        for name, value in start["headers"]:
            assert name == name.lower(), name
            assert name.decode() not in headers, f"{name.decode()} twice"
            headers[name.decode()] = value.decode("latin-1")
        body = b"".join(message.get("body", b"") for message in rest)
        if "content-length" in headers:
            assert int(headers["content-length"]) == len(body)
        is_json = headers.get("content-type", "").startswith("application/json") and body
        return Answer(start["status"], headers, orjson.loads(body) if is_json else None, body)


def begin(
    app: App,
    method: str,
    target: str,
    headers: Mapping[str, str] | None = None,
    body: Any = None,
    *,
    client: tuple[str, int] | None = ("127.0.0.1", 50_000),
    state: Mapping[str, Any] | None = None,
) -> Exchange:
    """Start a request. `target` is path and query as on the wire (percent-encoded).

    A body of bytes is sent as it is, a list of bytes in pieces, anything else as JSON.
    """
    path, _, query = target.partition("?")
    if isinstance(body, list) and all(isinstance(chunk, bytes) for chunk in body) and body:
        chunks = list(body)
    else:
        chunks = [b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)]
    sent = {name.lower(): value for name, value in (headers or {}).items()}
    sent.setdefault("host", "localhost")
    if any(chunks):
        sent.setdefault("content-type", "application/json")
        sent.setdefault("content-length", str(sum(map(len, chunks))))
    scope = {
        "type": "http",
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode("utf-8", "surrogateescape"),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in sent.items()],
        "client": client,
        "scheme": "http",
        "http_version": "1.1",
        "state": dict(state or {}),
    }
    return Exchange(app, scope, chunks)


async def call(
    app: App,
    method: str,
    target: str,
    headers: Mapping[str, str] | None = None,
    body: Any = None,
    **connection: Any,
) -> Answer:
    """The answer to one request; arguments as in `begin`."""
    return await begin(app, method, target, headers, body, **connection).answer()
