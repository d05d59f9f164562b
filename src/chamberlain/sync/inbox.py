"""To-device messages in answers of /sync: each is kept until a token that covers it comes back."""

from collections.abc import Sequence
from typing import Final

from chamberlain.runtime.cache import Cache
from chamberlain.store import kinds
from chamberlain.store.database import Database
from chamberlain.store.to_device import acknowledge, pending
from chamberlain.store.tx import Change

PAGE: Final = 100
"""Messages of an incremental answer; those that are left come with the next one."""
ALL: Final = 10_000
"""Messages of a first answer."""
DEVICES_KEPT: Final = 20_000

Device = tuple[str, str]


class Delivery:
    """Messages for an answer. `upto`: the token must not go beyond this position; None: it may."""

    __slots__ = ("messages", "upto")

    def __init__(self, messages: list[bytes], upto: int | None) -> None:
        self.messages = messages
        self.upto = upto


_NOTHING: Final = Delivery([], None)


class Inbox:
    """The messages that wait for devices."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._empty: Cache[Device, int] = Cache(DEVICES_KEPT, "empty inboxes")
        """Devices for which nothing waits."""
        self._drops = 0
        db.subscribe(self._changed)

    async def acknowledge(self, user_id: str, device_id: str, upto: int) -> None:
        """The device has the messages up to a position: they are gone."""
        device = (user_id, device_id)
        if device in self._empty:
            return
        drops = self._drops
        newest = self._db.position
        if await self._db.read(pending, user_id, device_id, upto, 1):
            await self._db.write(acknowledge, user_id, device_id, upto)
        if (
            not await self._db.read(pending, user_id, device_id, max(newest, upto), 1)
            and drops == self._drops
        ):
            self._empty.set(device, newest)

    def may_wait(self, user_id: str, device_id: str | None) -> bool:
        """Whether messages may wait for the device."""
        return device_id is not None and (user_id, device_id) not in self._empty

    async def deliver(self, user_id: str, device_id: str | None, upto: int, *, first: bool) -> Delivery:
        """Give the messages for an answer up to a position, the oldest first."""
        if device_id is None or not self.may_wait(user_id, device_id):
            return _NOTHING
        limit = ALL if first else PAGE
        found = await self._db.read(pending, user_id, device_id, upto, limit)
        cut = found[-1][0] if len(found) == limit else None
        return Delivery([message for _, message in found], cut)

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.kind == kinds.TO_DEVICE:
                self._drops += 1
                self._empty.pop((change.entity, change.ref or ""))
