"""A new signing key for a server that runs."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from chamberlain.federation import key_file
from chamberlain.federation.key_file import KeyFileError
from chamberlain.federation.own_keys import OwnKeys
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import InvalidParam, MatrixError
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.log import get_logger
from chamberlain.runtime.rng import Rng
from chamberlain.runtime.tasks import Tasks
from chamberlain.store import kinds, leases
from chamberlain.store.database import Database
from chamberlain.store.tx import Change, Write

GRACE_MS: Final = 60_000
"""So long the old key stays good: what was being signed with it goes out, and the other workers hear of the new one."""

log = get_logger("federation")


class Rotated(msgspec.Struct, frozen=True):
    """The key that signs, those that did, and until when (ms) what these have signed is good."""

    key_id: str
    old_key_ids: list[str]
    old_valid_until: int


class KeyRotation:
    """Makes keys; and has this worker sign with what any worker of the machine has made."""

    def __init__(
        self, db: Database, clock: Clock, rng: Rng, path: Path, own_keys: OwnKeys, *, is_shared: bool
    ) -> None:
        """`is_shared`: other machines sign for this server too, with files of their own."""
        self._db = db
        self._clock = clock
        self._rng = rng
        self._path = path
        self._own_keys = own_keys
        self._is_shared = is_shared
        self._tasks = Tasks()
        self._reading = asyncio.Lock()
        db.subscribe(self._changed)

    async def close(self) -> None:
        """End the background work."""
        await self._tasks.close()

    async def settled(self) -> None:
        """Return when this worker signs with the key that it has heard of."""
        await self._tasks.settle()

    def check(self) -> None:
        """Return where a key can be made.

        Raises:
            InvalidParam: other machines would go on signing with the old one.
        """
        if self._is_shared:
            raise InvalidParam(
                "Several machines sign for this server: stop them, use `chamberlain keys rotate` on one of them, and"
                " copy signing.key and signing.key.old to the others"
            )

    async def rotate(self) -> Rotated:
        """Sign with a new key from now on; the old one is published as such, and good for another minute.

        The other workers follow as soon as they hear of it, which takes much less.

        Raises:
            InvalidParam: as for `check`.
            MatrixError: the files cannot be read or written; or a key is being made at this moment (409).
        """
        self.check()
        now = self._clock.now()
        lease = await self._db.write(leases.take, "signing key", self._rng.id(8), now, now + GRACE_MS)
        if lease is None:
            raise MatrixError(ErrCode.UNKNOWN, "A key was made just now; wait a minute", status=409)
        ends = now + GRACE_MS
        old = [key.key_id for key in self._own_keys.active]
        try:
            made = await asyncio.to_thread(key_file.rotate, self._path, self._rng, ends)
        except (KeyFileError, OSError) as problem:
            await self._db.write(leases.release, lease)
            raise MatrixError(ErrCode.UNKNOWN, f"The key cannot be kept: {problem}", status=500) from problem
        await self._read_again()
        await self._db.write(_tell, made.key_id)
        log.warning("the server signs with a new key", key_id=made.key_id)
        return Rotated(made.key_id, old, ends)

    def _changed(self, changes: Sequence[Change]) -> None:
        if any(change.kind == kinds.SIGNING_KEY for change in changes):
            self._tasks.spawn("read the signing keys", self._read_again())

    async def _read_again(self) -> None:
        # One after the other: what was read last is what holds.
        async with self._reading:
            self._own_keys.replace(await asyncio.to_thread(key_file.load, self._path))


async def _tell(tx: Write, key_id: str) -> None:
    tx.place(kinds.SIGNING_KEY, key_id)
