"""Rooms that let in the members of others (client-server API, Restricted rooms)."""

from collections.abc import Iterable
from typing import Final

from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import Forbidden, MatrixError
from chamberlain.matrix.event_types import JOIN_RULES
from chamberlain.rooms.joined import membership_in
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.rooms.power import levels_in
from chamberlain.store import memberships
from chamberlain.store.database import Database
from chamberlain.store.rooms import rooms_with_ours

RESTRICTED: Final = ("restricted", "knock_restricted")
"""The join rules of such rooms."""


async def allowed_rooms(heads: Heads, room_id: str) -> list[str]:
    """Give the rooms whose members a room lets in.

    Raises:
        NotFound: there is no such room.
    """
    rules = await heads.current(room_id, JOIN_RULES)
    allow = None if rules is None else rules.content.get("allow")
    return [
        condition["room_id"]
        for condition in (allow if isinstance(allow, list) else ())
        if isinstance(condition, dict)
        and condition.get("type") == "m.room_membership"
        and isinstance(condition.get("room_id"), str)
    ]


async def is_in_any(db: Database, room_ids: Iterable[str], user_id: str) -> bool:
    """Say whether the user is joined to one of the rooms."""
    wanted = list(room_ids)
    return bool(wanted) and await db.read(memberships.is_joined_to_any, user_id, wanted)


async def find_authorizer(
    db: Database, heads: Heads, room_id: str, user_id: str, *, is_ours: bool
) -> str | None:
    """Give the local member who vouches for a user's restricted join; None where nobody needs to.

    `is_ours`: the user is of this server, which then knows all rooms that they are in.

    Raises:
        NotFound: there is no such room.
        Forbidden: the user is in none of the rooms whose members may join.
        MatrixError: UNABLE_TO_AUTHORISE_JOIN where this server does not know all of these rooms;
            UNABLE_TO_GRANT_JOIN where nobody here may invite.
    """
    head = await heads.get(room_id)
    rules = await heads.current(room_id, JOIN_RULES)
    if not head.version.restricted_joins or rules is None or rules.content.get("join_rule") not in RESTRICTED:
        return None
    if await membership_in(heads, room_id, user_id) in ("invite", "join"):
        return None
    allowed = await allowed_rooms(heads, room_id)
    known = await db.read(rooms_with_ours, allowed)
    if not await is_in_any(db, known, user_id):
        if not is_ours and not known.issuperset(allowed):
            raise MatrixError(
                ErrCode.UNABLE_TO_AUTHORISE_JOIN, "This server is not in all rooms that let you in"
            )
        raise Forbidden("You are in none of the rooms whose members may join")
    local = await db.read(memberships.local_members, room_id, ("join",))
    levels = await levels_in(heads, room_id)
    able = [member for member in local if levels.user_level(member) >= levels.invite]
    if not able:
        raise MatrixError(ErrCode.UNABLE_TO_GRANT_JOIN, "Nobody here may let you into this room")
    return max(able, key=levels.user_level)
