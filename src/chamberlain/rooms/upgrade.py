"""Replacing a room by one of another version (client-server API, Room Upgrades)."""

import asyncio
from collections.abc import Sequence
from typing import Final
from weakref import WeakValueDictionary

import msgspec

from chamberlain.matrix.auth_rules.power_levels import CREATE_KEY, POWER_LEVELS_KEY
from chamberlain.matrix.errors import Forbidden
from chamberlain.matrix.event_types import CANONICAL_ALIAS, MEMBER
from chamberlain.matrix.events import Draft, Event
from chamberlain.matrix.ids import RoomID, parse_user_id
from chamberlain.matrix.types import JsonObject, text_of
from chamberlain.matrix.versions import RoomVersion, get_room_version
from chamberlain.rooms.create import State, new_room_id, state_drafts
from chamberlain.rooms.inheritance import Inheritance
from chamberlain.rooms.joined import must_be_joined
from chamberlain.rooms.pipeline.head import LEVEL_KEYS, Head, Heads
from chamberlain.rooms.pipeline.submit import Submit
from chamberlain.rooms.power import may_set
from chamberlain.rooms.succession import (
    HANDED_ON,
    TOMBSTONE,
    create_content,
    join_rules,
    power_levels,
    quieted,
    raised_for,
)
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.rng import Rng
from chamberlain.store import aliases, directory, events, memberships, room_state
from chamberlain.store.database import Database
from chamberlain.store.spaces import SPACE_CHILD
from chamberlain.store.tx import Read

BATCH: Final = 100


class Upgrade:
    """Replaces rooms."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        rng: Rng,
        heads: Heads,
        submit: Submit,
        inheritance: Inheritance,
    ) -> None:
        self._db = db
        self._clock = clock
        self._rng = rng
        self._heads = heads
        self._submit = submit
        self._inheritance = inheritance
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def upgrade(
        self, user_id: str, room_id: str, new_version: str, additional_creators: Sequence[str] = ()
    ) -> RoomID:
        """Have the room replaced by one of this version; give its id. A repetition gives the same room.

        Raises:
            MatrixError: UNSUPPORTED_ROOM_VERSION.
            InvalidParam: an additional creator is no user.
            NotFound: there is no such room.
            NotJoined: the user is not in the room.
            Forbidden: the user may not end the room; nothing is made then.
        """
        version = get_room_version(new_version)
        additional = [str(parse_user_id(creator)) for creator in additional_creators]
        if not version.creators_have_infinite_power:
            additional = []
        lock = self._locks.setdefault(room_id, asyncio.Lock())
        async with lock:
            await self._heads.get(room_id)
            await must_be_joined(self._heads, room_id, user_id)
            if not await may_set(self._heads, room_id, user_id, TOMBSTONE):
                raise Forbidden("You do not have the power to replace this room")
            new_room = await self._earlier(user_id, room_id, version)
            if new_room is None:
                new_room = await self._replace(user_id, room_id, version, additional)
            await self._wind_up(user_id, room_id, new_room)
        return RoomID(new_room)

    async def _earlier(self, user_id: str, room_id: str, version: RoomVersion) -> str | None:
        """The room that the same upgrade has made before."""
        tombstone = await self._heads.current(room_id, TOMBSTONE)
        named = None if tombstone is None else text_of(tombstone.content, "replacement_room")
        head = None if named is None else await self._heads.find(named)
        if head is None or head.version.id != version.id or head.creator != user_id:
            return None
        return head.room_id

    async def _replace(
        self, user_id: str, room_id: str, version: RoomVersion, additional: Sequence[str]
    ) -> str:
        head = await self._heads.get(room_id)
        await self._heads.load(head, LEVEL_KEYS)
        create = head.state[CREATE_KEY]
        assert create is not None
        content = create_content(create.event, head.extremities[-1].event_id, version, user_id, additional)
        levels = power_levels(create.event, _event(head), version, user_id, additional)
        working = raised_for(levels, version, user_id)
        state = await self._handed_on(head, version)
        member = await self._heads.current(room_id, MEMBER, user_id)
        first: list[State] = [("m.room.create", "", content), (MEMBER, user_id, _joining(member))]
        first.append(("m.room.power_levels", "", working))
        new_id = new_room_id(self._rng, user_id.partition(":")[2])
        new_room = await self._submit.create(new_id, version, self._drafts(user_id, new_id, first + state))
        await self._add(user_id, new_room, await self._db.snapshot(_bans, room_id))
        if create.event.content.get("type") == "m.space":
            await self._add(user_id, new_room, await self._db.snapshot(_children, head))
        if working != levels:
            await self._submit.send(user_id, new_room, "m.room.power_levels", levels, state_key="")
        await self._submit.send(
            user_id,
            room_id,
            TOMBSTONE,
            {"body": "This room has been replaced", "replacement_room": new_room},
            state_key="",
        )
        return new_room

    async def _handed_on(self, head: Head, version: RoomVersion) -> list[State]:
        found = await self._db.snapshot(room_state.list_types, head.point, HANDED_ON)
        state = [_state_of(client) for client in found]
        return [
            (kind, key, join_rules(content, version) if kind == "m.room.join_rules" else content)
            for kind, key, content in state
            if key == ""
        ]

    def _drafts(self, user_id: str, room_id: str, state: Sequence[State]) -> list[Draft]:
        return state_drafts(room_id, user_id, self._clock.now(), state)

    async def _add(self, user_id: str, room_id: str, state: Sequence[State]) -> None:
        """Set more state; what the new room does not allow is left out."""
        for start in range(0, len(state), BATCH):
            await self._submit.submit_many(self._drafts(user_id, room_id, state[start : start + BATCH]))

    async def _wind_up(self, user_id: str, room_id: str, new_room: str) -> None:
        """Move the names to the new room and quiet the old one, as far as the user may."""
        await self._db.write(directory.move, room_id, new_room, self._clock.now())
        await self._inheritance.after_join(user_id, new_room)
        named = await self._heads.current(room_id, CANONICAL_ALIAS)
        if named is not None and named.content:
            moved = await self._db.read(aliases.list_of, new_room)
            kept = _kept_names(named.content, moved)
            if kept and await self._heads.current(new_room, CANONICAL_ALIAS) is None:
                await self._try(user_id, new_room, CANONICAL_ALIAS, kept)
            if kept:
                await self._try(user_id, room_id, CANONICAL_ALIAS, {})
        levels = await self._heads.current(room_id, *POWER_LEVELS_KEY)
        quiet = quieted(levels, (await self._heads.get(room_id)).version)
        if quiet is not None:
            await self._try(user_id, room_id, "m.room.power_levels", quiet)

    async def _try(self, user_id: str, room_id: str, kind: str, content: JsonObject) -> None:
        try:
            await self._submit.send(user_id, room_id, kind, content, state_key="")
        except Forbidden:
            # Who may end a room may still lack the power for this; the upgrade stands without it.
            return


def _event(head: Head) -> Event | None:
    stored = head.state.get(POWER_LEVELS_KEY)
    return None if stored is None else stored.event


def _joining(member: Event | None) -> JsonObject:
    """The content of a member event for the new room, from that of the old one."""
    content = {} if member is None else member.content
    names = {name: content[name] for name in ("displayname", "avatar_url") if name in content}
    return {"membership": "join"} | names


def _state_of(client: bytes) -> State:
    event = msgspec.json.decode(client, type=_StateEvent)
    return event.type, event.state_key, event.content


class _StateEvent(msgspec.Struct):
    type: str
    state_key: str
    content: JsonObject


async def _bans(tx: Read, room_id: str) -> list[State]:
    banned = await memberships.members_of(tx, room_id, ("ban",))
    found = await events.list_stored(tx, [member.event_id for member in banned])
    state: list[State] = []
    for event in found.values():
        _, target, content = _state_of(event.client)
        reason = {"reason": content["reason"]} if isinstance(content.get("reason"), str) else {}
        state.append((MEMBER, target, {"membership": "ban"} | reason))
    return state


async def _children(tx: Read, head: Head) -> list[State]:
    found = await room_state.list_types(tx, head.point, (SPACE_CHILD,))
    return [state for client in found if (state := _state_of(client))[2].get("via")]


def _kept_names(content: JsonObject, aliases_of_room: Sequence[str]) -> JsonObject:
    """The part of a canonical alias content that names aliases of the new room."""
    alternatives = content.get("alt_aliases")
    kept: JsonObject = {}
    if content.get("alias") in aliases_of_room:
        kept["alias"] = content["alias"]
    if isinstance(alternatives, list):
        others = [alias for alias in alternatives if alias in aliases_of_room]
        if others:
            kept["alt_aliases"] = others
    return kept
