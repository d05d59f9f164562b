"""Keys of other servers' users, as clients ask for them (client-server API, Key management API)."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from chamberlain.devices.key_cache import ShownKeys, show
from chamberlain.devices.ports import ClaimedKeys, ClaimWishes, KeyServers, TheirKeys, Wishes
from chamberlain.devices.remote_lists import RemoteLists, usable_device, usable_signing_key
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import server_of
from chamberlain.matrix.remote_errors import Refused, RemoteError
from chamberlain.matrix.types import text_of
from chamberlain.store import remote_devices
from chamberlain.store.cross_signing import KeyRow
from chamberlain.store.database import Database
from chamberlain.store.remote_devices import RemoteDevice, RemoteList

MIN_SECONDS: Final = 1.0
MAX_SECONDS: Final = 30.0
"""Another server has at least and at most so long, whatever timeout a client names."""
LISTS_AT_ONCE: Final = 20
"""For the lists of so many users a server is asked while a client waits; for more of them it is asked for the keys
alone, in one go, and for the lists later."""

Failures = dict[str, dict[str, str]]
"""Errors by the server that did not answer."""


class RemoteKeys:
    """Gets keys of other servers' users, from memory where it is up to date."""

    def __init__(self, db: Database, servers: KeyServers, lists: RemoteLists) -> None:
        self._db = db
        self._servers = servers
        self._lists = lists

    async def query(self, wishes: Wishes, timeout_ms: int) -> tuple[dict[str, ShownKeys], Failures]:
        """The keys of users of other servers, and which servers did not answer in time."""
        known = await self._db.snapshot(remote_devices.list_current, wishes.keys())
        shown = {user_id: _show(user_id, found) for user_id, found in known.items()}
        missing = [user_id for user_id in wishes if user_id not in known]
        if not missing:
            return shown, {}
        shared = await self._db.read(remote_devices.shared_with_us, missing)
        servers: dict[str, list[str]] = {}
        for user_id in missing:
            servers.setdefault(server_of(user_id), []).append(user_id)
        failures: Failures = {}
        answers = await asyncio.gather(
            *(
                self._ask(server, users, shared, wishes, _seconds(timeout_ms), failures)
                for server, users in servers.items()
            )
        )
        for answer in answers:
            shown |= answer
        return shown, failures

    async def _ask(
        self,
        server: str,
        users: Sequence[str],
        shared: Collection[str],
        wishes: Wishes,
        seconds: float,
        failures: Failures,
    ) -> dict[str, ShownKeys]:
        """Ask one server. The list of a user with whom a room is shared is kept, and its server tells of changes."""
        shown: dict[str, ShownKeys] = {}
        lists = [user_id for user_id in users if user_id in shared]
        if len(lists) > LISTS_AT_ONCE:
            await self._lists.ask_later(lists)
        elif lists:
            for user_id, found in (await self._lists.fetch(lists, seconds)).items():
                if isinstance(found, RemoteList):
                    shown[user_id] = _show(user_id, found)
                elif not isinstance(found, Refused):
                    failures[server] = _failure(server)
        others = {user_id: wishes[user_id] for user_id in users if user_id not in shown}
        if others and server not in failures:
            try:
                told = await self._servers.query(server, others, seconds)
                shown |= {user_id: _show(user_id, _usable(user_id, told)) for user_id in others}
            except RemoteError:
                failures[server] = _failure(server)
        return shown

    async def claim(self, wishes: ClaimWishes, timeout_ms: int) -> tuple[ClaimedKeys, Failures]:
        """One-time keys of other servers' users, and which servers did not answer in time."""
        servers: dict[str, dict[str, Mapping[str, str]]] = {}
        for user_id, devices in wishes.items():
            servers.setdefault(server_of(user_id), {})[user_id] = devices
        failures: Failures = {}
        answers = await asyncio.gather(
            *(
                self._claim(server, theirs, _seconds(timeout_ms), failures)
                for server, theirs in servers.items()
            )
        )
        return {user_id: devices for answer in answers for user_id, devices in answer.items()}, failures

    async def _claim(
        self, server: str, wishes: ClaimWishes, seconds: float, failures: Failures
    ) -> ClaimedKeys:
        try:
            told = await self._servers.claim(server, wishes, seconds)
        except RemoteError:
            failures[server] = _failure(server)
            return {}
        return {
            user_id: {
                device_id: _of_algorithm(told[user_id][device_id], algorithm)
                for device_id, algorithm in devices.items()
                if device_id in told[user_id]
            }
            for user_id, devices in wishes.items()
            if user_id in told
        }


def _of_algorithm(keys: Mapping[str, msgspec.Raw], algorithm: str) -> dict[str, msgspec.Raw]:
    """The one key that was asked for; a server that gives more gives them in vain."""
    return dict([item for item in keys.items() if item[0].partition(":")[0] == algorithm][:1])


def _usable(user_id: str, told: TheirKeys) -> RemoteList:
    devices: list[RemoteDevice] = []
    for device_id, keys in told.device_keys.get(user_id, {}).items():
        unsigned = keys.get("unsigned")
        name = text_of(unsigned, "device_display_name") if isinstance(unsigned, dict) else None
        device = usable_device(user_id, device_id, keys, name)
        if device is not None:
            devices.append(device)
    return RemoteList(
        0,
        devices,
        usable_signing_key(user_id, "master", told.master_keys.get(user_id)),
        usable_signing_key(user_id, "self_signing", told.self_signing_keys.get(user_id)),
    )


def _show(user_id: str, found: RemoteList) -> ShownKeys:
    usages = {"master": found.master, "self_signing": found.self_signing}
    return show(
        user_id,
        [(user_id, device.device_id, device.keys, device.display_name) for device in found.devices],
        [KeyRow(usage, "", key) for usage, key in usages.items() if key is not None],
    )


def _seconds(timeout_ms: int) -> float:
    return min(max(timeout_ms / 1000, MIN_SECONDS), MAX_SECONDS)


def _failure(server: str) -> dict[str, str]:
    return {"errcode": ErrCode.CONNECTION_FAILED.value, "error": f"{server} gave no answer"}
