"""Account data: what clients keep for a user, globally or for a room, and tags (client-server API, Client Config)."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from chamberlain.accounts.push_rules import PushRules
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import BadJson, InvalidParam, MatrixError, NotFound
from chamberlain.matrix.ids import parse_room_id
from chamberlain.matrix.types import JsonObject
from chamberlain.store import account_data as rows
from chamberlain.store.account_data import PUSH_RULES, TAG
from chamberlain.store.database import Database
from chamberlain.store.receipts import FULLY_READ
from chamberlain.store.regimes import DECIDING, put_deciding
from chamberlain.store.tx import Write

GLOBAL: Final = ""
"""In the place of a room id: the account data of no room."""
MAX_TYPE: Final = 255
MAX_TAG_BYTES: Final = 255
MAX_TAGS: Final = 200

_SERVERS_OWN: Final = frozenset((PUSH_RULES, FULLY_READ))


class AccountData:
    """The account data of users. Rooms are named whether or not the user is in them."""

    def __init__(self, db: Database, push_rules: PushRules) -> None:
        self._db = db
        self._push_rules = push_rules

    async def put(self, user_id: str, room_id: str, type: str, content: Mapping[str, Any]) -> None:
        """Set a piece of account data for a client; `room_id` is `GLOBAL` for no room.

        Raises:
            MatrixError: M_BAD_JSON (405), only the server sets this type.
            InvalidParam: the room id is none, or the type is too long.
        """
        if type in _SERVERS_OWN:
            raise MatrixError(ErrCode.BAD_JSON, f"{type} cannot be set like this", status=405)
        if len(type) > MAX_TYPE:
            raise InvalidParam(f"A type has at most {MAX_TYPE} characters")
        _check_room(room_id)
        await self._db.write(_put, user_id, room_id, type, orjson.dumps(content))

    async def get(self, user_id: str, room_id: str, type: str) -> bytes:
        """The JSON of a piece of account data, push rules among them.

        Raises:
            NotFound: there is no such account data.
            InvalidParam: the room id is none.
        """
        _check_room(room_id)
        if type == PUSH_RULES and room_id == GLOBAL:
            return orjson.dumps(await self._push_rules.content_of(user_id))
        content = await self._db.read(rows.find, user_id, room_id, type)
        if content is None:
            raise NotFound("There is no such account data")
        return content

    async def tags(self, user_id: str, room_id: str) -> JsonObject:
        """The tags that a user gave a room, each with its properties; raises InvalidParam."""
        _check_room(room_id)
        return _tags(await self._db.read(rows.find, user_id, room_id, TAG))

    async def put_tag(self, user_id: str, room_id: str, tag: str, properties: Mapping[str, Any]) -> None:
        """The room has this tag.

        Raises:
            InvalidParam: the room id is none, the tag is empty or too long, or there are too many.
            BadJson: the order is not a number.
        """
        _check_room(room_id)
        if not tag or len(tag.encode()) > MAX_TAG_BYTES:
            raise InvalidParam(f"A tag has 1 to {MAX_TAG_BYTES} bytes")
        order = properties.get("order")
        if order is not None and (isinstance(order, bool) or not isinstance(order, int | float)):
            raise BadJson("The order of a tag is a number")
        if not await self._db.write(_put_tag, user_id, room_id, tag, dict(properties)):
            raise InvalidParam(f"A room has at most {MAX_TAGS} tags")

    async def remove_tag(self, user_id: str, room_id: str, tag: str) -> None:
        """The room does not have this tag (any more); raises InvalidParam."""
        _check_room(room_id)
        await self._db.write(_remove_tag, user_id, room_id, tag)


def _check_room(room_id: str) -> None:
    if room_id != GLOBAL:
        parse_room_id(room_id)


def _tags(content: bytes | None) -> JsonObject:
    """The tags in the content of `m.tag`, which clients may also have written as they like."""
    tags = orjson.loads(content).get("tags") if content is not None else None
    return tags if isinstance(tags, dict) else {}


async def _put(tx: Write, user_id: str, room_id: str, type: str, content: bytes) -> None:
    if type in DECIDING and not room_id:
        await put_deciding(tx, user_id, type, content)
    else:
        await rows.put(tx, user_id, room_id, type, content)


async def _put_tag(tx: Write, user_id: str, room_id: str, tag: str, properties: JsonObject) -> bool:
    tags = _tags(await rows.find_locked(tx, user_id, room_id, TAG))
    if tag not in tags and len(tags) >= MAX_TAGS:
        return False
    if tags.get(tag) != properties:
        tags[tag] = properties
        await rows.put(tx, user_id, room_id, TAG, orjson.dumps({"tags": tags}))
    return True


async def _remove_tag(tx: Write, user_id: str, room_id: str, tag: str) -> None:
    tags = _tags(await rows.find_locked(tx, user_id, room_id, TAG))
    if tag in tags:
        del tags[tag]
        await rows.put(tx, user_id, room_id, TAG, orjson.dumps({"tags": tags}))
