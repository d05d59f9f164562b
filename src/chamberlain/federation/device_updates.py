"""Telling other servers of changed devices and cross-signing keys (server-server API, Device Management).

A follower of the change stream with a stored cursor: what changed is told also where the server stopped meanwhile.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec
import orjson

from chamberlain.devices.for_servers import SHOWN, KeysForServers
from chamberlain.matrix import canonical_json
from chamberlain.matrix.ids import find_server_of
from chamberlain.matrix.types import JsonObject
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.log import get_logger
from chamberlain.runtime.tasks import Tasks
from chamberlain.store import cross_signing, device_keys, device_streams, devices, kinds, memberships
from chamberlain.store.cross_signing import KeyRow
from chamberlain.store.database import Database
from chamberlain.store.device_streams import ListChange, Telling
from chamberlain.store.points import memberships_since
from chamberlain.store.tx import Change, Read, Stale

BATCH: Final = 200
DELAY_S: Final = 0.1
"""A login, its keys and their signatures come one after the other; they are told together."""
RETRY_S: Final = 5.0
SERVERS_AT_ONCE: Final = 500
"""So many queues are written in one transaction."""

_FOLLOWED: Final = frozenset({kinds.DEVICE_LIST, kinds.MEMBERSHIP})
_log = get_logger("devices")


class _Owner(msgspec.Struct):
    """A user of this server, and what others are to be told."""

    user_id: str
    rooms: list[memberships.Membership]
    stream_id: int
    existing: set[str]
    keys: dict[str, tuple[bytes, str | None]]
    """Keys and display name by device."""
    signing: list[KeyRow]


class DeviceUpdates:
    """Follows the changes of devices."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        keys: KeysForServers,
        servers_in: Callable[[str], Awaitable[frozenset[str]]],
        server_name: str,
    ) -> None:
        """`servers_in`: the other servers in a room."""
        self._db = db
        self._clock = clock
        self._keys = keys
        self._servers_in = servers_in
        self._server_name = server_name
        self._tasks = Tasks()
        self._woken = asyncio.Event()
        db.subscribe(self._heard)

    def start(self) -> None:
        """Begin to follow."""
        self._tasks.spawn("tell servers of devices", self._run())

    async def close(self) -> None:
        """Stop; what was not told yet is told after the next start."""
        await self._tasks.close()

    def _heard(self, changes: Sequence[Change]) -> None:
        if any(change.kind in _FOLLOWED for change in changes):
            self._woken.set()

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            try:
                if await self._step():
                    continue
            except Exception:
                _log.exception("other servers could not be told of devices")
                await self._clock.sleep(RETRY_S)
                continue
            await self._woken.wait()
            await self._clock.sleep(DELAY_S)

    async def _step(self) -> bool:
        """Tell of the next changes; whether there may be more."""
        before, changes = await self._db.read(device_streams.list_changes, BATCH)
        if not changes:
            return False
        ours = [change for change in changes if find_server_of(change.user_id) == self._server_name]
        tellings: list[Telling] = []
        streams: dict[str, int] = {}
        for user_id in dict.fromkeys(change.user_id for change in ours):
            theirs = [change for change in ours if change.user_id == user_id]
            if not await self._concerns_others(theirs):
                continue
            owner = await self._db.read(_owner, user_id)
            stream_id = await self._tell(owner, theirs, before, tellings)
            if stream_id != owner.stream_id:
                streams[user_id] = stream_id
        parts = list(_parts(tellings))
        for part in parts[:-1]:
            await self._db.write(device_streams.add, part)
        try:
            last = parts[-1] if parts else []
            await self._db.write(device_streams.finish, before, changes[-1].position, last, streams)
        except Stale:
            # Another worker has told them.
            pass
        return True

    async def _concerns_others(self, changes: Sequence[ListChange]) -> bool:
        """Whether there may be something to tell: most joins are of rooms without other servers."""
        for change in changes:
            if change.kind == kinds.DEVICE_LIST or await self._servers_in(change.ref or ""):
                return True
        return False

    async def _tell(
        self, owner: _Owner, changes: Sequence[ListChange], before: int, tellings: list[Telling]
    ) -> int:
        """Add what is to be told of a user; give the stream id of their latest update after that."""
        by_room = {room.room_id: await self._servers_in(room.room_id) for room in owner.rooms}
        servers = frozenset[str]().union(*by_room.values())
        stream_id = owner.stream_id
        changed: dict[str, int] = {}
        for change in changes:
            if change.kind == kinds.DEVICE_LIST and change.ref is not None:
                changed[change.ref] = change.position
        if not servers:
            # Who shares a room later must not take what they know from before for the latest.
            return max(changed.values(), default=stream_id)
        for device_id, position in sorted(changed.items(), key=lambda item: item[1]):
            content = self._content(owner, device_id)
            if content is not None:
                content |= {"stream_id": position, "prev_id": [stream_id]}
                tellings.append(_telling("m.device_list_update", content, device_id, servers))
                stream_id = position
        if owner.signing and any(
            change.kind == kinds.DEVICE_LIST and change.ref is None for change in changes
        ):
            keys = {f"{key.usage}_key": orjson.Fragment(key.key) for key in owner.signing}
            tellings.append(_telling("m.signing_key_update", {"user_id": owner.user_id, **keys}, "", servers))
        entered = await self._db.read(_entered, owner.rooms, {change.ref for change in changes}, before)
        others = [by_room[room_id] for room_id in by_room if room_id not in entered]
        new = frozenset[str]().union(*(by_room[room_id] for room_id in entered)).difference(*others)
        if new and owner.keys:
            device_id = max(owner.keys)
            content = self._content(owner, device_id) or {}
            # Without what came before, their servers ask for the whole list.
            content |= {"stream_id": stream_id, "prev_id": []}
            tellings.append(_telling("m.device_list_update", content, device_id, new))
        return stream_id

    def _content(self, owner: _Owner, device_id: str) -> JsonObject | None:
        """What others are told of a device; None: nothing, as long as it has no keys."""
        content: JsonObject = {"user_id": owner.user_id, "device_id": device_id}
        if device_id not in owner.existing:
            return content | {"deleted": True}
        if device_id not in owner.keys:
            return None
        keys, name = owner.keys[device_id]
        return content | {"keys": orjson.Fragment(keys), **self._keys.name_of(name)}


def _telling(kind: str, content: Mapping[str, object], device_id: str, servers: frozenset[str]) -> Telling:
    edu = canonical_json.encode_unchecked({"content": content, "edu_type": kind})
    return Telling(edu, f"{kind} {content['user_id']} {device_id}", servers)


def _parts(tellings: Sequence[Telling]) -> Iterator[list[Telling]]:
    """The same in parts that write to a bounded number of queues each."""
    part: list[Telling] = []
    size = 0
    for telling in tellings:
        servers = sorted(telling.servers)
        for first in range(0, len(servers), SERVERS_AT_ONCE):
            some = servers[first : first + SERVERS_AT_ONCE]
            if size + len(some) > SERVERS_AT_ONCE:
                yield part
                part, size = [], 0
            part.append(Telling(telling.edu, telling.key, some))
            size += len(some)
    if part:
        yield part


async def _owner(tx: Read, user_id: str) -> _Owner:
    return _Owner(
        user_id=user_id,
        rooms=await memberships.rooms_of(tx, user_id, ("join",)),
        stream_id=await device_streams.latest(tx, user_id),
        existing={row[0] for row in await devices.list_of(tx, user_id)},
        keys={row[1]: (row[2], row[3]) for row in await device_keys.of_users(tx, [user_id])},
        signing=[key for _, key in await cross_signing.of_users(tx, [user_id]) if key.usage in SHOWN],
    )


async def _entered(
    tx: Read, rooms: Sequence[memberships.Membership], touched: set[str | None], since: int
) -> set[str]:
    """Which of the rooms the user has come into after a position; another name is no coming."""
    return {
        room.room_id
        for room in rooms
        if room.room_id in touched and set(await memberships_since(tx, room.event_id, since)) != {"join"}
    }
