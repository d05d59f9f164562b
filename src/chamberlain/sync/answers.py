"""Putting an answer of /sync together out of its sections (client-server API, Syncing)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import orjson

from chamberlain.accounts.requester import Requester
from chamberlain.devices.key_counts import KeyCounter
from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.filters import Filter
from chamberlain.rooms.serialize import Viewer
from chamberlain.rooms.stream_tokens import StreamToken
from chamberlain.rooms.typing import Typing
from chamberlain.runtime.clock import Clock
from chamberlain.store import account_data, kinds
from chamberlain.store.account_data import IGNORED_USERS
from chamberlain.store.database import Database
from chamberlain.store.events import StoredEvent
from chamberlain.store.receipts import Receipt
from chamberlain.sync.assemble.block import Ask, Block, Loaded
from chamberlain.sync.assemble.device_lists import DeviceLists, Met, device_lists, device_lists_between
from chamberlain.sync.assemble.recent import Recent
from chamberlain.sync.assemble.shape import reshape
from chamberlain.sync.assemble.stored import load_rooms
from chamberlain.sync.assemble.write import write_account_data, write_rooms
from chamberlain.sync.inbox import Inbox
from chamberlain.sync.interest import Interest, Note
from chamberlain.sync.lazy import KnownMembers
from chamberlain.sync.log import Entry, RoomLog
from chamberlain.sync.marks import Marks
from chamberlain.sync.presence import Presences
from chamberlain.sync.present import UNKNOWN, Presence
from chamberlain.sync.request import SyncRequest
from chamberlain.sync.wait import Waiting

_OF_A_ROOM: Final = frozenset({kinds.PRIVATE_RECEIPT, kinds.ROOM_ACCOUNT_DATA})
_ACCOUNT_DATA: Final = frozenset({kinds.ACCOUNT_DATA, kinds.ROOM_ACCOUNT_DATA})
_DEVICE_LISTS: Final = frozenset({kinds.DEVICE_LIST, kinds.USER_SIGNATURE})
_NO_RULES: Final = account_data.AccountData("", account_data.PUSH_RULES, b"{}", 0)


class Answer(msgspec.Struct):
    """An answer, and the token it carries; `is_empty`: a client that waits may wait on, from there."""

    body: dict[str, Any]
    token: StreamToken
    is_empty: bool


class _Making(msgspec.Struct):
    """An answer in the making. `upto`: the last position that it covers."""

    request: SyncRequest
    since: StreamToken | None
    interest: Interest
    ephemeral: int
    upto: int
    ask: Ask
    notes: Sequence[Note] = ()
    is_recent: bool = False
    """Whether memory holds all that came since the token."""
    moved: frozenset[str] = frozenset()
    """Rooms in which the user's own membership changed; only where `is_recent`."""
    logs: Mapping[str, RoomLog] = {}
    """The rooms with news that the user was in when the answer was begun; only where `is_recent`."""
    stretches: Mapping[str, Sequence[Entry]] | None = None
    """What happened in these; None where memory did not hold all of it."""

    @property
    def user_id(self) -> str:
        return self.ask.user_id


class Answers:
    """Makes answers."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        waiting: Waiting,
        typing: Typing,
        presences: Presences,
        counter: KeyCounter,
        *,
        epoch: str,
    ) -> None:
        self._db = db
        self._clock = clock
        self._waiting = waiting
        self._typing = typing
        self._presences = presences
        self._counter = counter
        self._epoch = epoch
        self._marks = Marks(db)
        self._recent = Recent(db, self._marks)
        self._inbox = Inbox(db)
        self._known = KnownMembers()

    async def acknowledge(self, requester: Requester, since: StreamToken | None) -> None:
        """The device has what the answer with this token brought."""
        if since is not None and requester.device_id is not None:
            await self._inbox.acknowledge(requester.user_id, requester.device_id, since.position)

    def may_have_news(self, interest: Interest, device_id: str | None, since: StreamToken) -> bool:
        """Whether an answer may have anything in it; asks no database."""
        return (
            since.position < interest.floor
            or since.ephemeral < interest.ephemeral_floor
            or self._waiting.is_unsure(since.position)
            or interest.has_news(device_id, since.position, since.ephemeral)
        )

    async def nothing(self, requester: Requester, since: StreamToken) -> Answer:
        """The answer when nothing has come."""
        ephemeral = max(since.ephemeral, self._typing.position)
        token = StreamToken(self._epoch, max(since.position, self._db.position), ephemeral)
        body: dict[str, Any] = {"next_batch": str(token)}
        await self._add_key_counts(body, requester)
        return Answer(body, token, True)

    async def make(self, request: SyncRequest, since: StreamToken | None) -> Answer:
        """What came since the token; everything where there is none."""
        making = await self._begin(request, since)
        device_id = request.requester.device_id
        messages: list[bytes] = []
        if since is not None:
            delivery = await self._inbox.deliver(making.user_id, device_id, making.upto, first=False)
            messages = delivery.messages
            if delivery.upto is not None:
                self._cut(making, delivery.upto)
        loaded = await self._load(making)
        if since is None:
            delivery = await self._inbox.deliver(making.user_id, device_id, loaded.position, first=True)
            messages = delivery.messages
            loaded.position = loaded.position if delivery.upto is None else delivery.upto
        self._add_typing(making, loaded)
        self._remember_members(making, loaded)
        lists = await self._device_lists(making)
        if not _is_plain(making.ask.filter):
            await self._db.snapshot(reshape, making.ask, loaded)
        return await self._write(making, loaded, messages, lists)

    async def _begin(self, request: SyncRequest, since: StreamToken | None) -> _Making:
        requester = request.requester
        interest = await self._waiting.listen(requester.user_id)
        if interest.ignored is None:
            interest.ignored = await self._ignored_by(requester.user_id)
        ask = Ask(
            viewer=Viewer(requester.user_id, requester.txn_scope),
            device_id=requester.device_id,
            filter=request.filter,
            since=None if since is None else since.position,
            upto=None,
            now=self._clock.now(),
            epoch=self._epoch,
            full_state=request.full_state,
            state_after=request.use_state_after,
            ignored=interest.ignored or frozenset(),
        )
        # Another worker that has heard more has told of what this one will hear up to the token's place.
        ephemeral = max(0 if since is None else since.ephemeral, self._typing.position)
        making = _Making(request, since, interest, ephemeral, self._db.position, ask)
        if since is not None:
            making.is_recent = since.position >= interest.floor and not request.full_state
            self._cut(making, making.upto)
            if making.is_recent:
                self._take(making, since.position)
        return making

    def _take(self, making: _Making, since: int) -> None:
        """Keep what memory holds now: while the answer is made, logs may forget, and the user may leave."""
        interest = making.interest
        found = dict.fromkeys(interest.rooms_since(since))
        found.update((note.ref, None) for note in making.notes if note.kind in _OF_A_ROOM and note.ref)
        making.logs = {
            room_id: interest.joined[room_id]
            for room_id in found
            if room_id in interest.joined and making.ask.wants_room(room_id)
        }
        making.stretches = self._recent.stretches(making.logs.values(), since, making.upto)

    def _cut(self, making: _Making, upto: int) -> None:
        """Let the answer cover what came up to this position, and no more."""
        making.upto = upto
        making.ask = msgspec.structs.replace(making.ask, upto=upto)
        if making.is_recent and making.ask.since is not None:
            making.notes = making.interest.notes_since(making.ask.since, upto)
            making.moved = frozenset(
                note.ref for note in making.notes if note.kind == kinds.MEMBERSHIP and note.ref is not None
            )

    async def _ignored_by(self, user_id: str) -> frozenset[str]:
        stored = await self._db.read(account_data.find, user_id, "", IGNORED_USERS)
        found = None if stored is None else orjson.loads(stored).get("ignored_users")
        return frozenset(found) if isinstance(found, dict) else frozenset()

    # -------------------------------------------------------------------------------------------- rooms

    async def _load(self, making: _Making) -> Loaded:
        interest = making.interest
        if not making.is_recent:
            making.ask = self._with_known(making, interest.joined)
            return await self._load_stored(making)
        own_receipts = _private_receipts(making.notes)
        news = [room_id for room_id in making.logs if room_id not in making.moved]
        making.ask = self._with_known(making, news)
        receipts_known = all(
            isinstance(note.payload, Receipt) for note in making.notes if note.kind == kinds.PRIVATE_RECEIPT
        )
        if making.moved or not receipts_known or making.stretches is None:
            return await self._load_stored(making, news)
        loaded = Loaded(making.upto)
        if news:
            logs = [making.logs[room_id] for room_id in news]
            loaded.joined = await self._recent.blocks(
                making.ask, logs, making.stretches, making.upto, own_receipts
            )
        if any(note.kind in _ACCOUNT_DATA for note in making.notes):
            await self._add_account_data(making, loaded)
        return loaded

    async def _load_stored(self, making: _Making, news: Sequence[str] | None = None) -> Loaded:
        drops = self._marks.drops
        moved = None if news is None else making.moved
        loaded = await self._db.snapshot(load_rooms, making.ask, news, moved)
        counts = {room: block.unread for room, block in loaded.joined.items() if block.unread is not None}
        self._marks.learn(making.user_id, counts, drops)
        return loaded

    def _with_known(self, making: _Making, rooms: Iterable[str]) -> Ask:
        ask = making.ask
        if not ask.is_lazy or ask.since is None:
            return ask
        known = {room_id: self._known.of(ask.user_id, ask.device_id, room_id) for room_id in rooms}
        return msgspec.structs.replace(ask, known=known)

    async def _add_account_data(self, making: _Making, loaded: Loaded) -> None:
        assert making.ask.since is not None
        found = await self._db.read(account_data.changed_since, making.user_id, making.ask.since, making.upto)
        loaded.account_data = [piece for piece in found if not piece.room_id]
        for piece in found:
            block = loaded.joined.get(piece.room_id)
            if block is not None:
                block.account_data = [*block.account_data, piece]

    def _add_typing(self, making: _Making, loaded: Loaded) -> None:
        interest = making.interest
        if making.since is None:
            typing = {room_id: users for room_id in loaded.joined if (users := self._typing.users(room_id))}
        elif making.since.ephemeral < interest.ephemeral_floor:
            typing = self._typing.since(interest.joined, making.since.ephemeral)
        else:
            moved = interest.typed_since(making.since.ephemeral)
            typing = {room_id: self._typing.users(room_id) for room_id in moved}
        for room_id, users in typing.items():
            if room_id not in interest.joined or not making.ask.wants_room(room_id):
                continue
            if making.ask.filter.room.ephemeral.wants_type("m.typing"):
                loaded.joined.setdefault(room_id, Block()).typing = users

    def _remember_members(self, making: _Making, loaded: Loaded) -> None:
        ask = making.ask
        if not ask.is_lazy:
            return
        for room_id, block in loaded.joined.items():
            anew = block.is_fresh or ask.since is None
            if block.members or anew:
                self._known.sent(
                    ask.user_id, ask.device_id, room_id, block.members, loaded.position, anew=anew
                )

    # ------------------------------------------------------------------------------------ other sections

    async def _device_lists(self, making: _Making) -> DeviceLists:
        ask = making.ask
        if ask.since is None:
            return DeviceLists()
        if not making.is_recent or making.moved or self._waiting.is_unsure(ask.since):
            return await self._db.snapshot(device_lists_between, ask.user_id, ask.since, making.upto)
        changed = {note.ref for note in making.notes if note.kind in _DEVICE_LISTS and note.ref is not None}
        met = Met()
        for room_id in making.interest.rooms_since(ask.since):
            log = making.interest.joined[room_id]
            if log.floor > ask.since:
                return await self._db.snapshot(device_lists_between, ask.user_id, ask.since, making.upto)
            met.add(entry.event for entry in log.since(ask.since, making.upto) if _is_membership(entry.event))
        if met.events:
            return await self._db.snapshot(device_lists, ask.user_id, changed, met, (), ())
        return DeviceLists(sorted(changed))

    def _presence(self, making: _Making) -> list[dict[str, Any]]:
        wanted = making.ask.filter.presence
        if not self._presences.enabled or wanted.is_closed:
            return []
        interest, since = making.interest, making.since
        found: dict[str, Presence] = {}
        if since is None:
            found.update(self._presences.seen_by(making.user_id))
        else:
            if since.ephemeral < interest.ephemeral_floor:
                found.update(self._presences.seen_by(making.user_id, after=since.ephemeral))
            for user_id in interest.present_since(since.ephemeral):
                found[user_id] = self._presences.find(user_id) or UNKNOWN
        return [
            {"type": "m.presence", "sender": user_id, "content": shown.content(making.ask.now)}
            for user_id, shown in found.items()
            if wanted.matches("m.presence", user_id)
        ]

    async def _add_key_counts(self, body: dict[str, Any], requester: Requester) -> None:
        if requester.device_id is None:
            body["device_one_time_keys_count"] = {}
            return
        counts = await self._counter.count(requester.user_id, requester.device_id)
        body["device_one_time_keys_count"] = {"signed_curve25519": 0, **counts.one_time}
        body["device_unused_fallback_key_types"] = counts.unused_fallback

    async def _write(
        self, making: _Making, loaded: Loaded, messages: Sequence[bytes], lists: DeviceLists
    ) -> Answer:
        ask = making.ask
        token = StreamToken(self._epoch, loaded.position, making.ephemeral)
        body: dict[str, Any] = {"next_batch": str(token)}
        rooms = write_rooms(ask, loaded)
        if rooms:
            body["rooms"] = rooms
        pieces = list(loaded.account_data)
        if making.since is None and all(piece.type != account_data.PUSH_RULES for piece in pieces):
            pieces.append(_NO_RULES)
        events = write_account_data(ask.user_id, pieces, ask.filter.account_data)
        presence = self._presence(making)
        for name, section in (("account_data", events), ("presence", presence)):
            if section:
                body[name] = {"events": section}
        if messages:
            body["to_device"] = {"events": [orjson.Fragment(message) for message in messages]}
        if lists:
            body["device_lists"] = {"changed": list(lists.changed), "left": list(lists.left)}
        is_empty = len(body) == 1 and all(note.kind != kinds.ONE_TIME_KEYS for note in making.notes)
        await self._add_key_counts(body, making.request.requester)
        return Answer(body, token, is_empty)


def _is_plain(wanted: Filter) -> bool:
    return wanted.event_fields is None and wanted.event_format == "client"


def _private_receipts(notes: Iterable[Note]) -> dict[str, list[Receipt]]:
    found: dict[str, list[Receipt]] = {}
    for note in notes:
        if note.kind == kinds.PRIVATE_RECEIPT and note.ref is not None:
            found.setdefault(note.ref, [])
            if isinstance(note.payload, Receipt):
                found[note.ref].append(note.payload)
    return found


def _is_membership(event: StoredEvent) -> bool:
    return event.type == MEMBER and event.state_key is not None
