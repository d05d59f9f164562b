"""E-mail addresses and phone numbers of accounts (client-server API, Adding Account Administrative Contact)."""

from typing import Final

from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import InvalidParam, MatrixError
from chamberlain.runtime.clock import Clock
from chamberlain.store import threepids as rows
from chamberlain.store.database import Database
from chamberlain.store.threepids import Threepid

MEDIA: Final = ("email", "msisdn")


class Threepids:
    """The third-party identifiers of accounts. An address belongs to one account at most."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def list_of(self, user_id: str) -> list[Threepid]:
        """A user's identifiers, the oldest first."""
        return await self._db.read(rows.list_of, user_id)

    async def find_user(self, medium: str, address: str) -> str | None:
        """The user whose identifier this is, or None."""
        return await self._db.read(rows.find_user, medium, canonical(medium, address))

    async def add(self, user_id: str, medium: str, address: str) -> None:
        """The identifier is the user's, as if validated now.

        Raises:
            InvalidParam: there is no such medium, or the address cannot be one.
            MatrixError: M_THREEPID_IN_USE, another user has it.
        """
        check_medium(medium)
        now = self._clock.now()
        threepid = Threepid(medium, canonical(medium, address), now, now)
        if not await self._db.write(rows.add, user_id, threepid):
            raise MatrixError(ErrCode.THREEPID_IN_USE, "Somebody else has this identifier")

    async def remove(self, user_id: str, medium: str, address: str) -> None:
        """The identifier is not the user's (any more); raises InvalidParam."""
        check_medium(medium)
        await self._db.write(rows.remove, user_id, medium, canonical(medium, address))


def check_medium(medium: str) -> None:
    """Return when there is such a medium; raises InvalidParam."""
    if medium not in MEDIA:
        raise InvalidParam(f"The medium is one of {', '.join(MEDIA)}")


def canonical(medium: str, address: str) -> str:
    """The one form in which an address is kept: e-mail folded, phone numbers as digits alone.

    Raises:
        InvalidParam: it cannot be an address.
    """
    if medium == "email":
        name, at, domain = address.strip().rpartition("@")
        if not name or not at or not domain or len(address) > 500:
            raise InvalidParam("Not an e-mail address")
        return f"{name}@{domain}".casefold()
    digits = "".join(letter for letter in address if letter.isascii() and letter.isdigit())
    if not digits:
        raise InvalidParam("Not a phone number")
    return digits
