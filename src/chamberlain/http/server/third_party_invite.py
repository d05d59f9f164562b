"""Invitations by third-party identifiers (server-server API, Third-party invites)."""

from chamberlain.federation.inbound.third_party import Bound
from chamberlain.http.endpoint import Auth, Body, Context, Limit, Path, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import RoomID
from chamberlain.matrix.types import JsonObject


class ExchangeThirdPartyInvite(Request):
    """The room, and an invite that lacks its place in it."""

    room_id: Path[RoomID]
    event: Body[JsonObject]


class OnBind(Request):
    """The address, whose it is now, and the invitations that had waited for that."""

    medium: str
    address: str
    mxid: str
    invites: list[Bound]


@endpoint(
    "PUT",
    "/_matrix/federation/v1/exchange_third_party_invite/{room_id}",
    auth=Auth.SIGNED_REQUEST,
    errors=(ErrCode.FORBIDDEN, ErrCode.NOT_FOUND, ErrCode.INVALID_PARAM),
)
async def exchange_third_party_invite(ctx: Context, request: ExchangeThirdPartyInvite) -> None:
    """Invite a user who has turned out to be behind a third-party identifier."""
    third_party = ctx.services.federation.memberships.third_party_invites
    await third_party.exchange(ctx.origin, request.room_id, request.event)


# Identity servers use POST, whatever the specification says.
@endpoint(
    "POST",
    "/_matrix/federation/v1/3pid/onbind",
    auth=Auth.NONE,
    limit=Limit.HEAVY,
    errors=(ErrCode.INVALID_PARAM,),
)
@endpoint(
    "PUT",
    "/_matrix/federation/v1/3pid/onbind",
    auth=Auth.NONE,
    limit=Limit.HEAVY,
    errors=(ErrCode.INVALID_PARAM,),
)
async def on_bind_third_party_identifier(ctx: Context, request: OnBind) -> None:
    """Hear from an identity server that an address is a user's; invitations to it are redeemed."""
    await ctx.services.federation.memberships.third_party_invites.bound(request.mxid, request.invites)
