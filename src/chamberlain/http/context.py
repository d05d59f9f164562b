"""What a handler knows of the request beside its own parameters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from chamberlain.http.shortcut import find_shortcut
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MatrixError, MissingToken

if TYPE_CHECKING:
    from chamberlain.accounts.requester import Requester
    from chamberlain.http.services import Services
    from chamberlain.runtime.tasks import Tasks

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class Context:
    """One request: who asks, from where, and whether they still wait."""

    __slots__ = (
        "_headers",
        "_receive",
        "_tasks",
        "_watch",
        "client_ip",
        "found_requester",
        "is_audited",
        "method",
        "origin",
        "path",
        "query_string",
        "raw_path",
        "request_id",
        "services",
        "shortcut",
    )

    def __init__(
        self,
        services: Services,
        scope: MutableMapping[str, Any],
        receive: Receive,
        tasks: Tasks,
        request_id: str,
        client_ip: str,
    ) -> None:
        self.services = services
        self.request_id = request_id
        self.client_ip = client_ip
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        self.query_string: bytes = scope["query_string"]
        self.found_requester: Requester | None = None
        self.is_audited = False
        """Whether an operation writes, or has written, this call into the audit log."""
        self.origin = ""
        """The server that signed the request; empty where the endpoint asks for no signature."""
        self._headers: dict[bytes, bytes] = dict(scope["headers"])
        self.shortcut = find_shortcut(scope.get("extensions"))
        self._receive = receive
        self._tasks = tasks
        self._watch: asyncio.Task[None] | None = None

    @property
    def requester(self) -> Requester:
        """Who asks. Where the token is optional (Auth.OPTIONAL, NONE), ask `found_requester` (or None).

        Raises:
            MissingToken: nobody is identified.
        """
        if self.found_requester is None:
            raise MissingToken
        return self.found_requester

    def header(self, name: str) -> str | None:
        """The header of this name (any case), or None; the last one where it was sent several times."""
        value = self._headers.get(name.lower().encode("latin-1"))
        return None if value is None else value.decode("latin-1")

    def raw_header(self, name: bytes) -> bytes | None:
        """As `header`, for a name in lower case and without decoding."""
        return self._headers.get(name)

    @property
    def user_agent(self) -> str:
        """The `User-Agent` of the client; empty when it sent none."""
        return self._headers.get(b"user-agent", b"").decode("latin-1")

    @property
    def content_type(self) -> str:
        """The declared type of the body, `application/octet-stream` when it declares none."""
        return self.header("content-type") or "application/octet-stream"

    @property
    def content_length(self) -> int | None:
        """The declared number of bytes of the body, or None where it was not declared."""
        value = self._headers.get(b"content-length")
        return int(value) if value is not None and value.isdigit() else None

    def on_hang_up(self, give_up: Callable[[], object]) -> None:
        """Have `give_up()` called if the client hangs up. To be asked only after the body is read."""
        if self.shortcut is not None:
            self.shortcut.on_hang_up(give_up)
        else:
            self._watch = self._tasks.spawn("watch for a hang-up", self._until_hang_up(give_up))

    async def _until_hang_up(self, give_up: Callable[[], object]) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        give_up()

    def stop_watching(self) -> None:
        """End what `on_hang_up` began; harmless where nothing was begun."""
        if self._watch is not None:
            self._watch.cancel()


class Upload:
    """The bytes of a body that is not JSON, as they come in. Can be read once."""

    __slots__ = ("_receive", "length")

    def __init__(self, receive: Receive, length: int | None) -> None:
        self._receive = receive
        self.length = length
        """The declared number of bytes, or None."""

    async def chunks(self, max_bytes: int) -> AsyncIterator[bytes]:
        """The body piece by piece.

        Raises:
            MatrixError: M_TOO_LARGE as soon as it is known to be longer than `max_bytes`; M_UNKNOWN (400)
                when the client hangs up before its end.
        """
        if self.length is not None and self.length > max_bytes:
            raise too_large(max_bytes)
        seen = 0
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise MatrixError(ErrCode.UNKNOWN, "The upload was cut off", status=400)
            chunk: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            seen += len(chunk)
            if seen > max_bytes:
                raise too_large(max_bytes)
            if chunk:
                yield chunk

    async def read(self, max_bytes: int) -> bytes:
        """The whole body in memory; raises as `chunks` does."""
        return b"".join([chunk async for chunk in self.chunks(max_bytes)])


def too_large(max_bytes: int) -> MatrixError:
    """The error for a body over its limit."""
    return MatrixError(ErrCode.TOO_LARGE, f"The body is larger than {max_bytes} bytes")
