"""The directory: aliases as clients set them, and the list of public rooms (client-server API, Listing rooms)."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, Final, Literal

import msgspec

from chamberlain.matrix.errors import Forbidden, InvalidParam, NotFound
from chamberlain.matrix.event_types import CANONICAL_ALIAS
from chamberlain.matrix.ids import RoomID, parse_room_id, parse_server_name
from chamberlain.matrix.remote_errors import RemoteError, for_client
from chamberlain.matrix.types import JsonObject
from chamberlain.rooms.aliases import Aliases
from chamberlain.rooms.joined import must_be_joined
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.rooms.pipeline.submit import Submit
from chamberlain.rooms.ports import Elsewhere
from chamberlain.rooms.power import may_set
from chamberlain.rooms.shown import DirectoryQuery, ListedRoom, Page
from chamberlain.runtime.clock import Clock
from chamberlain.store import directory
from chamberlain.store.database import Database
from chamberlain.store.directory import Place, PublicRoom, Wanted

MAX_PAGE: Final = 500
MAX_TERM: Final = 500


class _Token(msgspec.Struct, frozen=True, array_like=True):
    direction: Literal["after", "before"]
    joined: Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
    room_id: str

    @property
    def place(self) -> Place:
        return self.joined, self.room_id


class Directory:
    """Lists rooms, and says which ones are listed."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        heads: Heads,
        submit: Submit,
        aliases: Aliases,
        elsewhere: Elsewhere,
    ) -> None:
        self._db = db
        self._clock = clock
        self._heads = heads
        self._submit = submit
        self._aliases = aliases
        self._elsewhere = elsewhere

    async def list_public(self, query: DirectoryQuery, *, for_server: bool = False) -> Page:
        """Give a part of the directory, the rooms with the most joined members first.

        `for_server`: another one asks, and hears of rooms alone that its users can be in.

        Raises:
            InvalidParam: a token that is none, a limit below 0, a term or type that is too long.
        """
        check_query(query)
        token = None if query.since is None else _parse(query.since)
        if query.network is not None and not query.all_networks:
            # There are no bridges here that list rooms.
            return Page([], 0)
        size = min(query.limit or MAX_PAGE, MAX_PAGE)
        wanted = Wanted(query.term, query.types, for_server)
        if token is not None and token.direction == "before":
            rooms = await self._db.snapshot(directory.list_before, wanted, token.place, size + 1)
            earlier, later = len(rooms) > size, True
            rooms = rooms[:size][::-1]
        else:
            after = None if token is None else token.place
            rooms = await self._db.snapshot(directory.list_after, wanted, after, size + 1)
            earlier, later = token is not None, len(rooms) > size
            rooms = rooms[:size]
        return Page(
            [_listed(room) for room in rooms],
            await self._db.snapshot(directory.count, wanted),
            next_batch=_token("after", rooms[-1]) if later and rooms else None,
            prev_batch=_token("before", rooms[0]) if earlier and rooms else None,
        )

    async def list_elsewhere(self, server: str, query: DirectoryQuery) -> Page:
        """Give a part of the directory of another server; tokens are that server's.

        Raises:
            InvalidParam: it is no server name, a limit below 0, a term or type that is too long.
            Forbidden: the server does not show its directory.
            MatrixError: UNKNOWN (502) where the server cannot be asked.
        """
        check_query(query)
        try:
            return await self._elsewhere.list_rooms(parse_server_name(server), query)
        except RemoteError as error:
            raise for_client(error) from None

    async def is_public(self, room_id: str) -> bool:
        """Say whether the directory lists the room.

        Raises:
            NotFound: there is no such room.
        """
        await self._heads.get(room_id)
        return await self._db.read(directory.is_published, room_id)

    async def set_public(self, user_id: str, room_id: str, public: bool, *, is_admin: bool = False) -> None:
        """Have the directory list the room, or not.

        Raises:
            NotFound: there is no such room.
            Forbidden: the user is not in the room, or has not the power to set its canonical alias.
        """
        await self._heads.get(parse_room_id(room_id))
        if not is_admin:
            await must_be_joined(self._heads, room_id, user_id)
            if not await may_set(self._heads, room_id, user_id, CANONICAL_ALIAS):
                raise Forbidden("You do not have the power over the room's place in the directory")
        await self._db.write(directory.set_published, room_id, public, self._clock.now())

    async def delete_alias(self, user_id: str, alias: str, *, is_admin: bool = False) -> RoomID:
        """Have the alias name nothing, and the room not call itself by it where the user may change that.

        Raises:
            InvalidParam, NotFound, Forbidden: as `Aliases.delete`.
        """
        room_id = await self._aliases.delete(user_id, alias, is_admin=is_admin)
        try:
            present = await self._heads.current(room_id, CANONICAL_ALIAS)
            content = None if present is None else _without(present.content, alias)
            if content is not None:
                await self._submit.send(user_id, room_id, CANONICAL_ALIAS, content, state_key="")
        except (Forbidden, NotFound):
            pass
        return room_id


def check_query(query: DirectoryQuery) -> None:
    """Return where a directory can be asked this; raises InvalidParam."""
    if query.limit is not None and query.limit < 0:
        raise InvalidParam("`limit` is not negative")
    for text in (query.term, *(query.types or ())):
        if text is not None and len(text) > MAX_TERM:
            raise InvalidParam("A search term or room type is too long")


def _listed(room: PublicRoom) -> ListedRoom:
    return ListedRoom(
        room_id=room.room_id,
        num_joined_members=room.joined,
        world_readable=room.history_visibility == "world_readable",
        guest_can_join=room.guest_access == "can_join",
        join_rule=room.join_rule or "invite",
        name=room.name,
        topic=room.topic,
        avatar_url=room.avatar_url,
        canonical_alias=room.canonical_alias,
        room_type=room.room_type,
    )


def _without(content: JsonObject, alias: str) -> JsonObject | None:
    """A canonical alias content that does not name this alias; None where it did not anyway."""
    alternatives = content.get("alt_aliases")
    left = dict(content)
    if content.get("alias") == alias:
        del left["alias"]
    if isinstance(alternatives, list) and alias in alternatives:
        left["alt_aliases"] = [other for other in alternatives if other != alias]
    return left if left != content else None


def _token(direction: Literal["after", "before"], room: PublicRoom) -> str:
    packed = msgspec.json.encode(_Token(direction, room.joined, room.room_id))
    return urlsafe_b64encode(packed).decode().rstrip("=")


def _parse(token: str) -> _Token:
    try:
        packed = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        return msgspec.json.decode(packed, type=_Token)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise InvalidParam("`since` is no token of this list") from None
