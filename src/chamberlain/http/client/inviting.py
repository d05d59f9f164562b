"""`POST /rooms/{roomId}/invite` (client-server API, Inviting, Third-party invites)."""

from chamberlain.accounts.identity_servers import Address
from chamberlain.http.endpoint import Auth, Context, Limit, Path, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MissingParam
from chamberlain.matrix.ids import RoomID, parse_user_id


class InviteUser(Request):
    """Who is invited where, and why."""

    room_id: Path[RoomID]
    user_id: str | None = None
    reason: str | None = None
    id_server: str | None = None
    id_access_token: str | None = None
    medium: str | None = None
    address: str | None = None

    def by_address(self) -> Address | None:
        """The address by which somebody is invited, if any; raises MissingParam where only a part of one is given."""
        if self.user_id is not None or (self.medium is None and self.address is None):
            return None
        if not (self.id_server and self.id_access_token and self.medium and self.address):
            raise MissingParam("An address needs id_server, id_access_token, medium and address")
        return Address(
            id_server=self.id_server,
            id_access_token=self.id_access_token,
            medium=self.medium,
            address=self.address,
        )


@endpoint(
    "POST",
    "/_matrix/client/v3/rooms/{room_id}/invite",
    auth=Auth.ACCESS_TOKEN,
    limit=Limit.WRITE,
    errors=(ErrCode.FORBIDDEN, ErrCode.NOT_FOUND, ErrCode.INVALID_PARAM),
)
async def invite_user(ctx: Context, request: InviteUser) -> None:
    """Invite a user to a room, by their id or by an address of theirs."""
    ctx.requester.must_not_be_suspended()
    sender, rooms, reason = ctx.requester.user_id, ctx.services.rooms, request.reason
    address = request.by_address()
    if address is not None:
        await rooms.address_invites.invite(sender, request.room_id, address, reason=reason)
        return
    if request.user_id is None:
        raise MissingParam("Missing parameter: user_id")
    target = parse_user_id(request.user_id)
    await rooms.membership.invite(sender, request.room_id, target, reason=reason)
