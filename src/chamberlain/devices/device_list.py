"""The devices that a user is logged in with (client-server API, Device management)."""

import msgspec

from chamberlain.accounts.last_seen import LastSeen
from chamberlain.matrix.errors import InvalidParam, NotFound
from chamberlain.runtime.clock import Clock
from chamberlain.store import devices
from chamberlain.store.connections import Connection
from chamberlain.store.database import Database

MAX_NAME_LENGTH = 100
"""Longer display names than this many characters are refused."""
MAX_ID_LENGTH = 512
"""Longer device ids than this many characters are refused."""


class Device(msgspec.Struct, frozen=True):
    """A device, and where it was used last (`last_seen` in ms)."""

    device_id: str
    display_name: str | None
    created_at: int
    last_seen: Connection | None


class DeviceList:
    """Lists, names and deletes devices."""

    def __init__(self, db: Database, clock: Clock, last_seen: LastSeen) -> None:
        self._db = db
        self._clock = clock
        self._last_seen = last_seen

    async def list_of(self, user_id: str) -> list[Device]:
        """The devices of a user, by their ids."""
        seen: dict[str, Connection] = {}
        for connection in await self._last_seen.connections_of(user_id):
            seen.setdefault(connection.device_id, connection)
        return [Device(*row, seen.get(row[0])) for row in await self._db.read(devices.list_of, user_id)]

    async def get(self, user_id: str, device_id: str) -> Device:
        """One device.

        Raises:
            NotFound: the user has no such device.
        """
        for device in await self.list_of(user_id):
            if device.device_id == device_id:
                return device
        raise NotFound("No such device")

    async def rename(self, user_id: str, device_id: str, display_name: str | None) -> None:
        """Give a device another name; None leaves it as it is.

        Raises:
            NotFound: the user has no such device.
            InvalidParam: the name is too long.
        """
        check_display_name(display_name)
        if display_name is None:
            await self.get(user_id, device_id)
        elif not await self._db.write(devices.rename, user_id, device_id, display_name):
            raise NotFound("No such device")

    async def create(self, user_id: str, device_id: str, display_name: str | None) -> bool:
        """Make sure that the device exists, as application services may; True if it is new.

        Raises:
            InvalidParam: the name or the id is too long.
        """
        check_display_name(display_name)
        if not 0 < len(device_id) <= MAX_ID_LENGTH:
            raise InvalidParam(f"A device id has 1 to {MAX_ID_LENGTH} characters")
        return await self._db.write(devices.upsert, user_id, device_id, display_name, self._clock.now())

    async def delete(self, user_id: str, device_ids: list[str]) -> list[str]:
        """Delete devices with their tokens, keys and messages; the ids of those that existed."""
        return await self._db.write(devices.delete_many, user_id, device_ids)


def check_display_name(display_name: str | None) -> None:
    """Refuse a display name that is too long.

    Raises:
        InvalidParam: it is.
    """
    if display_name is not None and len(display_name) > MAX_NAME_LENGTH:
        raise InvalidParam(f"A device's display name has at most {MAX_NAME_LENGTH} characters")
