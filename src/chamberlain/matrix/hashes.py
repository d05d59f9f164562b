"""Content hashes, reference hashes, and the event ids made of them (server-server API, Signing Events)."""

import hashlib
import hmac
from typing import Any

from chamberlain.matrix import canonical_json
from chamberlain.matrix.errors import InvalidParam
from chamberlain.matrix.ids import EventID
from chamberlain.matrix.redaction import redact_json
from chamberlain.matrix.signing import decode_base64, encode_base64, encode_url_safe_base64
from chamberlain.matrix.types import JsonObject
from chamberlain.matrix.versions import EventIdFormat, RoomVersion

_NOT_HASHED = frozenset({"hashes", "signatures", "unsigned"})


def encode_for(version: RoomVersion, value: Any) -> bytes:
    """The canonical bytes of a part of an event whose numbers are already known to suit the room version."""
    if version.strict_canonical_json:
        return canonical_json.encode_unchecked(value)
    return canonical_json.encode_lenient(value)


def decode_for(version: RoomVersion, data: bytes) -> Any:
    """The value of a part of an event, by what the room version allows.

    Raises:
        BadJson: it is not JSON, or holds numbers that the room version has not.
    """
    if version.strict_canonical_json:
        return canonical_json.decode(data)
    return canonical_json.decode_lenient(data)


def content_hash(pdu: JsonObject, version: RoomVersion) -> bytes:
    """The sha256 digest of the whole event, without what changes on its way."""
    hashed = {key: value for key, value in pdu.items() if key not in _NOT_HASHED}
    return hashlib.sha256(encode_for(version, hashed)).digest()


def content_hash_matches(pdu: JsonObject, version: RoomVersion) -> bool:
    """Whether the event is what its `hashes` say; if not, it counts as redacted."""
    hashes = pdu.get("hashes")
    expected = hashes.get("sha256") if isinstance(hashes, dict) else None
    if not isinstance(expected, str):
        return False
    try:
        digest = decode_base64(expected)
    except InvalidParam:
        return False
    return hmac.compare_digest(digest, content_hash(pdu, version))


def signed_bytes(pdu: JsonObject, version: RoomVersion) -> bytes:
    """The bytes that servers sign, and those of the reference hash: redacted, without signatures."""
    redacted = redact_json(pdu, version)
    redacted.pop("signatures", None)
    redacted.pop("unsigned", None)
    return encode_for(version, redacted)


def reference_hash(signed: bytes) -> bytes:
    """The sha256 digest of an event's `signed_bytes`."""
    return hashlib.sha256(signed).digest()


def event_id_from(digest: bytes, version: RoomVersion) -> EventID:
    """The event id of room version 3 and later that belongs to a reference hash."""
    if version.event_id_format is EventIdFormat.URL_SAFE_BASE64:
        return EventID("$" + encode_url_safe_base64(digest))
    return EventID("$" + encode_base64(digest))
