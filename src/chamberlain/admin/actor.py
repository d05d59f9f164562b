"""Who runs an operation, and from where."""

import msgspec

from chamberlain.accounts.requester import Requester
from chamberlain.matrix.ids import DeviceID, UserID, localpart_of

LOCAL_SOCKET = "local socket"
"""The name of whoever speaks to `admin.sock`: the owner of the data folder."""


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """The one whom the audit log names. `scopes` is None where it may do everything."""

    name: str
    user_id: UserID | None = None
    device_id: DeviceID | None = None
    is_admin: bool = False
    scopes: frozenset[str] | None = None
    address: str = ""
    user_agent: str = ""

    def may(self, scope: str) -> bool:
        """Whether the actor may run operations that ask for this scope."""
        return self.is_admin and (self.scopes is None or scope in self.scopes)


def actor_of(requester: Requester | None, address: str, user_agent: str) -> Actor:
    """The actor behind a request: nobody where it had no token, the owner where it came by the local socket."""
    if requester is None:
        return Actor(name="", address=address, user_agent=user_agent)
    if not localpart_of(requester.user_id):
        return Actor(name=LOCAL_SOCKET, is_admin=True)
    return Actor(
        name=requester.user_id,
        user_id=requester.user_id,
        device_id=requester.device_id,
        is_admin=requester.is_admin,
        scopes=requester.scopes,
        address=address,
        user_agent=user_agent,
    )


def bearer_of_secret(address: str, user_agent: str) -> Actor:
    """Whoever knows the shared secret of registration, which the operation checks itself."""
    return Actor(name="shared secret", address=address, user_agent=user_agent)
