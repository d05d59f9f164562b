"""What waits in the queue of a room for its turn."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MatrixError
from chamberlain.matrix.events import Draft, Event
from chamberlain.matrix.ids import EventID
from chamberlain.rooms.pipeline.head import Stored


class Txn(msgspec.Struct, frozen=True):
    """What makes a request the repetition of an earlier one: user, device, path, transaction id."""

    user_id: str
    device: str
    path: str
    txn_id: str


class Made(msgspec.Struct, frozen=True):
    """An event that was made of a draft, and the events that authorize it."""

    event: Event
    auth: Sequence[Stored]


class Waiting:
    """A local draft."""

    __slots__ = ("draft", "future", "instead_of", "is_away", "is_settled", "result", "signed", "txn")

    def __init__(self, draft: Draft, txn: Txn | None = None, instead_of: str | None = None) -> None:
        self.draft = draft
        self.txn = txn
        self.instead_of = instead_of
        self.future: asyncio.Future[EventID] = asyncio.get_running_loop().create_future()
        # Whoever asked may have gone: an error that nobody fetches is no news.
        self.future.add_done_callback(_fetched)
        self.result: EventID | MatrixError | None = None
        self.is_settled = False
        """The event is written, be it by an earlier request."""
        self.is_away = False
        """The policy server is asked about it, or others that it is asked about are waited for."""
        self.signed: Made | None = None
        """The event, once the policy server has signed it."""

    def deliver(self) -> None:
        """Tell the one who asked."""
        if self.future.done():
            return
        if isinstance(self.result, MatrixError):
            self.future.set_exception(self.result)
        elif self.result is not None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(
                MatrixError(ErrCode.UNKNOWN, "The room is too busy; try again", status=503)
            )

    def fail(self, error: Exception) -> None:
        """Tell the one who asked of what nobody foresaw."""
        if not self.future.done():
            self.future.set_exception(error)


class Turn:
    """Work that is done while nothing else happens in the room on this worker."""

    __slots__ = ("future", "work")

    def __init__(self, work: Callable[[], Awaitable[Any]], future: asyncio.Future[Any]) -> None:
        self.work = work
        self.future = future

    async def take(self) -> None:
        """Do the work and tell the one who asked."""
        try:
            result = await self.work()
        except Exception as error:
            if not self.future.done():
                self.future.set_exception(error)
        else:
            if not self.future.done():
                self.future.set_result(result)

    def deliver(self) -> None:
        """The work will not be done."""
        self.future.cancel()


def _fetched(future: asyncio.Future[EventID]) -> None:
    if not future.cancelled():
        future.exception()
