"""The tree of what can go wrong when another homeserver is asked; never shown to clients as it is.

    RemoteError
    ├── Unreachable   there was no answer: unknown name, refused or broken connection, timeout, closed by settings
    ├── Refused       it answered with an error: `status`, `code`, `message`
    └── BadAnswer     it answered with what the endpoint does not give: not JSON, too long, of a wrong shape

A caller that asks several servers catches `RemoteError`. What may be told to a client goes through `for_client`.
"""

from typing import Any

from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MatrixError


class RemoteError(Exception):
    """Another homeserver did not do what it was asked for."""

    def __init__(self, server: str, message: str) -> None:
        super().__init__(f"{server}: {message}")
        self.server = server
        self.message = message


class Unreachable(RemoteError):
    """The server gave no answer."""


class Refused(RemoteError):
    """The server answered with an error. `code` is its errcode, None where it gave none.

    `room_version`: which one the other side would have to know, where it says that.
    """

    def __init__(
        self, server: str, status: int, code: str | None, message: str, room_version: str | None = None
    ) -> None:
        super().__init__(server, message)
        self.status = status
        self.code = code
        self.room_version = room_version


class BadAnswer(RemoteError):
    """The server's answer is none."""


_RELAYED = frozenset(
    {
        ErrCode.FORBIDDEN,
        ErrCode.NOT_FOUND,
        ErrCode.BAD_STATE,
        ErrCode.INCOMPATIBLE_ROOM_VERSION,
        ErrCode.INVITE_BLOCKED,
        ErrCode.UNABLE_TO_AUTHORISE_JOIN,
        ErrCode.UNABLE_TO_GRANT_JOIN,
        ErrCode.UNSUPPORTED_ROOM_VERSION,
    }
)
"""What another server may say to our client: errors about the thing, never about the request or the requester."""


def for_client(error: RemoteError) -> MatrixError:
    """The error that a local client is answered with: a 401 of another server is not one of ours."""
    if isinstance(error, Refused) and error.code in _RELAYED:
        extra: dict[str, Any] = {} if error.room_version is None else {"room_version": error.room_version}
        return MatrixError(ErrCode(error.code), error.message, **extra)
    if isinstance(error, Unreachable):
        return MatrixError(ErrCode.UNKNOWN, f"{error.server} cannot be reached", status=502)
    return MatrixError(ErrCode.UNKNOWN, f"{error.server} gave no usable answer", status=502)
