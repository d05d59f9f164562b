"""The signed JSON objects of end-to-end encryption: device keys and cross-signing keys, and their signatures."""

from typing import Final, TypeVar

import msgspec
import orjson

from chamberlain.matrix import canonical_json
from chamberlain.matrix.errors import InvalidParam, MatrixError
from chamberlain.matrix.signing import VerifyKey, find_signature, verify_json
from chamberlain.matrix.types import JsonObject

T = TypeVar("T")

ED25519: Final = "ed25519:"

Signatures = dict[str, dict[str, str]]


class _DeviceKeys(msgspec.Struct):
    user_id: str
    device_id: str
    algorithms: list[str]
    keys: dict[str, str]
    signatures: Signatures = {}


class _CrossSigningKey(msgspec.Struct):
    user_id: str
    usage: list[str]
    keys: dict[str, str]
    signatures: Signatures = {}


def check_device_keys(value: JsonObject, user_id: str, device_id: str) -> bytes:
    """The canonical bytes of a device's keys, without `unsigned`.

    Raises:
        InvalidParam: they have not the shape of device keys, or are of another user or device.
        BadJson: they hold what canonical JSON has not.
    """
    keys = _convert(value, _DeviceKeys)
    if keys.user_id != user_id or keys.device_id != device_id:
        raise InvalidParam("device_keys are not of this user and device")
    return canonical_json.encode({name: part for name, part in value.items() if name != "unsigned"})


def check_cross_signing_key(value: JsonObject, user_id: str, usage: str) -> str:
    """The public key in a cross-signing key.

    Raises:
        InvalidParam: it has not the shape of one, or is of another user or for another use.
        BadJson: it holds what canonical JSON has not.
    """
    key = _convert(value, _CrossSigningKey)
    if key.user_id != user_id or usage not in key.usage:
        raise InvalidParam(f"{usage}_key is not of this user or not for this use")
    name, public = next(iter(key.keys.items()), ("", ""))
    if len(key.keys) != 1 or name != ED25519 + public:
        raise InvalidParam(f"{usage}_key must have one key, named ed25519:<public key>")
    VerifyKey.from_base64(public, name)
    canonical_json.encode(value)
    return public


def _convert(value: object, kind: type[T]) -> T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as refusal:
        raise InvalidParam(str(refusal)) from None


def same_content(one: JsonObject, other: JsonObject) -> bool:
    """Whether two signed objects are the same but for their signatures and `unsigned`."""
    return _content(one) == _content(other)


def _content(value: JsonObject) -> JsonObject:
    return {name: part for name, part in value.items() if name not in ("signatures", "unsigned")}


def with_signatures(value: JsonObject, more: Signatures) -> JsonObject:
    """A copy of a signed object with more signatures; of two by the same key the new one stays."""
    merged: dict[str, dict[str, str]] = dict(value.get("signatures") or {})
    for signer, signatures in more.items():
        merged[signer] = {**merged.get(signer, {}), **signatures}
    return {**value, "signatures": merged}


def signatures_of(value: JsonObject) -> Signatures:
    """The `signatures` of an object that a client sent.

    Raises:
        InvalidParam: they have not the shape of signatures.
    """
    return _convert(value.get("signatures") or {}, Signatures)


def is_signed_by(value: JsonObject, signer: str, public_key: str, key_id: str) -> bool:
    """Whether an object carries a valid signature of that user by that key; False for any nonsense."""
    try:
        return verify_json(value, signer, VerifyKey.from_base64(public_key, key_id))
    except MatrixError:
        return False


def signature_by(value: JsonObject, signer: str, key_id: str) -> Signatures:
    """That one signature of an object, or nothing."""
    signature = find_signature(value.get("signatures"), signer, key_id)
    return {} if signature is None else {signer: {key_id: signature}}


def dump(value: JsonObject) -> bytes:
    """The bytes of an object as the store keeps them.

    Raises:
        BadJson: it holds what canonical JSON has not.
    """
    return canonical_json.encode(value)


def load(stored: bytes) -> JsonObject:
    """An object from the bytes that the store has."""
    value: JsonObject = orjson.loads(stored)
    return value
