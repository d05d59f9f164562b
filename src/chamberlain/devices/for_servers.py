"""Keys of this server's users, as other servers ask for them (server-server API, End-to-End Encryption)."""

from collections.abc import Mapping
from typing import Final

import msgspec
import orjson

from chamberlain.devices.keys import MAX_KEYS, Keys
from chamberlain.devices.ports import ClaimWishes, Wishes
from chamberlain.matrix.errors import InvalidParam, NotFound
from chamberlain.matrix.ids import find_server_of
from chamberlain.store import cross_signing, device_keys, device_streams, users
from chamberlain.store.cross_signing import KeyRow
from chamberlain.store.database import Database
from chamberlain.store.tx import Read

MAX_USERS: Final = 1_000
SHORT_READ: Final = 20
SHOWN: Final = ("master", "self_signing")
"""A user's user-signing key is for nobody else."""

_Device = tuple[str, str, bytes, str | None]
"""User, device, keys, display name."""


class KeysForServers:
    """Answers other servers. Users of other servers than this are passed over."""

    def __init__(self, db: Database, keys: Keys, server_name: str, *, names_shown: bool) -> None:
        """`names_shown`: other servers are told the names of devices."""
        self._db = db
        self._keys = keys
        self._server_name = server_name
        self._names_shown = names_shown

    async def query(self, wishes: Wishes) -> bytes:
        """The answer to `/user/keys/query`.

        Raises:
            InvalidParam: too many users at once.
        """
        ours = {user_id: set(devices) for user_id, devices in wishes.items() if self._is_ours(user_id)}
        if len(ours) > MAX_USERS:
            raise InvalidParam(f"At most {MAX_USERS} users can be asked for at once")
        read = self._db.read if len(ours) <= SHORT_READ else self._db.snapshot
        devices, keys = await read(_keys_of, list(ours))
        shown: dict[str, dict[str, orjson.Fragment]] = {user_id: {} for user_id in ours}
        for user_id, device_id, stored, name in devices:
            if not ours[user_id] or device_id in ours[user_id]:
                shown[user_id][device_id] = orjson.Fragment(self._with_name(stored, name))
        body: dict[str, object] = {"device_keys": shown}
        for usage in SHOWN:
            body[f"{usage}_keys"] = {
                user_id: orjson.Fragment(key.key) for user_id, key in keys if key.usage == usage
            }
        return orjson.dumps(body)

    async def claim(self, wishes: ClaimWishes) -> bytes:
        """The answer to `/user/keys/claim`.

        Raises:
            InvalidParam: too many keys at once.
        """
        ours = {user_id: devices for user_id, devices in wishes.items() if self._is_ours(user_id)}
        if sum(map(len, ours.values())) > MAX_KEYS:
            raise InvalidParam(f"At most {MAX_KEYS} keys can be claimed at once")
        return msgspec.json.encode({"one_time_keys": await self._keys.claim_here(ours)})

    async def devices_of(self, user_id: str) -> bytes:
        """The answer to `/user/devices`.

        Raises:
            NotFound: there is no such user here.
        """
        found = await self._db.snapshot(_list_of, user_id) if self._is_ours(user_id) else None
        if found is None:
            raise NotFound("There is no such user")
        stream_id, devices, keys = found
        body: dict[str, object] = {"user_id": user_id, "stream_id": stream_id}
        body["devices"] = [self._listed(device) for device in devices]
        for key in keys:
            if key.usage in SHOWN:
                body[f"{key.usage}_key"] = orjson.Fragment(key.key)
        return orjson.dumps(body)

    def name_of(self, display_name: str | None) -> Mapping[str, str]:
        """What other servers are told of the name of a device."""
        return {"device_display_name": display_name} if display_name and self._names_shown else {}

    def _is_ours(self, user_id: str) -> bool:
        return find_server_of(user_id) == self._server_name

    def _listed(self, device: _Device) -> dict[str, object]:
        _, device_id, stored, name = device
        return {"device_id": device_id, "keys": orjson.Fragment(stored), **self.name_of(name)}

    def _with_name(self, stored: bytes, name: str | None) -> bytes:
        unsigned = self.name_of(name)
        return stored[:-1] + b',"unsigned":' + orjson.dumps(unsigned) + b"}" if unsigned else stored


async def _keys_of(tx: Read, user_ids: list[str]) -> tuple[list[_Device], list[tuple[str, KeyRow]]]:
    return await device_keys.of_users(tx, user_ids), await cross_signing.of_users(tx, user_ids)


async def _list_of(tx: Read, user_id: str) -> tuple[int, list[_Device], list[KeyRow]] | None:
    if await users.find(tx, user_id) is None:
        return None
    devices, keys = await _keys_of(tx, [user_id])
    return await device_streams.latest(tx, user_id), devices, [key for _, key in keys]
