"""What `/keys/query` shows of each local user, ready to be spliced into answers, and kept until it changes."""

from collections.abc import Sequence

import msgspec
import orjson

from chamberlain.runtime.cache import Cache
from chamberlain.store import cross_signing, device_keys
from chamberlain.store.cross_signing import KeyRow, UserSignature
from chamberlain.store.database import Database, position_of
from chamberlain.store.tx import Change, Read

USERS_KEPT = 10_000
SHORT_READ = 100
"""How many users are read in the event loop at once."""

DeviceRow = tuple[str, str, bytes, str | None]
"""User, device, keys, display name."""


class ShownKeys(msgspec.Struct, frozen=True):
    """The keys of one user. Each part is a member of a JSON object, `"<user id>":{…}`."""

    devices: bytes
    master: bytes | None = None
    self_signing: bytes | None = None
    user_signing: bytes | None = None


class KeyCache:
    """Reads keys, and remembers them until the change stream says that they changed."""

    def __init__(self, db: Database, *, shared: bool) -> None:
        """`shared`: other workers change keys too, and this one hears of it a moment later."""
        self._db = db
        self._shared = shared
        self._shown: Cache[str, ShownKeys] = Cache(USERS_KEPT)
        self._signed: Cache[str, dict[str, list[UserSignature]]] = Cache(USERS_KEPT)

    async def refresh(self) -> None:
        """Make sure that nothing is remembered that was old before this was called.

        A client that heard of a change from another worker asks once: it must not get the keys of before.
        """
        if self._shared and await self._db.read(position_of) > self._db.position:
            self._shown.clear()
            self._signed.clear()

    def find(self, user_id: str) -> ShownKeys | None:
        """The keys of a user, where they are remembered."""
        return self._shown.get(user_id)

    async def load(self, user_ids: list[str]) -> dict[str, ShownKeys]:
        """The keys of local users, from the database; those without any have no devices."""
        drops = self._shown.drops
        read = self._db.read if len(user_ids) <= SHORT_READ else self._db.snapshot
        rows, keys = await read(_read, user_ids)
        by_user: dict[str, tuple[list[DeviceRow], list[KeyRow]]] = {user: ([], []) for user in user_ids}
        for row in rows:
            by_user[row[0]][0].append(row)
        for user_id, key in keys:
            by_user[user_id][1].append(key)
        shown = {user_id: show(user_id, *theirs) for user_id, theirs in by_user.items()}
        if drops == self._shown.drops:
            for user_id, value in shown.items():
                self._shown.set(user_id, value)
        return shown

    async def signed_by(self, user_id: str) -> dict[str, list[UserSignature]]:
        """What a user signed of others' master keys, by whose they are."""
        return await self._signed.fetch(user_id, self._read_signed)

    async def _read_signed(self, user_id: str) -> dict[str, list[UserSignature]]:
        signed: dict[str, list[UserSignature]] = {}
        for signature in await self._db.read(cross_signing.user_signatures_by, user_id):
            signed.setdefault(signature.target, []).append(signature)
        return signed

    def drop(self, change: Change) -> None:
        """Forget what a change of a device list or of a signature made old."""
        self._shown.pop(change.entity)
        self._signed.pop(change.entity)


async def _read(tx: Read, user_ids: list[str]) -> tuple[list[DeviceRow], list[tuple[str, KeyRow]]]:
    return await device_keys.of_users(tx, user_ids), await cross_signing.of_users(tx, user_ids)


def show(user_id: str, rows: Sequence[DeviceRow], keys: Sequence[KeyRow]) -> ShownKeys:
    """The members of one user."""
    name = orjson.dumps(user_id) + b":"
    devices = [orjson.dumps(device) + b":" + _named(stored, title) for _, device, stored, title in rows]
    by_usage = {key.usage: name + key.key for key in keys}
    return ShownKeys(name + b"{" + b",".join(devices) + b"}", **by_usage)


def _named(stored: bytes, display_name: str | None) -> bytes:
    """The keys of a device, with its display name where it has one."""
    if display_name is None:
        return stored
    unsigned = orjson.dumps({"device_display_name": display_name})
    return stored[:-1] + b',"unsigned":' + unsigned + b"}"
