"""What media need of the rooms above."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

import msgspec


class RemoteFile(msgspec.Struct, frozen=True):
    """A file of another server, as it comes in. Type and name are that server's words.

    `chunks` raises MatrixError where the file does not come to its end. Whoever has it awaits `close()` when done.
    """

    content_type: str
    file_name: str | None
    chunks: AsyncIterator[bytes]
    close: Callable[[], Awaitable[None]]


class RemoteMedia(Protocol):
    """Where the files of other servers come from."""

    async def fetch(self, origin: str, media_id: str, wait_ms: int) -> RemoteFile:
        """Ask a server for a file of its users, waiting up to `wait_ms` for one that is being uploaded there.

        Raises:
            NotFound: the server has no such file.
            MatrixError: M_NOT_YET_UPLOADED (504); M_TOO_LARGE (502) where the server says so; M_UNKNOWN (502)
                where it gives no usable answer.
        """
        ...
