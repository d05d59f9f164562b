"""`/events` and `/initialSync`, which were there before `/sync`: its answers, flattened (client-server API, Syncing).

They acknowledge nothing: to-device messages wait for the `/sync` of the device.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
import orjson

from chamberlain.accounts.requester import Requester
from chamberlain.matrix.errors import InvalidParam
from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.filters import Filter, RoomEventFilter, RoomFilter
from chamberlain.matrix.types import JsonObject
from chamberlain.rooms.stream_tokens import parse_stream_token
from chamberlain.store import directory
from chamberlain.store.database import Database
from chamberlain.store.tx import Read
from chamberlain.sync.assemble.block import MAX_LIMIT
from chamberlain.sync.request import SyncRequest
from chamberlain.sync.service import Syncing

_SHOWN: Final = ("state", "timeline", "ephemeral", "account_data")
"""The parts of a room in an answer that hold events, in the order in which they are told."""


class EventStream:
    """All that a user hears of, as one list of events."""

    def __init__(self, db: Database, syncing: Syncing) -> None:
        self._db = db
        self._syncing = syncing

    async def next(self, requester: Requester, start: str | None, timeout_ms: int) -> bytes:
        """Give what came after `start` (None: now) as the body of /events, waiting for it where nothing has.

        Of a room with more than 100 events since then the newest are told, and the state that they rest on.

        Raises:
            InvalidParam: `start` is no token.
        """
        since = self._syncing.now()
        if start is not None:
            token = parse_stream_token(start)
            if token is None:
                raise InvalidParam("`from` is no token of this server")
            # After a backup was restored, the stream goes on from there.
            since = token if token.epoch == since.epoch else since
        answer = await self._sync(requester, MAX_LIMIT, since=str(since), timeout_ms=timeout_ms)
        return orjson.dumps(
            {"start": str(since), "end": answer["next_batch"], "chunk": list(_events(answer))}
        )

    async def everything(self, requester: Requester, limit: int, *, archived: bool) -> bytes:
        """Give all rooms of the user as the body of /initialSync, each with its `limit` newest events.

        `archived`: those that the user has left too.
        """
        answer = await self._sync(requester, limit, archived=archived)
        rooms = answer.get("rooms", {})
        end = answer["next_batch"]
        found = [_room(room_id, "join", room, end) for room_id, room in rooms.get("join", {}).items()]
        for room_id, room in rooms.get("leave", {}).items():
            found.append(_room(room_id, _last_membership(requester.user_id, room), room, end))
        for room_id, room in rooms.get("invite", {}).items():
            found.append(
                {"room_id": room_id, "membership": "invite", "invite": _invite(requester, room_id, room)}
            )
        published = await self._db.snapshot(_published, [room["room_id"] for room in found])
        for room in found:
            room["visibility"] = "public" if room["room_id"] in published else "private"
        body = {
            "end": end,
            "rooms": found,
            "presence": list(_presence(answer)),
            "account_data": answer.get("account_data", {}).get("events", []),
        }
        return orjson.dumps(body)

    async def _sync(
        self,
        requester: Requester,
        limit: int,
        *,
        since: str | None = None,
        timeout_ms: int = 0,
        archived: bool = False,
    ) -> JsonObject:
        timeline = RoomEventFilter(limit=limit)
        wanted = SyncRequest(
            requester=msgspec.structs.replace(requester, device_id=None),
            filter=Filter(room=RoomFilter(timeline=timeline, include_leave=archived)),
            since=since,
            timeout_ms=timeout_ms,
            use_state_after=since is None,
        )
        answer: JsonObject = orjson.loads(await self._syncing.sync(wanted))
        return answer


def _events(answer: JsonObject) -> Iterable[JsonObject]:
    """Everything in an answer of /sync that is an event."""
    rooms = answer.get("rooms", {})
    for section in ("invite", "knock", "join", "leave"):
        for room_id, room in rooms.get(section, {}).items():
            for part in (*_SHOWN, "invite_state", "knock_state"):
                for event in room.get(part, {}).get("events", []):
                    yield event | {"room_id": room_id}
    yield from _presence(answer)
    yield from answer.get("account_data", {}).get("events", [])


def _presence(answer: JsonObject) -> Iterable[JsonObject]:
    """The presence in an answer, which names its user where clients of that time look for them, too."""
    for event in answer.get("presence", {}).get("events", []):
        yield event | {"content": {**event["content"], "user_id": event["sender"]}}


def _room(room_id: str, membership: str, room: JsonObject, end: str) -> JsonObject:
    timeline = room["timeline"]
    return {
        "room_id": room_id,
        "membership": membership,
        "messages": {"start": timeline["prev_batch"], "end": end, "chunk": timeline["events"]},
        "state": room["state_after"]["events"],
        "account_data": room["account_data"]["events"],
    }


def _last_membership(user_id: str, room: JsonObject) -> str:
    """What ended the user's being in a room."""
    for event in (*reversed(room["timeline"]["events"]), *room["state_after"]["events"]):
        if event["type"] == MEMBER and event.get("state_key") == user_id:
            return str(event["content"]["membership"])
    return "leave"


def _invite(requester: Requester, room_id: str, room: JsonObject) -> Any:
    """The invitation in the stripped state of a room."""
    own = (MEMBER, requester.user_id)
    events = room["invite_state"]["events"]
    return next(
        event | {"room_id": room_id} for event in events if (event["type"], event["state_key"]) == own
    )


async def _published(tx: Read, room_ids: list[str]) -> set[str]:
    return {room_id for room_id in room_ids if await directory.is_published(tx, room_id)}
