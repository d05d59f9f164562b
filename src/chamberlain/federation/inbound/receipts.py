"""How far users of other servers have read (server-server API, Receipts)."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Annotated, Final

import msgspec

from chamberlain.federation.inbound.edus import decode, is_user_of
from chamberlain.federation.inbound.participants import Participants
from chamberlain.matrix.ids import MAX_ID_BYTES
from chamberlain.runtime.cache import Cache
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.tasks import Tasks
from chamberlain.store import kinds, receipts
from chamberlain.store.database import Database
from chamberlain.store.receipts import MAIN, READ, UNTHREADED, Receipt
from chamberlain.store.tx import Change, Read, Write

KEPT: Final = 1_000
"""For so many events that have not come yet receipts are kept."""
KEPT_FOR_ONE: Final = 100
MAX_EVENTS: Final = 20
"""So many event ids of one receipt are looked at."""
MAX_RECEIPTS: Final = 2_000
"""So many receipts of one transaction are looked at; they are written together."""


class _Data(msgspec.Struct, frozen=True):
    ts: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    thread_id: str | None = None


class _UserReceipt(msgspec.Struct):
    event_ids: list[str]
    data: _Data = _Data()


class _Room(msgspec.Struct):
    read: dict[str, msgspec.Raw] = msgspec.field(name=READ, default_factory=dict)


class IncomingReceipts:
    """Takes m.receipt. A receipt often comes before its event is accepted, and waits for it in memory."""

    def __init__(self, db: Database, clock: Clock, participants: Participants) -> None:
        self._db = db
        self._clock = clock
        self._participants = participants
        self._tasks = Tasks()
        self._early: Cache[str, list[Receipt]] = Cache(KEPT, "early receipts")
        """By the event that is not here yet."""
        db.subscribe(self._heard)

    async def close(self) -> None:
        """End the background work."""
        await self._tasks.close()

    async def handle(self, origin: str, contents: Sequence[msgspec.Raw]) -> None:
        """Receipts of the server's users who are joined stand where it says, unless they stand further on."""
        found = [
            receipt
            for receipt in islice(self._read_all(origin, contents), MAX_RECEIPTS)
            if await self._participants.may_act(origin, receipt.room_id, receipt.user_id)
        ]
        if found:
            await self._put(found)

    def _read_all(self, origin: str, contents: Sequence[msgspec.Raw]) -> Iterator[Receipt]:
        for rooms in decode(contents, dict[str, msgspec.Raw]):
            for room_id, raw in rooms.items():
                for room in decode([raw], _Room):
                    yield from self._read(origin, room_id, room)

    def _read(self, origin: str, room_id: str, room: _Room) -> Iterator[Receipt]:
        for user_id, raw in room.read.items():
            for theirs in decode([raw], _UserReceipt) if is_user_of(origin, user_id) else ():
                thread = theirs.data.thread_id
                if thread is not None and thread != MAIN and not _is_event_id(thread):
                    continue
                for event_id in filter(_is_event_id, theirs.event_ids[:MAX_EVENTS]):
                    yield Receipt(
                        room_id=room_id,
                        user_id=user_id,
                        type=READ,
                        thread=UNTHREADED if thread is None else thread,
                        event_id=event_id,
                        event_position=0,
                        ts=min(theirs.data.ts, self._clock.now()),
                    )

    async def _put(self, found: Sequence[Receipt]) -> None:
        early_ones = await self._db.write(_put_all, found)
        for early in early_ones:
            waiting = self._early.get(early.event_id)
            if waiting is None:
                self._early.set(early.event_id, [early])
            elif len(waiting) < KEPT_FOR_ONE:
                waiting.append(early)
        if early_ones:
            # An event that came just then, through another worker perhaps, was not looked out for yet.
            for event_id in await self._db.read(_that_came, early_ones):
                await self._put(self._early.pop(event_id) or [])

    def _heard(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.kind == kinds.EVENT and change.ref is not None and change.ref in self._early:
                waiting = self._early.pop(change.ref) or []
                self._tasks.spawn("take receipts for an event that came", self._put(waiting))


def _is_event_id(text: str) -> bool:
    return text.startswith("$") and len(text) <= MAX_ID_BYTES


async def _put_all(tx: Write, found: Sequence[Receipt]) -> list[Receipt]:
    """Move receipts forward; give those whose event the room does not have."""
    early: list[Receipt] = []
    for receipt in found:
        position = await receipts.find_position(tx, receipt.room_id, receipt.event_id)
        if position is None:
            early.append(receipt)
        else:
            await receipts.put(tx, msgspec.structs.replace(receipt, event_position=position))
    return early


async def _that_came(tx: Read, early: Sequence[Receipt]) -> list[str]:
    """The events of these receipts that are here after all."""
    return [
        event_id
        for room_id, event_id in sorted({(receipt.room_id, receipt.event_id) for receipt in early})
        if await receipts.find_position(tx, room_id, event_id) is not None
    ]
