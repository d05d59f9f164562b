"""Sending events and redacting them (client-server API, Sending events to a room, Redactions)."""

from typing import Final

from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import BadJson, Forbidden, MatrixError, NotFound
from chamberlain.matrix.event_types import CANONICAL_ALIAS, MEMBER, REDACTION
from chamberlain.matrix.ids import EventID, is_valid_user_id
from chamberlain.matrix.types import JsonObject
from chamberlain.rooms.aliases import Aliases
from chamberlain.rooms.invites import Invites
from chamberlain.rooms.joined import is_ours
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.rooms.pipeline.submit import Submit
from chamberlain.rooms.pipeline.waiting import Txn
from chamberlain.store import events, relations
from chamberlain.store.database import Database

THREAD: Final = "m.thread"


class Messages:
    """What members send."""

    def __init__(
        self, db: Database, heads: Heads, submit: Submit, aliases: Aliases, invites: Invites
    ) -> None:
        self._db = db
        self._heads = heads
        self._submit = submit
        self._aliases = aliases
        self._invites = invites

    async def send(
        self,
        sender: str,
        room_id: str,
        kind: str,
        content: JsonObject,
        *,
        txn: Txn | None = None,
        ts: int | None = None,
    ) -> EventID:
        """Have a message event in the room; give its id. The same `txn` gives the same id.

        Raises:
            Forbidden: the sender is not in the room, or has not the power.
            MatrixError: DUPLICATE_ANNOTATION for a second reaction with the same key; UNKNOWN (400) for a thread
                that begins at an event which itself relates to another; TOO_LARGE.
        """
        if kind == REDACTION:
            target = content.get("redacts")
            if not isinstance(target, str):
                raise BadJson("A redaction names the event that it redacts")
            rest = {key: value for key, value in content.items() if key != "redacts"}
            return await self._submit.send(sender, room_id, kind, rest, redacts=target, txn=txn, ts=ts)
        if "m.relates_to" in content:
            await self._check_thread(content, txn)
        return await self._submit.send(sender, room_id, kind, content, txn=txn, ts=ts)

    async def set_state(
        self,
        sender: str,
        room_id: str,
        kind: str,
        state_key: str,
        content: JsonObject,
        *,
        ts: int | None = None,
    ) -> EventID:
        """Have a piece of state be this; give the event's id, the present one where nothing changes.

        Raises:
            Forbidden: the sender is not in the room, or has not the power.
            MatrixError: BAD_ALIAS for a canonical alias that is no alias of the room; TOO_LARGE; what an invited
                user or their server has against it.
        """
        head = await self._heads.find(room_id)
        if head is None:
            raise Forbidden("You are not in this room")
        present = await self._heads.current(room_id, kind, state_key)
        if present is not None and present.sender == sender and present.content == content:
            return present.event_id
        if kind == CANONICAL_ALIAS and state_key == "":
            await self._aliases.check_canonical(room_id, content, present)
        if kind == MEMBER:
            if not is_ours(head) and head.summary["joined"]:
                raise Forbidden("You are not in this room")
            if content.get("membership") == "invite" and is_valid_user_id(state_key):
                return await self._invites.invite(sender, room_id, state_key, content)
        return await self._submit.send(sender, room_id, kind, content, state_key=state_key, ts=ts)

    async def redact(
        self,
        sender: str,
        room_id: str,
        target: str,
        *,
        reason: str | None = None,
        txn: Txn | None = None,
        own_only: bool = False,
    ) -> EventID:
        """Have the content of an event gone; give the redaction's id. `own_only`: as a suspended user may.

        Raises:
            NotFound: the room has no such event.
            Forbidden: the sender may not redact it.
            MatrixError: USER_SUSPENDED.
        """
        if own_only:
            found = await self._db.read(events.find_stored, target)
            if found is None or found.room_id != room_id:
                raise NotFound("The room has no such event")
            if found.sender != sender:
                raise MatrixError(ErrCode.USER_SUSPENDED, "This account is suspended")
        content: JsonObject = {} if reason is None else {"reason": reason}
        return await self._submit.send(sender, room_id, REDACTION, content, redacts=target, txn=txn)

    async def _check_thread(self, content: JsonObject, txn: Txn | None) -> None:
        relates = content["m.relates_to"]
        if not isinstance(relates, dict) or relates.get("rel_type") != THREAD:
            return
        target = relates.get("event_id")
        if not isinstance(target, str) or (txn is not None and await self._submit.is_known(txn)):
            return
        if await self._db.read(relations.has_relation, target):
            raise MatrixError(ErrCode.UNKNOWN, "No thread can begin at an event with a relation", status=400)
