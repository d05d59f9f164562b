"""Room aliases (client-server API, Room aliases)."""

from typing import Any, Final

from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import Forbidden, InvalidParam, MatrixError, NotFound
from chamberlain.matrix.event_types import CANONICAL_ALIAS
from chamberlain.matrix.events import Event
from chamberlain.matrix.ids import RoomID, find_server_of, parse_room_alias, parse_room_id
from chamberlain.matrix.remote_errors import Refused, RemoteError, for_client
from chamberlain.matrix.types import JsonObject
from chamberlain.rooms.joined import membership_in
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.rooms.ports import Elsewhere
from chamberlain.rooms.power import may_set
from chamberlain.rooms.shown import AliasedRoom
from chamberlain.runtime.clock import Clock
from chamberlain.store import aliases, memberships
from chamberlain.store.database import Database

SERVERS: Final = 50
"""How many servers are named that know a room."""


class Aliases:
    """The names of rooms: those of this server, and what other servers say of theirs."""

    def __init__(
        self, db: Database, clock: Clock, heads: Heads, server_name: str, elsewhere: Elsewhere
    ) -> None:
        self._db = db
        self._clock = clock
        self._heads = heads
        self._server_name = server_name
        self._elsewhere = elsewhere

    async def resolve(self, room_id_or_alias: str) -> AliasedRoom:
        """Give the room that an id or an alias means, and servers that are likely to know it.

        Whether there is a room of that id is not looked at; with an id no servers are named.

        Raises:
            InvalidParam: it is neither.
            NotFound: there is no such alias.
            MatrixError: UNKNOWN (502) where the server of the alias cannot be asked.
        """
        if not room_id_or_alias.startswith("#"):
            return AliasedRoom(parse_room_id(room_id_or_alias), ())
        return await self.find(room_id_or_alias)

    async def find(self, alias: str) -> AliasedRoom:
        """Give the room that an alias names, and servers that are likely to know it.

        Raises:
            InvalidParam: it is no alias.
            NotFound: it names no room.
            MatrixError: UNKNOWN (502) where the server of the alias cannot be asked.
        """
        if find_server_of(parse_room_alias(alias)) == self._server_name:
            return await self.find_local(alias)
        try:
            return await self._elsewhere.find_alias(alias)
        except RemoteError as error:
            if isinstance(error, Refused) and error.code == ErrCode.NOT_FOUND:
                raise NotFound("There is no such room alias") from None
            raise for_client(error) from None

    async def find_local(self, alias: str) -> AliasedRoom:
        """Give the room that an alias of this server names, and servers that are in it.

        Raises:
            InvalidParam: it is no alias of this server.
            NotFound: it names no room.
        """
        room_id = await self._get(alias)
        others = await self._db.read(memberships.servers_by_age, room_id, SERVERS)
        head = await self._heads.find(room_id)
        if head is not None and head.summary.get("local_joined"):
            others = [self._server_name, *others]
        return AliasedRoom(room_id, others[:SERVERS])

    async def _get(self, alias: str) -> RoomID:
        if find_server_of(parse_room_alias(alias)) != self._server_name:
            raise InvalidParam("The alias is of another server")
        room_id = await self._db.read(aliases.find_room, alias)
        if room_id is None:
            raise NotFound("There is no such room alias")
        return RoomID(room_id)

    async def list_of(self, room_id: str) -> list[str]:
        """Give the room's aliases on this server."""
        return await self._db.read(aliases.list_of, room_id)

    async def add(self, user_id: str, alias: str, room_id: str) -> None:
        """Have the alias name the room.

        Raises:
            InvalidParam: it is no alias of this server.
            NotFound: there is no such room.
            Forbidden: the user is not in the room.
            MatrixError: UNKNOWN (409) where it names a room already.
        """
        if find_server_of(parse_room_alias(alias)) != self._server_name:
            raise InvalidParam("The alias is of another server")
        await self._heads.get(parse_room_id(room_id))
        if await membership_in(self._heads, room_id, user_id) != "join":
            raise Forbidden("You are not in this room")
        if not await self._db.write(aliases.add, alias, room_id, user_id, self._clock.now()):
            raise MatrixError(ErrCode.UNKNOWN, "There is such an alias already", status=409)

    async def delete(self, user_id: str, alias: str, *, is_admin: bool = False) -> RoomID:
        """Have the alias name nothing; give the room that it named.

        Raises:
            InvalidParam: it is no alias of this server.
            NotFound: there is no such alias.
            Forbidden: the user neither made it nor has the power to set the room's canonical alias.
        """
        room_id = await self._get(alias)
        if not is_admin and await self._db.read(aliases.find_creator, alias) != user_id:
            if await self._heads.find(room_id) is None:
                raise Forbidden("You did not make this alias")
            if not await may_set(self._heads, room_id, user_id, CANONICAL_ALIAS):
                raise Forbidden("You neither made this alias nor have the power over the room's aliases")
        await self._db.write(aliases.delete, alias)
        return room_id

    async def check_canonical(self, room_id: str, content: JsonObject, present: Event | None) -> None:
        """Refuse a canonical alias event that adds what is no alias of the room.

        Raises:
            InvalidParam: something in it is no alias.
            MatrixError: BAD_ALIAS; UNKNOWN (502) where the server of an alias cannot be asked.
        """
        before = _named(present.content) if present is not None else set()
        for alias in sorted(_named(content) - before):
            try:
                named = (await self.find(alias)).room_id
            except NotFound:
                named = None
            if named != room_id:
                raise MatrixError(ErrCode.BAD_ALIAS, f"{alias} does not name this room")


def _named(content: JsonObject) -> set[str]:
    alternatives: Any = content.get("alt_aliases", [])
    named = list(alternatives) if isinstance(alternatives, list) else [alternatives]
    alias = content.get("alias")
    if alias is not None and alias != "":
        named.append(alias)
    for name in named:
        if not isinstance(name, str):
            raise InvalidParam("A room alias must be a string")
    return set(named)
