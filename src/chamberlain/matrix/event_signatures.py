"""Which servers must have signed an event, and what they signed (server-server API, Signing Events)."""

from typing import Any

from chamberlain.matrix.events import Event
from chamberlain.matrix.hashes import (
    content_hash_matches,
    decode_for,
    event_id_from,
    reference_hash,
    signed_bytes,
)
from chamberlain.matrix.ids import ServerName, find_server_of, is_valid_user_id
from chamberlain.matrix.types import JsonObject


class SignedForm:
    """An event as its signatures see it: taken apart once, for all its signatures and its hash."""

    __slots__ = ("event", "fields", "message")

    def __init__(self, event: Event) -> None:
        self.event = event
        self.fields: JsonObject = decode_for(event.version, event.pdu)
        self.message = signed_bytes(self.fields, event.version)
        """The bytes that every signature is over."""

    def signatures_of(self, server_name: str) -> dict[str, str]:
        """The signatures of one server, by key id; those of a wrong shape are left out."""
        signatures: Any = self.fields.get("signatures")
        by_key = signatures.get(server_name) if isinstance(signatures, dict) else None
        if not isinstance(by_key, dict):
            return {}
        return {key_id: signature for key_id, signature in by_key.items() if isinstance(signature, str)}

    def has_true_id(self) -> bool:
        """Whether the event goes by its own id; one that was read by the rules of another room version may not."""
        event = self.event
        if not event.version.has_hash_event_ids:
            return event.event_id == self.fields.get("event_id")
        return event.event_id == event_id_from(reference_hash(self.message), event.version)

    def has_true_hash(self) -> bool:
        """Whether the content is what was hashed; if not, the event counts as redacted."""
        return content_hash_matches(self.fields, self.event.version)


def required_signers(event: Event) -> frozenset[ServerName]:
    """The servers without whose valid signature the event is dropped."""
    signers: set[ServerName | None] = set()
    content = event.content
    is_member = event.type == "m.room.member"
    if not (is_member and content.get("membership") == "invite" and "third_party_invite" in content):
        signers.add(find_server_of(event.sender))
    if not event.version.has_hash_event_ids:
        signers.add(find_server_of(event.event_id))
    if is_member and event.version.restricted_joins and content.get("membership") == "join":
        authorizer = content.get("join_authorised_via_users_server")
        if isinstance(authorizer, str) and is_valid_user_id(authorizer):
            signers.add(find_server_of(authorizer))
    return frozenset(signer for signer in signers if signer is not None)
