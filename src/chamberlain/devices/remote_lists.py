"""The devices of other servers' users: asked for, kept, and kept up to date (server-server API, Device Management)."""

import asyncio
from collections import deque
from collections.abc import Collection, Iterable
from typing import Final

from chamberlain.devices import signed_keys
from chamberlain.devices.ports import KeyServers, TheirDevices
from chamberlain.matrix.errors import MatrixError
from chamberlain.matrix.ids import MAX_ID_BYTES, server_of
from chamberlain.matrix.remote_errors import BadAnswer, Refused, RemoteError, Unreachable
from chamberlain.matrix.types import JsonObject
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.log import get_logger
from chamberlain.runtime.tasks import Tasks
from chamberlain.store import remote_devices
from chamberlain.store.database import Database
from chamberlain.store.remote_devices import RemoteDevice, RemoteList, RemoteUpdate

TIMEOUT: Final = 20.0
"""Seconds that another server has for a list that nobody waits for."""
SERVERS_AT_ONCE: Final = 20
"""So many servers are asked at the same time for lists that nobody waits for."""
RETRY_S: Final = 60.0
"""How often lists are asked for again that could not be had."""
RETRIED: Final = 500
TRIES: Final = 3
"""How often a list is asked for at once where updates come in between."""
FORGET_EVERY_S: Final = 3_600.0
MAX_NAME_LENGTH: Final = 100
"""Longer names of devices are cut."""

_log = get_logger("devices")


class RemoteLists:
    """Knows devices of other servers' users."""

    def __init__(self, db: Database, clock: Clock, servers: KeyServers) -> None:
        self._db = db
        self._clock = clock
        self._servers = servers
        self._tasks = Tasks()
        self._asking: dict[str, asyncio.Task[RemoteList | RemoteError]] = {}
        self._due: dict[str, deque[str]] = {}
        """By server the users whose lists are to be asked for."""
        self._places = asyncio.Semaphore(SERVERS_AT_ONCE)

    async def start(self) -> None:
        """Begin to ask for what is missing."""
        self._tasks.spawn("ask for device lists again", self._retry_forever())
        self._tasks.spawn("forget device lists", self._forget_forever())

    async def close(self) -> None:
        """Stop; what is missing is asked for after the next start."""
        await self._tasks.close()

    # ---------------------------------------------------------------------------------------------- asking

    async def fetch(self, user_ids: Collection[str], seconds: float) -> dict[str, RemoteList | RemoteError]:
        """Ask the users' servers, all at the same time; each user's list, or why there is none in time."""
        tasks = {user_id: self._fetching(user_id) for user_id in user_ids}
        await asyncio.wait(tasks.values(), timeout=seconds)
        return {user_id: _outcome(user_id, task) for user_id, task in tasks.items()}

    def _fetching(self, user_id: str) -> "asyncio.Task[RemoteList | RemoteError]":
        task = self._asking.get(user_id)
        if task is None:
            task = self._asking[user_id] = self._tasks.spawn("ask for a device list", self._fetch(user_id))
        return task

    async def _fetch(self, user_id: str) -> RemoteList | RemoteError:
        """Ask for the list of a user and keep it."""
        try:
            for _ in range(TRIES):
                asking = (await self._db.write(remote_devices.begin_asking, [user_id]))[user_id]
                found = usable(user_id, await self._servers.devices_of(user_id, TIMEOUT))
                if await self._db.write(remote_devices.put, asking, found):
                    break
            return found
        except RemoteError as error:
            _log.info("a device list could not be had", user=user_id, reason=str(error))
            if isinstance(error, Refused):
                # There is no such user any more, or the server does not serve lists.
                await self._db.write(remote_devices.forget, [user_id])
            return error
        finally:
            del self._asking[user_id]

    async def ask_later(self, user_ids: Iterable[str]) -> None:
        """Have the lists of these users asked for, for each server one after the other."""
        users = list(user_ids)
        await self._db.write(remote_devices.begin_asking, users)
        for user_id in users:
            self._queue(user_id)

    def _queue(self, user_id: str) -> None:
        server = server_of(user_id)
        due = self._due.get(server)
        if due is None:
            due = self._due[server] = deque()
            self._tasks.spawn("ask a server for device lists", self._work_off(server, due))
        if user_id not in due:
            due.append(user_id)

    async def _work_off(self, server: str, due: deque[str]) -> None:
        try:
            async with self._places:
                while due:
                    if isinstance(await self._fetching(due.popleft()), Unreachable):
                        # It is not asked for the others either before the next round.
                        return
        finally:
            del self._due[server]

    async def _retry_forever(self) -> None:
        while True:
            try:
                for user_id in await self._db.read(remote_devices.list_stale, RETRIED):
                    self._queue(user_id)
            except Exception:
                _log.exception("device lists could not be asked for again")
            await self._clock.sleep(RETRY_S)

    async def _forget_forever(self) -> None:
        while True:
            last: str | None = ""
            while last is not None:
                last = await self._db.write(remote_devices.forget_unshared, last)
            await self._clock.sleep(FORGET_EVERY_S)

    # ---------------------------------------------------------------------------------------------- hearing

    async def update(
        self,
        user_id: str,
        device_id: str,
        stream_id: int,
        prev_ids: Collection[int],
        keys: JsonObject | None,
        display_name: str | None,
    ) -> None:
        """A user's server tells of a device, without `keys` that it is gone.

        Where something came before that we have not heard of, the whole list is asked for.
        """
        if not await self._db.read(remote_devices.shared_with_us, [user_id]):
            return
        device = None if keys is None else usable_device(user_id, device_id, keys, display_name)
        change = RemoteUpdate(user_id, device_id, stream_id, max(prev_ids, default=None), device)
        if await self._db.write(remote_devices.update, change):
            self._queue(user_id)

    async def set_signing_keys(
        self, user_id: str, master: JsonObject | None, self_signing: JsonObject | None
    ) -> None:
        """A user's server tells of cross-signing keys."""
        if not await self._db.read(remote_devices.shared_with_us, [user_id]):
            return
        keys = (
            usable_signing_key(user_id, "master", master),
            usable_signing_key(user_id, "self_signing", self_signing),
        )
        if any(keys):
            await self._db.write(remote_devices.set_signing_keys, user_id, *keys)


def _outcome(user_id: str, task: "asyncio.Task[RemoteList | RemoteError]") -> RemoteList | RemoteError:
    if not task.done():
        return Unreachable(server_of(user_id), "no answer in time")
    return task.result() if task.exception() is None else BadAnswer(server_of(user_id), "no list was kept")


def usable(user_id: str, told: TheirDevices) -> RemoteList:
    """What of a server's answer has the right shape and is of this user."""
    devices: dict[str, RemoteDevice] = {}
    for device_id, keys, display_name in told.devices:
        device = usable_device(user_id, device_id, keys, display_name)
        if device is not None:
            devices[device_id] = device
    return RemoteList(
        told.stream_id,
        sorted(devices.values()),
        usable_signing_key(user_id, "master", told.master),
        usable_signing_key(user_id, "self_signing", told.self_signing),
    )


def usable_device(
    user_id: str, device_id: str, keys: JsonObject, display_name: str | None
) -> RemoteDevice | None:
    """The device, or None where its keys have not the shape of keys, or are of another one."""
    if len(device_id) > MAX_ID_BYTES or "\0" in device_id:
        return None
    try:
        stored = signed_keys.check_device_keys(keys, user_id, device_id)
    except MatrixError:
        return None
    name = display_name.replace("\0", "")[:MAX_NAME_LENGTH] if display_name else None
    return RemoteDevice(device_id, stored, name)


def usable_signing_key(user_id: str, usage: str, key: JsonObject | None) -> bytes | None:
    """The bytes of a cross-signing key, or None where it has not the shape of one, or is of another user."""
    if key is None:
        return None
    try:
        signed_keys.check_cross_signing_key(key, user_id, usage)
        return signed_keys.dump(key)
    except MatrixError:
        return None
