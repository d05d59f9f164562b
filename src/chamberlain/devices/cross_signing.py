"""Cross-signing keys and signatures (client-server API, Cross-signing)."""

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from chamberlain.devices import signed_keys
from chamberlain.devices.keys import TRIES
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import Forbidden, MatrixError, MissingParam
from chamberlain.matrix.types import JsonObject
from chamberlain.store import cross_signing, devices
from chamberlain.store.cross_signing import KeyRow
from chamberlain.store.database import Database
from chamberlain.store.tx import Read

USAGES = ("master", "self_signing", "user_signing")


class NewKeys(msgspec.Struct, frozen=True):
    """The keys in an upload, each by its use."""

    master: JsonObject | None = None
    self_signing: JsonObject | None = None
    user_signing: JsonObject | None = None

    def by_usage(self) -> dict[str, JsonObject]:
        """Those that are there."""
        found = ((usage, getattr(self, usage)) for usage in USAGES)
        return {usage: key for usage, key in found if key is not None}


class CrossSigning:
    """Sets the keys of a user."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def upload(self, user_id: str, new: NewKeys, authenticate: Callable[[], Awaitable[None]]) -> None:
        """Set a user's keys. `authenticate` is awaited first where keys that are there would be replaced.

        Raises:
            InvalidParam: a key has the wrong shape, user or use.
            MissingParam: there is no master key, neither here nor from before.
            MatrixError: M_INVALID_SIGNATURE where the master key did not sign.
            Forbidden: a public key is the same as one of the user's device ids.
        """
        public = {
            usage: signed_keys.check_cross_signing_key(key, user_id, usage)
            for usage, key in new.by_usage().items()
        }
        authenticated = False
        for _ in range(TRIES):
            there, device_ids = await self._db.read(_state, user_id)
            if any(key in device_ids for key in public.values()):
                raise Forbidden("A key id is in use by a device")
            master = public.get("master") or (there["master"].public_key if "master" in there else None)
            if master is None:
                raise MissingParam("No master signing key is available")
            _check_signatures(user_id, new, master)
            if _is_known(there, public):
                return
            if there and not authenticated:
                await authenticate()
                authenticated = True
            rows = [_row(usage, public[usage], key, there) for usage, key in new.by_usage().items()]
            seen = there["master"].public_key if "master" in there else None
            if await self._db.write(cross_signing.replace, user_id, rows, seen):
                return
        raise MatrixError(ErrCode.UNKNOWN, "The keys are being changed by other requests", status=409)


async def _state(tx: Read, user_id: str) -> tuple[dict[str, KeyRow], set[str]]:
    keys = {key.usage: key for _, key in await cross_signing.of_users(tx, [user_id])}
    return keys, {row[0] for row in await devices.list_of(tx, user_id)}


def _check_signatures(user_id: str, new: NewKeys, master: str) -> None:
    key_id = signed_keys.ED25519 + master
    for key in (new.self_signing, new.user_signing):
        if key is not None and not signed_keys.is_signed_by(key, user_id, master, key_id):
            raise MatrixError(ErrCode.INVALID_SIGNATURE, "A key is not signed by the master key")


def _is_known(there: Mapping[str, KeyRow], public: Mapping[str, str]) -> bool:
    """Whether an upload brings nothing new."""
    return all(usage in there and there[usage].public_key == key for usage, key in public.items())


def _row(usage: str, public_key: str, key: JsonObject, there: Mapping[str, KeyRow]) -> KeyRow:
    """The row for a key, which keeps its signatures where it is the one that was there."""
    before = there.get(usage)
    if before is not None and before.public_key == public_key:
        old = signed_keys.load(before.key)
        key = signed_keys.with_signatures(key, signed_keys.signatures_of(old))
    return KeyRow(usage, public_key, signed_keys.dump(key))
