"""Rooms as those see them who may join or look in, without being members (client-server API, Room Summary)."""

from collections.abc import Sequence

import msgspec

from chamberlain.matrix.errors import NotFound
from chamberlain.matrix.ids import find_server_of
from chamberlain.matrix.remote_errors import RemoteError
from chamberlain.matrix.versions import get_room_version
from chamberlain.rooms.acl import is_allowed
from chamberlain.rooms.aliases import Aliases
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.rooms.ports import Elsewhere
from chamberlain.rooms.restricted import RESTRICTED, allowed_rooms, is_in_any
from chamberlain.rooms.shown import RoomSummary
from chamberlain.store import memberships, spaces
from chamberlain.store.database import Database
from chamberlain.store.spaces import RoomInfo


class Summaries:
    """Says what rooms tell of themselves, and to whom."""

    def __init__(
        self, db: Database, heads: Heads, aliases: Aliases, elsewhere: Elsewhere, server_name: str
    ) -> None:
        self._db = db
        self._heads = heads
        self._aliases = aliases
        self._elsewhere = elsewhere
        self._server_name = server_name

    async def get(
        self, room_id_or_alias: str, user_id: str | None, via: Sequence[str] = ()
    ) -> tuple[RoomSummary, str | None]:
        """Give a room's summary, and what the user is in it; `user_id` None: to a stranger.

        Of a room that this server is not in, other servers are asked, those in `via` first; not for strangers.

        Raises:
            InvalidParam: it is neither a room id nor an alias.
            NotFound: there is no such room, or not for this user.
            MatrixError: UNKNOWN (502) where the server of the alias cannot be asked.
        """
        found = await self._aliases.resolve(room_id_or_alias)
        room_id = found.room_id
        info = (await self._db.read(spaces.list_infos, (room_id,), user_id)).get(room_id)
        if user_id is not None and (info is None or not info.local_joined):
            servers = [*via, *found.servers, find_server_of(room_id) or ""]
            told = await self._told(room_id, [one for one in servers if one and one != self._server_name])
            if told is not None and await self.may_see_remote(told, user_id):
                member = await self._db.read(memberships.find, room_id, user_id)
                return told, None if member is None else member.membership
        if info is None or not await self.may_see(info, user_id):
            raise NotFound("There is no such room")
        return await self.summarize(info), info.membership

    async def _told(self, room_id: str, servers: Sequence[str]) -> RoomSummary | None:
        try:
            room = (await self._elsewhere.hierarchy(room_id, servers, suggested_only=True)).room
        except RemoteError:
            return None
        fields = msgspec.structs.asdict(room)
        del fields["children_state"]
        return RoomSummary(**fields)

    async def may_see(self, info: RoomInfo, user_id: str | None) -> bool:
        """Say whether the user may know of a room: as a member, as one who may join or knock, or as anybody."""
        if info.history_visibility == "world_readable" or info.membership in ("join", "invite"):
            return True
        if info.membership == "ban":
            return False
        if _is_open(info):
            return True
        if not _is_restricted(info) or user_id is None:
            return False
        return await is_in_any(self._db, await allowed_rooms(self._heads, info.room_id), user_id)

    async def may_see_remote(self, summary: RoomSummary, user_id: str) -> bool:
        """Say whether the user may know of a room that this server is not in, going by its summary."""
        if summary.world_readable or summary.join_rule in ("public", "knock", "knock_restricted"):
            return True
        if await is_in_any(self._db, summary.allowed_room_ids or (), user_id):
            return True
        member = await self._db.read(memberships.find, summary.room_id, user_id)
        return member is not None and member.membership in ("join", "invite")

    async def may_show(self, info: RoomInfo, server: str) -> bool:
        """Say whether another server may know of a room: as anybody, or because of what users of its are."""
        head = await self._heads.find(info.room_id)
        if head is None or not head.summary["federatable"]:
            return False
        if not await is_allowed(self._heads, info.room_id, server):
            return False
        if info.history_visibility == "world_readable" or _is_open(info):
            return True
        if await self._db.read(memberships.has_from, info.room_id, server, ("join", "invite")):
            return True
        if not _is_restricted(info):
            return False
        allowed = await allowed_rooms(self._heads, info.room_id)
        return bool(allowed) and await self._db.read(memberships.has_joined_to_any, allowed, server)

    async def summarize(self, info: RoomInfo) -> RoomSummary:
        """Give the summary of a room, whoever asks."""
        return RoomSummary(
            room_id=info.room_id,
            num_joined_members=info.joined,
            world_readable=info.history_visibility == "world_readable",
            guest_can_join=info.guest_access == "can_join",
            join_rule=info.join_rule or "invite",
            room_version=info.version,
            name=info.name,
            topic=info.topic,
            avatar_url=info.avatar_url,
            canonical_alias=info.canonical_alias,
            room_type=info.room_type,
            encryption=info.encryption,
            allowed_room_ids=await allowed_rooms(self._heads, info.room_id)
            if info.join_rule in RESTRICTED
            else None,
        )


def _is_open(info: RoomInfo) -> bool:
    """Whether anybody may join or knock."""
    version = get_room_version(info.version)
    return (
        info.join_rule == "public"
        or (info.join_rule == "knock" and version.knocking)
        or (info.join_rule == "knock_restricted" and version.knock_restricted)
    )


def _is_restricted(info: RoomInfo) -> bool:
    """Whether the members of other rooms may join."""
    return info.join_rule == "restricted" and get_room_version(info.version).restricted_joins
