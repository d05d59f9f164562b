"""Publishing signatures on keys (client-server API, `/keys/signatures/upload`)."""

from collections.abc import Mapping
from typing import Any

import msgspec

from chamberlain.devices import signed_keys
from chamberlain.devices.keys import TRIES
from chamberlain.devices.signed_keys import ED25519, Signatures
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import InvalidParam, MatrixError, NotFound
from chamberlain.matrix.types import JsonObject
from chamberlain.store import cross_signing, device_keys
from chamberlain.store.cross_signing import KeyRow, UserSignature
from chamberlain.store.database import Database
from chamberlain.store.tx import Read

MAX_OBJECTS = 1_000
"""How many signed objects one request may bring."""

Failures = dict[str, dict[str, dict[str, str]]]
Uploaded = Mapping[str, Mapping[str, JsonObject]]


class _Own(msgspec.Struct):
    """What a user's signatures are checked against."""

    keys: dict[str, KeyRow]
    devices: dict[str, bytes]

    def public(self, usage: str) -> str:
        """The public key for a use; raises NotFound."""
        if usage not in self.keys:
            raise NotFound(f"There is no {usage} key")
        return self.keys[usage].public_key


class SignatureUploads:
    """Adds signatures to the keys that they are on."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def upload(self, user_id: str, uploaded: Uploaded) -> Failures:
        """Keep the good signatures; what was wrong with each of the others, by user and key id.

        Raises:
            InvalidParam: more than `MAX_OBJECTS` at once.
        """
        if sum(map(len, uploaded.values())) > MAX_OBJECTS:
            raise InvalidParam(f"At most {MAX_OBJECTS} signed objects can be uploaded at once")
        failures: Failures = {}
        own = dict(uploaded.get(user_id, {}))
        for key_id, value in own.items():
            try:
                await self._add_own(user_id, key_id, value)
            except MatrixError as error:
                failures.setdefault(user_id, {})[key_id] = _failure(error)
        others = {target: keys for target, keys in uploaded.items() if target != user_id}
        if others:
            await self._add_others(user_id, others, failures)
        return failures

    async def _add_own(self, user_id: str, key_id: str, value: JsonObject) -> None:
        for _ in range(TRIES):
            own = await self._db.read(_own, user_id, _signing_devices(value, user_id) | {key_id})
            master = own.keys.get("master")
            if master is not None and key_id == master.public_key:
                there, new = master.key, _on_master(own, user_id, value)
                done = new == there or await self._db.write(cross_signing.put, user_id, "master", new, there)
            elif key_id in own.devices:
                there, new = own.devices[key_id], _on_device(own, user_id, key_id, value)
                done = new == there or await self._db.write(device_keys.put, user_id, key_id, new, there)
            else:
                raise NotFound("There is no such key")
            if done:
                return
        raise MatrixError(ErrCode.UNKNOWN, "The key is being changed by other requests")

    async def _add_others(self, signer: str, uploaded: Uploaded, failures: Failures) -> None:
        own = await self._db.read(_own, signer, set())
        rows = await self._db.read(cross_signing.of_users, sorted(uploaded))
        masters = {(target, key.public_key): key for target, key in rows if key.usage == "master"}
        good: list[UserSignature] = []
        for target, keys in uploaded.items():
            for key_id, value in keys.items():
                try:
                    good.append(_on_other(own, signer, target, masters.get((target, key_id)), value))
                except MatrixError as error:
                    failures.setdefault(target, {})[key_id] = _failure(error)
        if good:
            await self._db.write(cross_signing.add_user_signatures, signer, good)


async def _own(tx: Read, user_id: str, device_ids: set[str]) -> _Own:
    keys = {key.usage: key for _, key in await cross_signing.of_users(tx, [user_id])}
    return _Own(keys, await device_keys.of_devices(tx, user_id, sorted(device_ids)))


def _signing_devices(value: JsonObject, user_id: str) -> set[str]:
    """The ids of the devices (and other keys) that an object says it is signed by."""
    signatures = value.get("signatures")
    by_key: Any = signatures.get(user_id) if isinstance(signatures, dict) else None
    names = by_key if isinstance(by_key, dict) else {}
    return {name.removeprefix(ED25519) for name in names if name.startswith(ED25519)}


def _on_device(own: _Own, user_id: str, device_id: str, value: JsonObject) -> bytes:
    """The keys of a device with the self-signing key's signature added."""
    there = signed_keys.load(own.devices[device_id])
    public = own.public("self_signing")
    return _signed(there, value, user_id, {ED25519 + public: public})


def _on_master(own: _Own, user_id: str, value: JsonObject) -> bytes:
    """The master key with the signatures of the user's devices added."""
    there = signed_keys.load(own.keys["master"].key)
    keys = {
        ED25519 + device_id: signed_keys.load(device)["keys"].get(ED25519 + device_id, "")
        for device_id, device in own.devices.items()
    }
    return _signed(there, value, user_id, keys)


def _signed(there: JsonObject, value: JsonObject, signer: str, keys: Mapping[str, str]) -> bytes:
    """An object with the new signatures by these keys, of which there must be one and all must be good."""
    found: Signatures = {}
    for key_id, public in keys.items():
        signature = signed_keys.signature_by(value, signer, key_id)
        if signature:
            _check(there, value, signer, public, key_id)
            found.setdefault(signer, {}).update(signature[signer])
    if not found:
        raise MatrixError(ErrCode.INVALID_SIGNATURE, "There is no signature by a known key of the user")
    return signed_keys.dump(signed_keys.with_signatures(there, found))


def _on_other(own: _Own, signer: str, target: str, master: KeyRow | None, value: JsonObject) -> UserSignature:
    """The user-signing key's signature on another user's master key."""
    if master is None:
        raise NotFound("The user has no such master key")
    public = own.public("user_signing")
    key_id = ED25519 + public
    _check(signed_keys.load(master.key), value, signer, public, key_id)
    signature = signed_keys.signature_by(value, signer, key_id)[signer][key_id]
    return UserSignature(target, master.public_key, key_id, signature)


def _check(there: JsonObject, value: JsonObject, signer: str, public: str, key_id: str) -> None:
    if not signed_keys.same_content(there, value):
        raise MatrixError(ErrCode.INVALID_SIGNATURE, "The signed object is not the key that was uploaded")
    if not signed_keys.is_signed_by(value, signer, public, key_id):
        raise MatrixError(ErrCode.INVALID_SIGNATURE, "Invalid signature")


def _failure(error: MatrixError) -> dict[str, str]:
    return {"errcode": error.code.value, "error": error.message}
