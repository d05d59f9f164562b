"""Events: parsing those of other servers, building and signing our own (server-server API, PDUs)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from chamberlain.matrix import canonical_json
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import BadJson, MatrixError
from chamberlain.matrix.hashes import (
    content_hash,
    decode_for,
    encode_for,
    event_id_from,
    reference_hash,
    signed_bytes,
)
from chamberlain.matrix.ids import MAX_ID_BYTES, EventID, RoomID, UserID, is_valid_user_id, parse_room_id
from chamberlain.matrix.redaction import redact_content, redact_json
from chamberlain.matrix.signing import SigningKey, encode_base64, encode_url_safe_base64
from chamberlain.matrix.types import JsonObject, StateKey
from chamberlain.matrix.versions import RoomVersion

if TYPE_CHECKING:
    from chamberlain.matrix.auth_rules.power_levels import PowerLevels

MAX_EVENT_BYTES: Final = 65_536
MAX_PREV_EVENTS: Final = 20
MAX_AUTH_EVENTS: Final = 10
_MAX_BIGINT: Final = 2**63 - 1
_NO_HASHES: Final[Mapping[str, str]] = MappingProxyType({})
_stored_decoder = msgspec.json.Decoder(dict[str, Any])


class Draft(msgspec.Struct, kw_only=True):
    """An event of this server before it has its place in the room; `origin_server_ts` in milliseconds."""

    room_id: str
    """Ignored for the create event of a room version whose room ids are its hash."""
    type: str
    sender: str
    content: JsonObject
    state_key: str | None = None
    """None for a message event."""
    redacts: str | None = None
    """For m.room.redaction; `build` puts it where the room version wants it."""
    origin_server_ts: int


class Event:
    """One event of a room, as it was signed; never changed once made (a redaction makes another one)."""

    __slots__ = (
        "_power_levels",
        "auth_events",
        "content",
        "depth",
        "event_id",
        "origin_server_ts",
        "pdu",
        "prev_events",
        "redacts",
        "room_id",
        "sender",
        "state_key",
        "type",
        "version",
    )

    def __init__(
        self,
        event_id: EventID,
        room_id: RoomID,
        type: str,
        state_key: str | None,
        sender: UserID,
        content: JsonObject,
        origin_server_ts: int,
        depth: int,
        prev_events: tuple[EventID, ...],
        auth_events: tuple[EventID, ...],
        redacts: EventID | None,
        pdu: bytes,
        version: RoomVersion,
    ) -> None:
        self.event_id = event_id
        self.room_id = room_id
        self.type = type
        self.state_key = state_key
        self.sender = sender
        self.content = content
        self.origin_server_ts = origin_server_ts
        self.depth = depth
        self.prev_events = prev_events
        self.auth_events = auth_events
        self.redacts = redacts
        self.pdu = pdu
        self.version = version
        self._power_levels: PowerLevels | None = None

    def __repr__(self) -> str:
        key = "" if self.state_key is None else f" {self.state_key!r}"
        return f"<Event {self.event_id} {self.type}{key} by {self.sender} in {self.room_id}>"

    @property
    def key(self) -> StateKey | None:
        """The piece of state that this event sets; None for a message event."""
        return None if self.state_key is None else (self.type, self.state_key)

    @classmethod
    def parse(cls, pdu: bytes, version: RoomVersion) -> Event:
        """The event that another server sent, checked against the event format of its room version.

        Signatures, content hash and authorization are not looked at.

        Raises:
            BadJson: it is no event of that room version.
            MatrixError: TOO_LARGE when it has more than 65,536 bytes or a field more than 255.
        """
        return _from_object(decode_for(version, pdu), version)

    @classmethod
    def from_dict(cls, pdu: JsonObject, version: RoomVersion) -> Event:
        """The same as `parse`, from decoded JSON.

        Raises:
            BadJson: it is no event of that room version.
            MatrixError: TOO_LARGE when it has more than 65,536 bytes or a field more than 255.
        """
        return _from_object(decode_for(version, _encode_checked(version, pdu)), version)

    @classmethod
    def load(cls, pdu: bytes, version: RoomVersion, event_id: str, room_id: str) -> Event:
        """The event that this server stored under that id; nothing is checked again."""
        fields = _stored_decoder.decode(pdu)
        return _assemble(fields, version, EventID(event_id), RoomID(room_id), pdu)


def build(
    draft: Draft,
    *,
    version: RoomVersion,
    prev_events: Sequence[str],
    auth_events: Sequence[str],
    depth: int,
    server_name: str,
    signing_key: SigningKey,
    reference_hashes: Mapping[str, str] = _NO_HASHES,
) -> Event:
    """The event that a draft becomes at this place in the room: hashed, signed by this server, with its id.

    `reference_hashes` (base64, by event id) are cited in room versions 1 and 2 alone.

    Raises:
        BadJson: the content holds what the room version has not, like a float.
        MatrixError: TOO_LARGE when it has more than 65,536 bytes or a field more than 255.
    """
    fields = unsigned_pdu(
        draft,
        version=version,
        prev_events=prev_events,
        auth_events=auth_events,
        depth=depth,
        reference_hashes=reference_hashes,
    )
    content: JsonObject = fields["content"]
    encoded_content = _encode_checked(version, content)
    # A copy, so that whoever made the draft may go on changing its content.
    content = decode_for(version, encoded_content)
    _check_lengths(draft.type, draft.state_key, draft.sender, draft.room_id)
    if not version.has_hash_event_ids:
        opaque = encode_url_safe_base64(content_hash(fields, version))
        fields["event_id"] = f"${opaque}:{server_name}"
    if version.strict_canonical_json:
        fields["content"] = orjson.Fragment(encoded_content)
    fields["hashes"] = {"sha256": encode_base64(hashlib.sha256(encode_for(version, fields)).digest())}
    redacted = redact_json(fields, version)
    redacted["content"] = redact_content(draft.type, content, version.redaction)
    signed = encode_for(version, redacted)
    fields["signatures"] = {server_name: {signing_key.key_id: signing_key.sign(signed)}}
    pdu = compact(encode_for(version, fields))
    _check_size(pdu)
    fields["content"] = content
    event_id = (
        event_id_from(reference_hash(signed), version)
        if version.has_hash_event_ids
        else EventID(fields["event_id"])
    )
    return _assemble(fields, version, event_id, _room_id_of(fields, version, event_id), pdu)


def unsigned_pdu(
    draft: Draft,
    *,
    version: RoomVersion,
    prev_events: Sequence[str],
    auth_events: Sequence[str],
    depth: int,
    reference_hashes: Mapping[str, str] = _NO_HASHES,
) -> JsonObject:
    """The event without id, hashes and signatures: what /make_join, /make_leave and /make_knock hand out."""
    content = draft.content
    fields: JsonObject = {
        "auth_events": _references(auth_events, version, reference_hashes),
        "content": content,
        "depth": depth,
        "origin_server_ts": draft.origin_server_ts,
        "prev_events": _references(prev_events, version, reference_hashes),
        "room_id": draft.room_id,
        "sender": draft.sender,
        "type": draft.type,
    }
    if draft.state_key is not None:
        fields["state_key"] = draft.state_key
    if draft.redacts is not None:
        if version.redacts_in_content:
            fields["content"] = content | {"redacts": draft.redacts}
        else:
            fields["redacts"] = draft.redacts
    if version.room_id_is_create_hash and draft.type == "m.room.create" and draft.state_key == "":
        del fields["room_id"]
    return fields


def redact(event: Event) -> Event:
    """The event with only what its room version protects; its id and its signatures stay valid."""
    version = event.version
    fields = redact_json(decode_for(version, event.pdu), version)
    return _assemble(fields, version, event.event_id, event.room_id, encode_for(version, fields))


def sign(event: Event, server_name: str, signing_key: SigningKey) -> Event:
    """The event with one more signature, that of this server.

    Raises:
        MatrixError: TOO_LARGE when the signature takes it beyond 65,536 bytes.
    """
    version = event.version
    signature = signing_key.sign(signed_bytes(decode_for(version, event.pdu), version))
    return with_signature(event, server_name, signing_key.key_id, signature)


def with_signature(event: Event, server_name: str, key_id: str, signature: str) -> Event:
    """The event with one more signature, which is not looked at.

    Raises:
        MatrixError: TOO_LARGE when the signature takes it beyond 65,536 bytes.
    """
    version = event.version
    fields = decode_for(version, event.pdu)
    signatures = fields.setdefault("signatures", {})
    own = signatures.get(server_name)
    signatures[server_name] = (own if isinstance(own, dict) else {}) | {key_id: signature}
    pdu = encode_for(version, fields)
    _check_size(pdu)
    return _assemble(fields, version, event.event_id, event.room_id, pdu)


def client_skeleton(event: Event) -> bytes:
    """The JSON of the event's client form without `unsigned`.

    It ends in `}`: whoever serves it puts `,"unsigned":{…}}` in place of that last byte. `redacts` stands
    both at the top level and in `content`, whatever the room version, as clients of all ages look for it.
    """
    content = event.content
    form: JsonObject = {
        "content": content,
        "event_id": event.event_id,
        "origin_server_ts": event.origin_server_ts,
        "room_id": event.room_id,
        "sender": event.sender,
        "type": event.type,
    }
    if event.redacts is not None:
        form["redacts"] = event.redacts
        form["content"] = content | {"redacts": event.redacts}
    if event.state_key is not None:
        form["state_key"] = event.state_key
    try:
        return compact(orjson.dumps(form))
    except TypeError:
        # Integers beyond 64 bits, which only room versions 1 to 5 allow.
        return canonical_json.encode_lenient(form)


def compact(encoded: bytes) -> bytes:
    """The same bytes in memory of their own size: what the encoder gives holds on to its whole buffer."""
    return bytes(memoryview(encoded))


def _from_object(pdu: Any, version: RoomVersion) -> Event:
    if not isinstance(pdu, dict):
        raise BadJson("An event is a JSON object")
    pdu.pop("unsigned", None)
    encoded = compact(encode_for(version, pdu))
    _check_size(encoded)
    _check_format(pdu, version)
    if version.has_hash_event_ids:
        event_id = event_id_from(reference_hash(signed_bytes(pdu, version)), version)
    else:
        event_id = EventID(pdu["event_id"])
    room_id = _room_id_of(pdu, version, event_id)
    _check_lengths(pdu["type"], pdu.get("state_key"), pdu["sender"], room_id)
    return _assemble(pdu, version, event_id, room_id, encoded)


def _assemble(
    fields: JsonObject, version: RoomVersion, event_id: EventID, room_id: RoomID, pdu: bytes
) -> Event:
    """The Event of a PDU whose format has been checked."""
    content = fields["content"]
    redacts = None
    if fields["type"] == "m.room.redaction":
        found = (content if version.redacts_in_content else fields).get("redacts")
        redacts = EventID(found) if isinstance(found, str) else None
    prev_events, auth_events = fields["prev_events"], fields["auth_events"]
    if not version.has_hash_event_ids:
        prev_events = [reference[0] for reference in prev_events]
        auth_events = [reference[0] for reference in auth_events]
    return Event(
        event_id,
        room_id,
        fields["type"],
        fields.get("state_key"),
        fields["sender"],
        content,
        fields["origin_server_ts"],
        fields["depth"],
        tuple(prev_events),
        tuple(auth_events),
        redacts,
        pdu,
        version,
    )


def _references(ids: Sequence[str], version: RoomVersion, hashes: Mapping[str, str]) -> list[Any]:
    if version.has_hash_event_ids:
        return list(ids)
    return [[event_id, {"sha256": hashes[event_id]} if event_id in hashes else {}] for event_id in ids]


def _room_id_of(fields: JsonObject, version: RoomVersion, event_id: EventID) -> RoomID:
    if version.room_id_is_create_hash and "room_id" not in fields:
        return RoomID("!" + event_id[1:])
    return RoomID(fields["room_id"])


def _encode_checked(version: RoomVersion, value: Any) -> bytes:
    if version.strict_canonical_json:
        return canonical_json.encode(value)
    return canonical_json.encode_lenient(value)


def _check_size(pdu: bytes) -> None:
    if len(pdu) > MAX_EVENT_BYTES:
        raise MatrixError(ErrCode.TOO_LARGE, f"The event is larger than {MAX_EVENT_BYTES} bytes")


def _check_lengths(*values: str | None) -> None:
    for value in values:
        if value is None or (len(value) <= MAX_ID_BYTES and value.isascii()):
            continue
        if len(value.encode(errors="surrogatepass")) > MAX_ID_BYTES:
            raise MatrixError(
                ErrCode.TOO_LARGE, f"A type, state_key, sender or room_id is longer than {MAX_ID_BYTES} bytes"
            )


def _check_format(pdu: JsonObject, version: RoomVersion) -> None:
    """Refuse a PDU that lacks a field of the event format or has one of a wrong type."""
    if not isinstance(pdu.get("type"), str):
        raise BadJson("`type` must be a string")
    if not isinstance(pdu.get("content"), dict):
        raise BadJson("`content` must be an object")
    if not is_valid_user_id(pdu.get("sender")):
        raise BadJson("`sender` must be a user ID")
    if not isinstance(pdu.get("state_key", ""), str):
        raise BadJson("`state_key` must be a string")
    for name in ("hashes", "signatures"):
        if not isinstance(pdu.get(name, {}), dict):
            raise BadJson(f"`{name}` must be an object")
    _check_number(pdu, "origin_server_ts", -_MAX_BIGINT)
    _check_number(pdu, "depth", 0)
    _check_references(pdu, "prev_events", MAX_PREV_EVENTS, version)
    _check_references(pdu, "auth_events", MAX_AUTH_EVENTS, version)
    if not version.has_hash_event_ids and not _is_event_id(pdu.get("event_id")):
        raise BadJson("`event_id` must be an event ID")
    if version.room_id_is_create_hash and pdu["type"] == "m.room.create" and pdu.get("state_key") == "":
        if "room_id" in pdu:
            raise BadJson("A create event has no `room_id` in this room version")
    else:
        parse_room_id(pdu.get("room_id"))


def _check_number(pdu: JsonObject, name: str, least: int) -> None:
    value = pdu.get(name)
    # bool is an int to Python, and no number to JSON.
    if type(value) is not int or not least <= value <= _MAX_BIGINT:
        raise BadJson(f"`{name}` must be an integer in range")


def _check_references(pdu: JsonObject, name: str, limit: int, version: RoomVersion) -> None:
    references = pdu.get(name)
    if not isinstance(references, list) or len(references) > limit:
        raise BadJson(f"`{name}` must be a list of at most {limit} events")
    for reference in references:
        if version.has_hash_event_ids:
            valid = _is_event_id(reference)
        else:
            valid = isinstance(reference, list) and len(reference) == 2 and _is_event_id(reference[0])
        if not valid:
            raise BadJson(f"`{name}` must hold references to events")


def _is_event_id(value: Any) -> bool:
    return isinstance(value, str) and value[:1] == "$" and 2 <= len(value.encode()) <= MAX_ID_BYTES
