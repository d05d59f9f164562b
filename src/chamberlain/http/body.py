"""Reading the body of a request into memory, bounded in bytes and in time."""

import asyncio

from chamberlain.http.context import Context, Receive, too_large
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MatrixError
from chamberlain.runtime.clock import Clock

BODY_TIMEOUT_S = 60.0
"""How long a body may take to come in, at least; a sixth longer at most."""
_SWEEP_S = BODY_TIMEOUT_S / 6


class HungUp(Exception):
    """The client hung up before it could be answered."""


class BodyReader:
    """Reads bodies. One timer looks after all that are under way: a timer for each would cost more than reading."""

    __slots__ = ("_clock", "_late", "_sweeping", "_under_way")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._under_way: dict[asyncio.Task[object], float] = {}
        self._late: set[asyncio.Task[object]] = set()
        self._sweeping = False

    async def read(self, ctx: Context, receive: Receive, max_bytes: int) -> bytes:
        """The whole body.

        Raises:
            MatrixError: M_TOO_LARGE (413) above `max_bytes`, M_UNKNOWN (408) when it does not come in time.
            HungUp: the client left before its end.
        """
        declared = ctx.content_length
        if declared is not None and declared > max_bytes:
            raise too_large(max_bytes)
        if ctx.shortcut is not None:
            body = ctx.shortcut.take_body()
            if body is not None:
                if len(body) > max_bytes:
                    raise too_large(max_bytes)
                return body
        task = asyncio.current_task()
        assert task is not None
        self._under_way[task] = self._clock.monotonic()
        if not self._sweeping:
            self._sweeping = True
            self._clock.call_later(_SWEEP_S, self._sweep)
        try:
            return await _read(receive, max_bytes)
        except asyncio.CancelledError:
            if task not in self._late:
                raise
            task.uncancel()
            raise MatrixError(ErrCode.UNKNOWN, "The body took too long to come in", status=408) from None
        finally:
            del self._under_way[task]
            self._late.discard(task)

    def _sweep(self) -> None:
        """Cancel what has been under way for too long; look again as long as anything is under way."""
        too_early = self._clock.monotonic() - BODY_TIMEOUT_S
        for task, began in self._under_way.items():
            if began <= too_early and task not in self._late:
                self._late.add(task)
                task.cancel()
        self._sweeping = bool(self._under_way)
        if self._sweeping:
            self._clock.call_later(_SWEEP_S, self._sweep)


async def _read(receive: Receive, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HungUp
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise too_large(max_bytes)
        if not message.get("more_body"):
            return b"".join([*chunks, chunk]) if chunks else chunk
        chunks.append(chunk)
