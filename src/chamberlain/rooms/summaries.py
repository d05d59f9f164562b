"""Rooms as those see them who may join or look in, without being members (client-server API, Room Summary)."""

import msgspec

from chamberlain.matrix.errors import NotFound
from chamberlain.matrix.versions import get_room_version
from chamberlain.rooms.aliases import Aliases
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.rooms.restricted import RESTRICTED, allowed_rooms, is_in_any
from chamberlain.store import spaces
from chamberlain.store.database import Database
from chamberlain.store.spaces import RoomInfo


class RoomSummary(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What a room tells of itself."""

    room_id: str
    num_joined_members: int
    world_readable: bool
    guest_can_join: bool
    join_rule: str
    room_version: str
    name: str | None = None
    topic: str | None = None
    avatar_url: str | None = None
    canonical_alias: str | None = None
    room_type: str | None = None
    encryption: str | None = None
    allowed_room_ids: list[str] | None = None


class Summaries:
    """Says what rooms tell of themselves, and to whom."""

    def __init__(self, db: Database, heads: Heads, aliases: Aliases) -> None:
        self._db = db
        self._heads = heads
        self._aliases = aliases

    async def get(self, room_id_or_alias: str, user_id: str | None) -> tuple[RoomSummary, str | None]:
        """Give a room's summary, and what the user is in it; `user_id` None: to a stranger.

        Raises:
            InvalidParam: it is neither a room id nor an alias.
            NotFound: there is no such room, or not for this user.
        """
        room_id = await self._aliases.room_of(room_id_or_alias)
        info = (await self._db.read(spaces.list_infos, (room_id,), user_id)).get(room_id)
        if info is None or not await self.may_see(info, user_id):
            raise NotFound("There is no such room")
        return await self.summarize(info), info.membership

    async def may_see(self, info: RoomInfo, user_id: str | None) -> bool:
        """Say whether the user may know of a room: as a member, as one who may join or knock, or as anybody."""
        if info.history_visibility == "world_readable" or info.membership in ("join", "invite"):
            return True
        if info.membership == "ban":
            return False
        version = get_room_version(info.version)
        if info.join_rule == "public" or (info.join_rule == "knock" and version.knocking):
            return True
        if info.join_rule == "knock_restricted" and version.knock_restricted:
            return True
        if info.join_rule != "restricted" or not version.restricted_joins or user_id is None:
            return False
        return await is_in_any(self._db, await allowed_rooms(self._heads, info.room_id), user_id)

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
