"""Policy servers: which one a room uses, and whether it recommends an event (server-server API, Policy Servers)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from chamberlain.matrix.errors import InvalidParam
from chamberlain.matrix.event_signatures import SignedForm
from chamberlain.matrix.events import Event, with_signature
from chamberlain.matrix.ids import is_valid_server_name
from chamberlain.matrix.signing import VerifyKey, find_signature
from chamberlain.matrix.types import JsonObject, StateKey

POLICY_KEY: Final[StateKey] = ("m.room.policy", "")
KEY_ID: Final = "ed25519:policy_server"
"""Under this id stand the signatures of all policy servers."""


class PolicyServer(msgspec.Struct, frozen=True):
    """The policy server that a room names; it is in use as long as one of its users is joined to the room."""

    name: str
    key: VerifyKey


def parse_policy(content: JsonObject) -> PolicyServer | None:
    """The policy server in the content of the room's `m.room.policy`; None where that names none.

    A name that no server has, or a key that is none, is as good as none: nothing could ever be signed with it.
    """
    name, keys = content.get("via"), content.get("public_keys")
    text = keys.get("ed25519") if isinstance(keys, dict) else None
    if not isinstance(name, str) or not isinstance(text, str) or not is_valid_server_name(name):
        return None
    try:
        return PolicyServer(name, VerifyKey.from_base64(text, KEY_ID))
    except InvalidParam:
        return None


def needs_signature(event: Event) -> bool:
    """Whether a policy server has a say: over all but the event that names it, so that it can be got rid of."""
    return event.key != POLICY_KEY


def has_signed(event: Event, server: PolicyServer) -> bool:
    """Whether the event carries a good signature of the policy server."""
    form = SignedForm(event)
    signature = form.signatures_of(server.name).get(KEY_ID)
    return signature is not None and server.key.verify(form.message, signature)


def add_signature(event: Event, server: PolicyServer, answer: Any) -> Event | None:
    """The event with the signature in an answer of `/sign`; None where there is no good one in it.

    Raises:
        MatrixError: TOO_LARGE when the signature takes the event beyond 65,536 bytes.
    """
    signature = find_signature(answer, server.name, KEY_ID)
    if signature is None or not server.key.verify(SignedForm(event).message, signature):
        return None
    return with_signature(event, server.name, KEY_ID, signature)
