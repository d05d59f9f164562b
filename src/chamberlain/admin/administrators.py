"""Taking rights away from administrators, the last of whom keeps them."""

from collections.abc import Iterator
from contextlib import contextmanager

from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MatrixError
from chamberlain.store import administrators
from chamberlain.store.administrators import LastAdministrator
from chamberlain.store.database import Database


async def demote(db: Database, user_id: str) -> None:
    """The user is an ordinary one; raises M_FORBIDDEN for the last administrator."""
    with _keeping_the_last():
        await db.write(administrators.demote, user_id)


async def lock(db: Database, user_id: str, now: int) -> None:
    """The account is locked from `now` (ms) on; raises M_FORBIDDEN for the last administrator."""
    with _keeping_the_last():
        await db.write(administrators.lock, user_id, now)


@contextmanager
def _keeping_the_last() -> Iterator[None]:
    try:
        yield
    except LastAdministrator:
        raise MatrixError(
            ErrCode.FORBIDDEN,
            "This is the last administrator who can log in; make another one first",
            status=403,
        ) from None
