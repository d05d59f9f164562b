"""Transactions of other servers: staged durably, then answered (server-server API, Transactions)."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import orjson

from chamberlain.federation.inbound.edus import Edus
from chamberlain.matrix.errors import BadJson, Forbidden, InvalidParam, LimitExceeded, MatrixError
from chamberlain.matrix.events import Event
from chamberlain.matrix.hashes import decode_for, event_id_from, reference_hash, signed_bytes
from chamberlain.matrix.ids import MAX_ID_BYTES
from chamberlain.matrix.versions import V12, RoomVersion, get_room_version
from chamberlain.rooms.acl import is_allowed
from chamberlain.rooms.joined import is_ours
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.runtime.clock import Clock
from chamberlain.store import entering, outside, staged
from chamberlain.store.database import Database
from chamberlain.store.staged import ReceivedTransaction, StagedPdus
from chamberlain.store.tx import Read

MAX_PDUS: Final = 50
MAX_EDUS: Final = 100
AT_ONCE: Final = 20
"""So many transactions of one server are taken at the same time; the specification knows of one."""
RETRY_MS: Final = 2_000
"""When a server that sends too much may try again."""
ROOM_EVENTS: Final = 1_000
"""So many PDUs of a server may wait in one room; further ones are refused."""
ORIGIN_EVENTS: Final = 10_000
"""From so many waiting PDUs of a server on its transactions are refused, and also from so many bytes:"""
ORIGIN_BYTES: Final = 64 * 1024 * 1024
LIFETIME_MS: Final = 24 * 3_600_000
"""How long the repetition of a transaction is recognized."""
PRUNE_EVERY_S: Final = 3_600.0
PRUNE_PAUSE_S: Final = 0.05

_EMPTY: Final[Mapping[str, str]] = {}


class _Transaction(msgspec.Struct):
    origin: str | None = None
    pdus: list[msgspec.Raw] = []
    edus: list[msgspec.Raw] = []


class _Place(msgspec.Struct):
    """What of a PDU is the same in all room versions."""

    room_id: str


class _Outcome:
    """What became of the PDUs of a transaction."""

    def __init__(self) -> None:
        self.answer: dict[str, Mapping[str, str]] = {}
        self.rooms: dict[str, list[tuple[str, bytes]]] = {}

    def refuse(self, event_id: str | None, why: str) -> None:
        """The sender hears of it, where there is a name for the PDU."""
        if event_id is not None:
            self.answer.setdefault(event_id, {"error": why})

    def stage(self, event: Event) -> None:
        """The PDU is taken, once."""
        if event.event_id not in self.answer:
            self.answer[event.event_id] = _EMPTY
            self.rooms.setdefault(event.room_id, []).append((event.event_id, event.pdu))


class _Room(msgspec.Struct, frozen=True):
    """A room that PDUs are for: how many may be staged, or why none."""

    version: RoomVersion
    space: int = 0
    refusal: str | None = None


class Transactions:
    """Takes the transactions of other servers."""

    def __init__(self, db: Database, clock: Clock, heads: Heads, edus: Edus) -> None:
        self._db = db
        self._clock = clock
        self._heads = heads
        self._edus = edus
        self._under_way: dict[str, dict[str, asyncio.Future[bytes | None]]] = {}

    async def receive(self, origin: str, txn_id: str, body: bytes) -> bytes:
        """Give the answer to a transaction, once its EDUs are handed out and its PDUs are staged durably.

        A transaction that was received before gets the answer of then and has no other effect; one that is under
        way is waited for.

        Raises:
            BadJson: it has the wrong shape, or more than 50 PDUs or 100 EDUs.
            InvalidParam: the transaction id is too long.
            Forbidden: it says that it is of another server.
            LimitExceeded: too much of this server waits; nothing was taken.
        """
        if len(txn_id) > MAX_ID_BYTES:
            raise InvalidParam(f"A transaction id has at most {MAX_ID_BYTES} characters")
        under_way = self._under_way.setdefault(origin, {})
        while (first := under_way.get(txn_id)) is not None:
            answer = await asyncio.shield(first)
            if answer is not None:
                return answer
        if len(under_way) >= AT_ONCE:
            raise LimitExceeded(RETRY_MS, "Send one transaction after the other")
        mine: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        under_way[txn_id] = mine
        answer = None
        try:
            answer = await self._take(origin, txn_id, _decode(origin, body))
            return answer
        finally:
            del under_way[txn_id]
            if not under_way:
                self._under_way.pop(origin, None)
            # After a failure None: whoever waited for this one tries it again.
            mine.set_result(answer)

    async def _take(self, origin: str, txn_id: str, transaction: _Transaction) -> bytes:
        known, waiting = await self._db.read(_look, origin, txn_id)
        if known is not None:
            return known
        if (
            sum(room.events for room in waiting) >= ORIGIN_EVENTS
            or sum(room.size for room in waiting) >= ORIGIN_BYTES
        ):
            raise LimitExceeded(RETRY_MS, "Too many of your events wait")
        # The EDUs first: once the transaction counts as received nobody brings them again.
        await self._edus.handle(origin, transaction.edus)
        outcome = await self._sort(origin, transaction.pdus, {room.room_id: room.events for room in waiting})
        received = ReceivedTransaction(
            origin,
            txn_id,
            orjson.dumps({"pdus": outcome.answer}),
            self._clock.now(),
            [StagedPdus(room_id, pdus) for room_id, pdus in outcome.rooms.items()],
        )
        repeated = await self._db.write_batch(staged.receive, received)
        return received.answer if repeated is None else repeated

    async def _sort(self, origin: str, pdus: Sequence[msgspec.Raw], waiting: Mapping[str, int]) -> _Outcome:
        """Parse the PDUs and put them to their rooms."""
        outcome = _Outcome()
        rooms: dict[str, _Room] = {}
        for pdu in map(bytes, pdus):
            try:
                room_id = msgspec.json.decode(pdu, type=_Place).room_id
            except (msgspec.MsgspecError, UnicodeError, RecursionError):
                outcome.refuse(_name_of(pdu, V12), "It names no room")
                continue
            room = rooms.get(room_id)
            if room is None:
                room = rooms[room_id] = await self._room(origin, room_id, waiting.get(room_id, 0))
            if room.refusal is not None:
                outcome.refuse(_name_of(pdu, room.version), room.refusal)
            elif len(outcome.rooms.get(room_id, ())) >= room.space:
                outcome.refuse(_name_of(pdu, room.version), "Too many of your events wait in this room")
            else:
                _parse(outcome, pdu, room.version)
        return outcome

    async def _room(self, origin: str, room_id: str, waiting: int) -> _Room:
        head = await self._heads.find(room_id)
        if head is None or not is_ours(head):
            version = await self._db.read(_version_from_outside, room_id, self._clock.now())
            if version is not None:
                return _Room(get_room_version(version), ROOM_EVENTS - waiting)
            # Ids are the same in most versions.
            return _Room(V12 if head is None else head.version, refusal="This server is not in the room")
        if not await is_allowed(self._heads, room_id, origin):
            return _Room(head.version, refusal="Your server is banned from the room")
        return _Room(head.version, ROOM_EVENTS - waiting)

    async def prune_forever(self) -> None:
        """Forget old transactions, every hour."""
        while True:
            before = self._clock.now() - LIFETIME_MS
            while await self._db.write(staged.forget_transactions, before):
                await self._clock.sleep(PRUNE_PAUSE_S)
            await self._clock.sleep(PRUNE_EVERY_S)


async def _version_from_outside(tx: Read, room_id: str, now: int) -> str | None:
    """The version of a room that one of ours waits outside of, or is just entering."""
    return await entering.find_version(tx, room_id, now) or await outside.find_version(tx, room_id)


async def _look(tx: Read, origin: str, txn_id: str) -> tuple[bytes | None, list[staged.Waiting]]:
    return await staged.find_answer(tx, origin, txn_id), await staged.waiting_of(tx, origin)


def _decode(origin: str, body: bytes) -> _Transaction:
    try:
        transaction = msgspec.json.decode(body, type=_Transaction)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise BadJson(f"Not a transaction: {error}") from None
    if transaction.origin not in (None, origin):
        raise Forbidden("The transaction is not of the server that signed the request")
    if len(transaction.pdus) > MAX_PDUS or len(transaction.edus) > MAX_EDUS:
        raise BadJson(f"A transaction has at most {MAX_PDUS} PDUs and {MAX_EDUS} EDUs")
    return transaction


def _parse(outcome: _Outcome, pdu: bytes, version: RoomVersion) -> None:
    try:
        outcome.stage(Event.parse(pdu, version))
    except MatrixError as refusal:
        outcome.refuse(_name_of(pdu, version), refusal.message)


def _name_of(pdu: bytes, version: RoomVersion) -> str | None:
    """The id of what may be no event at all, or not of this version; None where it has none."""
    try:
        fields = decode_for(version, pdu)
        if not isinstance(fields, dict):
            return None
        given = fields.get("event_id")
        if isinstance(given, str) and len(given) <= MAX_ID_BYTES:
            return given
        if not isinstance(fields.get("type"), str) or not isinstance(fields.get("content"), dict):
            return None
        return event_id_from(reference_hash(signed_bytes(fields, version)), version)
    except BadJson:
        return None
