"""Uploading, querying and claiming keys (client-server API, Key management API)."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
import orjson

from chamberlain.devices import signed_keys
from chamberlain.devices.key_cache import KeyCache, ShownKeys
from chamberlain.devices.ports import ClaimWishes
from chamberlain.devices.remote_keys import Failures, RemoteKeys
from chamberlain.matrix.errors import BadJson, InvalidParam, UnknownToken
from chamberlain.matrix.ids import parse_user_id, server_of
from chamberlain.matrix.types import JsonObject
from chamberlain.store import device_keys, one_time_keys
from chamberlain.store.cross_signing import UserSignature
from chamberlain.store.database import Database
from chamberlain.store.one_time_keys import Batch, Given, NewKey, Wanted

SIGNED: Final = "signed_curve25519"
MAX_KEYS: Final = 1_000
"""How many keys one upload may bring."""
TIMEOUT_MS: Final = 10_000
"""How long is waited for other servers where a client does not say otherwise."""
TRIES: Final = 5
"""How often a change is tried again that another request came in between of."""


class _SignedKey(msgspec.Struct):
    key: str


_keys = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_shapes = msgspec.json.Decoder(dict[str, str | _SignedKey] | None)
_devices_of = msgspec.json.Decoder(dict[str, dict[str, msgspec.Raw]])


class Keys:
    """The keys of the devices of this server's users."""

    def __init__(self, db: Database, cache: KeyCache, server_name: str, remote: RemoteKeys) -> None:
        self._db = db
        self._cache = cache
        self._server_name = server_name
        self._remote = remote

    async def upload(
        self, user_id: str, device_id: str, device: JsonObject | None, one_time: bytes, fallback: bytes
    ) -> dict[str, int]:
        """Keep keys of a device; how many one-time keys it has, by algorithm.

        `one_time` and `fallback` are JSON objects (or null) of keys by `<algorithm>:<key id>`.

        Raises:
            InvalidParam: keys of another device, or a key id that was uploaded before with another key.
            BadJson: a key has the wrong shape.
        """
        batch = Batch(user_id, device_id, _new_keys(one_time), _new_keys(fallback))
        if device is not None:
            await self._put_device_keys(user_id, device_id, device)
        outcome = await self._db.write_batch(one_time_keys.upload, batch)
        if outcome.no_device:
            raise UnknownToken
        if outcome.taken is not None:
            raise InvalidParam(f"There is another one-time key {outcome.taken} already")
        return outcome.counts

    async def _put_device_keys(self, user_id: str, device_id: str, value: JsonObject) -> None:
        new = signed_keys.check_device_keys(value, user_id, device_id)
        for _ in range(TRIES):
            there = (await self._db.read(device_keys.of_devices, user_id, [device_id])).get(device_id)
            keys = new if there is None else _keep_signatures(there, new)
            if keys == there or await self._db.write(device_keys.put, user_id, device_id, keys, there):
                return
        raise UnknownToken

    async def query(
        self, requester: str, wanted: Mapping[str, list[str]], timeout_ms: int = TIMEOUT_MS
    ) -> bytes:
        """The answer to `/keys/query`: for each user all devices, or those that are named.

        Other servers have `timeout_ms` for what is not known of their users; those that give no answer are named.

        Raises:
            InvalidParam: what is asked for is not a user id.
        """
        shown: dict[str, ShownKeys] = {}
        missing: list[str] = []
        elsewhere: dict[str, list[str]] = {}
        failures: Failures = {}
        await self._cache.refresh()
        find = self._cache.find
        for user_id in wanted:
            found = find(user_id)
            if found is not None:
                shown[user_id] = found
            elif server_of(parse_user_id(user_id)) == self._server_name:
                missing.append(user_id)
            else:
                elsewhere[user_id] = wanted[user_id]
        if missing:
            shown |= await self._cache.load(missing)
        if elsewhere:
            theirs, failures = await self._remote.query(elsewhere, timeout_ms)
            shown |= theirs
        signed = await self._cache.signed_by(requester)
        own = shown.get(requester)
        return _object(
            device_keys=_members(_named(keys.devices, wanted[user]) for user, keys in shown.items()),
            failures=orjson.dumps(failures),
            master_keys=_members(
                _seen_by(requester, signed.get(user), keys.master) for user, keys in shown.items()
            ),
            self_signing_keys=_members(keys.self_signing for keys in shown.values()),
            user_signing_keys=_members([own.user_signing] if own else []),
        )

    async def claim(self, wanted: Mapping[str, Mapping[str, str]], timeout_ms: int = TIMEOUT_MS) -> bytes:
        """The answer to `/keys/claim`: a key for each device and algorithm, as far as there are keys.

        Other servers have `timeout_ms` to give keys of their users; those that give no answer are named.

        Raises:
            InvalidParam: what is asked for is not a user id.
        """
        here: dict[str, Mapping[str, str]] = {}
        elsewhere: dict[str, Mapping[str, str]] = {}
        for user_id, devices in wanted.items():
            is_ours = server_of(parse_user_id(user_id)) == self._server_name
            (here if is_ours else elsewhere)[user_id] = devices
        if sum(map(len, here.values())) > MAX_KEYS:
            raise InvalidParam(f"At most {MAX_KEYS} keys can be claimed at once")
        failures: Failures = {}
        answer: dict[str, Any] = await self.claim_here(here) if here else {}
        if elsewhere:
            theirs, failures = await self._remote.claim(elsewhere, timeout_ms)
            answer |= theirs
        return msgspec.json.encode({"failures": failures, "one_time_keys": answer})

    async def claim_here(self, wanted: ClaimWishes) -> dict[str, dict[str, dict[str, msgspec.Raw]]]:
        """Keys of this server's users by user, device and `<algorithm>:<key id>`, as far as there are keys."""
        wishes: list[Wanted] = [
            (user_id, device_id, algorithm)
            for user_id, devices in wanted.items()
            for device_id, algorithm in devices.items()
        ]
        given: list[Given] = await self._db.write_batch(one_time_keys.claim, wishes) if wishes else []
        answer: dict[str, dict[str, dict[str, msgspec.Raw]]] = {}
        for key in given:
            keys = answer.setdefault(key.user_id, {}).setdefault(key.device_id, {})
            keys[f"{key.algorithm}:{key.key_id}"] = msgspec.Raw(key.key)
        return answer


def _new_keys(raw: bytes) -> list[NewKey]:
    try:
        values, shapes = _keys.decode(raw) or {}, _shapes.decode(raw) or {}
    except msgspec.ValidationError as refusal:
        raise BadJson(f"Keys must be text or objects with a text `key`: {refusal}") from None
    if len(values) > MAX_KEYS:
        raise InvalidParam(f"At most {MAX_KEYS} keys can be uploaded at once")
    keys: list[NewKey] = []
    for name, value in values.items():
        algorithm, colon, key_id = name.partition(":")
        if not colon or not algorithm or not key_id:
            raise BadJson("Keys must be named <algorithm>:<key id>")
        if algorithm == SIGNED and isinstance(shapes[name], str):
            raise BadJson(f"The key {name} must be an object")
        keys.append(NewKey(algorithm, key_id, bytes(value)))
    return keys


def _keep_signatures(there: bytes, new: bytes) -> bytes:
    """The new keys, with the signatures that the same keys had before."""
    old_value, new_value = signed_keys.load(there), signed_keys.load(new)
    if not signed_keys.same_content(old_value, new_value):
        return new
    merged = signed_keys.with_signatures(old_value, signed_keys.signatures_of(new_value))
    return signed_keys.dump(merged)


def _named(devices: bytes, device_ids: list[str]) -> bytes:
    """The member of one user, cut down to some devices where any are named."""
    if not device_ids:
        return devices
    ((user_id, theirs),) = _devices_of.decode(b"{" + devices + b"}").items()
    kept = {device_id: theirs[device_id] for device_id in device_ids if device_id in theirs}
    return msgspec.json.encode({user_id: kept})[1:-1]


def _seen_by(requester: str, signatures: list[UserSignature] | None, master: bytes | None) -> bytes | None:
    """The master key with what the requester signed of it."""
    if not signatures or master is None:
        return master
    ((user_id, key),) = signed_keys.load(b"{" + master + b"}").items()
    for signature in signatures:
        if f"{signed_keys.ED25519}{signature.target_key}" in key["keys"]:
            more = {requester: {signature.signing_key: signature.signature}}
            key = signed_keys.with_signatures(key, more)
    return orjson.dumps({user_id: key})[1:-1]


def _members(parts: Iterable[bytes | None]) -> bytes:
    return b"{" + b",".join([part for part in parts if part is not None]) + b"}"


def _object(**parts: bytes) -> bytes:
    return b"{" + b",".join([b'"' + name.encode() + b'":' + part for name, part in parts.items()]) + b"}"
