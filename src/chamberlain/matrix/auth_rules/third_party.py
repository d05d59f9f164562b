"""Invitations that come of a third-party identifier (Room Versions, the m.room.member rule)."""

from collections.abc import Iterator, Mapping
from typing import Any

from chamberlain.matrix import canonical_json
from chamberlain.matrix.auth_rules.verdict import ALLOW, Reject, Verdict
from chamberlain.matrix.errors import BadJson, InvalidParam
from chamberlain.matrix.events import Event
from chamberlain.matrix.signing import ALGORITHM, VerifyKey
from chamberlain.matrix.types import JsonObject, StateKey


def check_third_party_invite(
    event: Event, state: Mapping[StateKey, Event], target: str, target_membership: str
) -> Verdict:
    """The verdict on an invite that turns an m.room.third_party_invite into a membership."""
    if target_membership == "ban":
        return Reject(f"{target} is banned from this room")
    invite = event.content["third_party_invite"]
    signed = invite.get("signed") if isinstance(invite, dict) else None
    if not isinstance(signed, dict):
        return Reject("The third-party invite is not signed")
    token = signed.get("token")
    if not isinstance(token, str) or not isinstance(signed.get("mxid"), str):
        return Reject("The third-party invite lacks a token or a user ID")
    if signed["mxid"] != target:
        return Reject("The third-party invite is for somebody else")
    original = state.get(("m.room.third_party_invite", token))
    if original is None:
        return Reject("The room has no such third-party invite")
    if original.sender != event.sender:
        return Reject("The third-party invite was made by somebody else")
    if not _is_signed_by_any(signed, list(_public_keys(original.content))):
        return Reject("The third-party invite has no valid signature")
    return ALLOW


def _public_keys(content: JsonObject) -> Iterator[str]:
    """The one key and the list of keys that the invite names."""
    several = content.get("public_keys")
    entries: list[Any] = [content, *several] if isinstance(several, list) else [content]
    for entry in entries:
        key = entry.get("public_key") if isinstance(entry, dict) else None
        if isinstance(key, str):
            yield key


def _is_signed_by_any(signed: JsonObject, public_keys: list[str]) -> bool:
    try:
        message = canonical_json.encode({key: value for key, value in signed.items() if key not in _LEFT_OUT})
    except BadJson:
        return False
    signatures = list(_signatures(signed.get("signatures")))
    for text in public_keys:
        for key_id, signature in signatures:
            try:
                key = VerifyKey.from_base64(text, key_id)
            except InvalidParam:
                continue
            if key.verify(message, signature):
                return True
    return False


def _signatures(signatures: Any) -> Iterator[tuple[str, str]]:
    for by_key in signatures.values() if isinstance(signatures, dict) else ():
        for key_id, signature in by_key.items() if isinstance(by_key, dict) else ():
            if key_id.startswith(f"{ALGORITHM}:") and isinstance(signature, str):
                yield key_id, signature


_LEFT_OUT = frozenset({"signatures", "unsigned"})
