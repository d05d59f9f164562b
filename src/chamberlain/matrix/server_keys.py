"""Keys that servers publish (server-server API, Publishing Keys): checking an answer, and until when a key counts."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from chamberlain.matrix.errors import BadJson, InvalidParam
from chamberlain.matrix.ids import is_valid_server_name
from chamberlain.matrix.signing import ALGORITHM, SigningKey, VerifyKey, sign_json, verify_json
from chamberlain.matrix.types import JsonObject

MAX_VALIDITY_MS: Final = 7 * 24 * 3_600_000
"""However long a server says that its keys are valid, they are asked for again after a week."""


class PublishedKey(msgspec.Struct, frozen=True):
    """A key of a server. Times in ms."""

    key: VerifyKey
    valid_until: int
    """Until when the server is known to use it; for an old key, when it was used last."""
    is_old: bool = False

    def is_valid_at(self, ts: int) -> bool:
        """Whether what was signed at that time may have been signed with it."""
        return ts <= self.valid_until


def own_keys(
    server_name: str, active: Sequence[SigningKey], old: Sequence[PublishedKey], valid_until: int
) -> JsonObject:
    """The answer of `/_matrix/key/v2/server`, signed with each of the `active` keys."""
    answer: JsonObject = {
        "old_verify_keys": {
            key.key.key_id: {"expired_ts": key.valid_until, "key": key.key.to_base64()} for key in old
        },
        "server_name": server_name,
        "valid_until_ts": valid_until,
        "verify_keys": {key.key_id: {"key": key.verify_key().to_base64()} for key in active},
    }
    for key in active:
        answer = sign_json(answer, server_name, key)
    return answer


def parse_server_keys(answer: Any, server_name: str, now: int) -> dict[str, PublishedKey]:
    """The keys in an answer, by key id, which must be signed with one of those in use.

    Raises:
        BadJson: it is no such answer, of another server, or not signed by it.
    """
    if not isinstance(answer, dict) or answer.get("server_name") != server_name:
        raise BadJson("Not the keys of that server")
    if not is_valid_server_name(server_name):
        raise BadJson("Not the name of a server")
    until = answer.get("valid_until_ts")
    if type(until) is not int:
        raise BadJson("`valid_until_ts` must be an integer")
    limit = min(until, now + MAX_VALIDITY_MS)
    found: dict[str, PublishedKey] = {}
    for key_id, key in _keys_in(answer.get("verify_keys")):
        found[key_id] = PublishedKey(key, limit)
    if not any(verify_json(answer, server_name, published.key) for published in found.values()):
        raise BadJson("The keys are not signed by their server")
    for key_id, key in _keys_in(answer.get("old_verify_keys")):
        expired = answer["old_verify_keys"][key_id].get("expired_ts")
        if type(expired) is int and key_id not in found:
            found[key_id] = PublishedKey(key, expired, is_old=True)
    return found


def _keys_in(section: Any) -> list[tuple[str, VerifyKey]]:
    found: list[tuple[str, VerifyKey]] = []
    for key_id, entry in (section if isinstance(section, dict) else {}).items():
        text = entry.get("key") if isinstance(entry, dict) else None
        if not key_id.startswith(f"{ALGORITHM}:") or not isinstance(text, str):
            continue
        try:
            found.append((key_id, VerifyKey.from_base64(text, key_id)))
        except InvalidParam:
            continue
    return found
