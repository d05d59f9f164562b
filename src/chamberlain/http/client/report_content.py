"""Reporting events, rooms and users (client-server API, Reporting Content)."""

from typing import Annotated

import msgspec

from chamberlain.http.endpoint import Auth, Context, Path, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import EventID, RoomID, UserID

Score = Annotated[int, msgspec.Meta(ge=-100, le=0)]
Reason = Annotated[str, msgspec.Meta(max_length=10_000)]


class ReportEvent(Request):
    """Which event, and why; older clients send a score from -100 (bad) to 0."""

    room_id: Path[RoomID]
    event_id: Path[EventID]
    reason: Reason | None = None
    score: Score | None = None


class ReportRoom(Request):
    """Which room, and why."""

    room_id: Path[RoomID]
    reason: Reason


class ReportUser(Request):
    """Which user, and why."""

    user_id: Path[UserID]
    reason: Reason


@endpoint(
    "POST",
    "/_matrix/client/v3/rooms/{room_id}/report/{event_id}",
    auth=Auth.ACCESS_TOKEN,
    errors=(ErrCode.NOT_FOUND,),
)
async def report_event(ctx: Context, request: ReportEvent) -> None:
    """Report an event to those who run the server."""
    await ctx.services.rooms.reports.report_event(
        ctx.requester.user_id,
        request.room_id,
        request.event_id,
        reason=request.reason,
        score=request.score,
    )


@endpoint(
    "POST",
    "/_matrix/client/v3/rooms/{room_id}/report",
    auth=Auth.ACCESS_TOKEN,
    errors=(ErrCode.NOT_FOUND,),
)
async def report_room(ctx: Context, request: ReportRoom) -> None:
    """Report a room to those who run the server."""
    await ctx.services.rooms.reports.report_room(
        ctx.requester.user_id, request.room_id, reason=request.reason
    )


@endpoint(
    "POST",
    "/_matrix/client/v3/users/{user_id}/report",
    auth=Auth.ACCESS_TOKEN,
    errors=(ErrCode.INVALID_PARAM,),
)
async def report_user(ctx: Context, request: ReportUser) -> None:
    """Report a user to those who run the server."""
    await ctx.services.rooms.reports.report_user(
        ctx.requester.user_id, request.user_id, reason=request.reason
    )
