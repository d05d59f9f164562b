"""Hashes: the specification's event vectors, and what a hash covers."""

from typing import Any

import pytest

from chamberlain.matrix import hashes
from chamberlain.matrix.signing import SigningKey, decode_base64, encode_base64
from chamberlain.matrix.versions import ROOM_VERSIONS, V1, V3, V6, V11

SPEC_KEY = SigningKey(decode_base64("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1"), "1")

MINIMAL: dict[str, Any] = {
    "room_id": "!x:domain",
    "sender": "@a:domain",
    "origin": "domain",
    "origin_server_ts": 1000000,
    "signatures": {},
    "hashes": {},
    "type": "X",
    "content": {},
    "prev_events": [],
    "auth_events": [],
    "depth": 3,
    "unsigned": {"age_ts": 1000000},
}
MESSAGE: dict[str, Any] = {
    "content": {"body": "Here is the message content"},
    "event_id": "$0:domain",
    "origin": "domain",
    "origin_server_ts": 1000000,
    "type": "m.room.message",
    "room_id": "!r:domain",
    "sender": "@u:domain",
    "signatures": {},
    "unsigned": {"age_ts": 1000000},
}


@pytest.mark.parametrize(
    ("pdu", "digest", "signature"),
    [
        (
            MINIMAL,
            "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos",
            "KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg",
        ),
        (
            MESSAGE,
            "onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g",
            "Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA",
        ),
    ],
)
def test_the_event_vectors_of_the_specification(pdu: dict[str, Any], digest: str, signature: str) -> None:
    """Content hash, redaction and signature agree with every other implementation."""
    assert encode_base64(hashes.content_hash(pdu, V1)) == digest

    hashed = pdu | {"hashes": {"sha256": digest}}

    assert hashes.content_hash_matches(hashed, V1)
    assert SPEC_KEY.sign(hashes.signed_bytes(hashed, V1)) == signature


@pytest.mark.parametrize(
    "given", [None, {}, {"sha256": 5}, {"sha256": ""}, {"sha256": "?"}, {"sha256": "AAAA"}, []]
)
def test_a_missing_or_broken_hash_does_not_match(given: object) -> None:
    """The event then counts as redacted."""
    assert not hashes.content_hash_matches(MESSAGE | {"hashes": given}, V6)


def test_the_content_hash_covers_all_but_what_changes_on_the_way() -> None:
    """Signatures are added and `unsigned` is rewritten after hashing."""
    digest = hashes.content_hash(MESSAGE, V6)

    assert (
        hashes.content_hash(MESSAGE | {"unsigned": {}, "signatures": {"a": {}}, "hashes": {"b": "c"}}, V6)
        == digest
    )
    assert hashes.content_hash(MESSAGE | {"content": {"body": "Another"}}, V6) != digest
    assert hashes.content_hash(MESSAGE | {"extra": 1}, V6) != digest


@pytest.mark.parametrize("version", list(ROOM_VERSIONS.values()), ids=list(ROOM_VERSIONS))
def test_the_reference_hash_survives_a_redaction(version: Any) -> None:
    """So that the id of an event stays when its content goes."""
    signed = hashes.signed_bytes(MESSAGE, version)

    assert (
        hashes.signed_bytes(MESSAGE | {"content": {}, "unsigned": {}, "signatures": {"x": {}}}, version)
        == signed
    )
    assert hashes.signed_bytes(MESSAGE | {"depth": 9}, version) != signed
    assert len(hashes.reference_hash(signed)) == 32


def test_event_ids_are_base64_of_the_hash() -> None:
    """The standard alphabet in version 3, the URL-safe one since."""
    digest = b"\xfb\xff" * 16

    assert hashes.event_id_from(digest, V3) == "$" + "+//7//v/" * 5 + "+/8"
    assert hashes.event_id_from(digest, V11) == "$" + "-__7__v_" * 5 + "-_8"
