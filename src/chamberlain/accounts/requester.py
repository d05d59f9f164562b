"""Who asks: the account, device and rights behind an access token (client-server API, 4.2)."""

import msgspec

from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MatrixError
from chamberlain.matrix.ids import DeviceID, UserID


class Requester(msgspec.Struct, frozen=True, kw_only=True):
    """What an access token stands for; valid as long as the token is.

    `scopes` is None for a login of a person, who may do all that the account may;
    a scoped token may only do what its scopes name.
    """

    user_id: UserID
    device_id: DeviceID | None = None
    token_id: int = 0
    is_guest: bool = False
    is_admin: bool = False
    is_locked: bool = False
    is_suspended: bool = False
    appservice_id: str | None = None
    scopes: frozenset[str] | None = None

    @property
    def txn_scope(self) -> str:
        """What transaction ids are told apart by, within the user: the device, or the token without one."""
        return self.device_id if self.device_id is not None else f"token {self.token_id}"

    def must_not_be_suspended(self) -> None:
        """Raise USER_SUSPENDED where the account is suspended."""
        if self.is_suspended:
            raise MatrixError(ErrCode.USER_SUSPENDED, "This account is suspended")


def local_operator(server_name: str) -> Requester:
    """Whoever may open the socket in the data folder; its user id, without a localpart, is no account's."""
    return Requester(user_id=UserID(f"@:{server_name}"), is_admin=True)
