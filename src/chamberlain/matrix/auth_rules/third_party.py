"""Invitations that come of a third-party identifier (Room Versions, the m.room.member rule)."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from chamberlain.matrix import canonical_json
from chamberlain.matrix.auth_rules.verdict import ALLOW, Reject, Verdict
from chamberlain.matrix.errors import BadJson, InvalidParam
from chamberlain.matrix.events import Event
from chamberlain.matrix.signing import ALGORITHM, VerifyKey
from chamberlain.matrix.types import JsonObject, StateKey, text_of


class Signer(NamedTuple):
    """A key of an identity server, and where it says whether it still stands by it."""

    public_key: str
    validity_url: str | None


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
    if next(signers_of(signed, original.content), None) is None:
        return Reject("The third-party invite has no valid signature")
    return ALLOW


def signers_of(signed: JsonObject, invite: JsonObject) -> Iterator[Signer]:
    """Those of the keys that the content of a third-party invite names which have signed."""
    try:
        message = canonical_json.encode({key: value for key, value in signed.items() if key not in _LEFT_OUT})
    except BadJson:
        return
    signatures = list(_signatures(signed.get("signatures")))
    for signer in _named_in(invite):
        if any(_has_signed(signer, message, *signature) for signature in signatures):
            yield signer


def _named_in(invite: JsonObject) -> Iterator[Signer]:
    """The one key and the list of keys that the invite names."""
    several = invite.get("public_keys")
    entries: list[Any] = [invite, *several] if isinstance(several, list) else [invite]
    for entry in entries:
        key = entry.get("public_key") if isinstance(entry, dict) else None
        if isinstance(key, str):
            yield Signer(key, text_of(entry, "key_validity_url"))


def _has_signed(signer: Signer, message: bytes, key_id: str, signature: str) -> bool:
    try:
        return VerifyKey.from_base64(signer.public_key, key_id).verify(message, signature)
    except InvalidParam:
        return False


def _signatures(signatures: Any) -> Iterator[tuple[str, str]]:
    for by_key in signatures.values() if isinstance(signatures, dict) else ():
        for key_id, signature in by_key.items() if isinstance(by_key, dict) else ():
            if key_id.startswith(f"{ALGORITHM}:") and isinstance(signature, str):
                yield key_id, signature


_LEFT_OUT = frozenset({"signatures", "unsigned"})
