"""Signing any document and any event: what was signed verifies, what was changed does not."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from chamberlain.matrix import signing
from chamberlain.matrix.errors import MatrixError
from chamberlain.matrix.event_signatures import SignedForm
from chamberlain.matrix.events import Draft, Event, build, client_skeleton, redact
from chamberlain.matrix.signing import SigningKey, sign_json, verify_json
from chamberlain.matrix.versions import ROOM_VERSIONS, RoomVersion

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(TEXT, VALUES, max_size=5)
KEYS = st.binary(min_size=32, max_size=32).map(lambda seed: SigningKey(seed, "1"))
TYPES = st.sampled_from(
    [
        "m.room.message",
        "m.room.member",
        "m.room.power_levels",
        "m.room.create",
        "m.room.redaction",
        "org.example",
    ]
)
VERSIONS = st.sampled_from(list(ROOM_VERSIONS.values()))


@given(OBJECTS, KEYS, KEYS)
def test_a_signed_object_verifies_with_its_key_alone(
    value: dict[str, Any], key: SigningKey, other: SigningKey
) -> None:
    """Whatever `unsigned` becomes later."""
    signed = sign_json(value, "domain", key)

    assert verify_json(signed | {"unsigned": {"age": 1}}, "domain", key.verify_key())
    assert not verify_json(signed | {"\x00changed": 1}, "domain", key.verify_key())
    if key.to_text() != other.to_text():
        assert not verify_json(signed, "domain", other.verify_key())


@given(st.binary(max_size=80))
def test_base64_comes_back(data: bytes) -> None:
    """In both alphabets, with and without padding."""
    text = signing.encode_base64(data)

    assert signing.decode_base64(text) == data
    assert signing.decode_base64(signing.encode_url_safe_base64(data)) == data
    assert signing.decode_base64(text + "=" * (-len(text) % 4)) == data


@given(TEXT, st.binary(max_size=20), KEYS)
def test_verifying_never_raises(signature: str, message: bytes, key: SigningKey) -> None:
    """Signatures are strangers' strings."""
    assert not key.verify_key().verify(message, signature)


def _event(version: RoomVersion, event_type: str, content: dict[str, Any], state_key: str | None) -> Event:
    return build(
        Draft(
            room_id="!r:a.example",
            type=event_type,
            sender="@u:a.example",
            content=content,
            state_key=state_key,
            origin_server_ts=5,
        ),
        version=version,
        prev_events=["$prev"],
        auth_events=[],
        depth=3,
        server_name="a.example",
        signing_key=SigningKey(b"k" * 32, "1"),
    )


@given(VERSIONS, TYPES, OBJECTS, st.none() | TEXT)
def test_any_event_goes_over_the_wire_and_through_a_redaction(
    version: RoomVersion, event_type: str, content: dict[str, Any], state_key: str | None
) -> None:
    """Parsed it is the same event, redacted it has the same id and valid signatures."""
    event = _event(version, event_type, content, state_key)
    parsed, redacted = Event.parse(event.pdu, version), redact(event)

    assert (parsed.event_id, parsed.room_id, parsed.pdu) == (event.event_id, event.room_id, event.pdu)
    assert (parsed.content, parsed.key, parsed.redacts) == (content, event.key, event.redacts)
    assert Event.parse(redacted.pdu, version).event_id == event.event_id
    assert SignedForm(parsed).has_true_hash()
    assert SignedForm(redacted).message == SignedForm(event).message
    shown = msgspec.json.decode(client_skeleton(event))
    assert (shown["event_id"], shown["content"]) == (event.event_id, content)


@given(VERSIONS, st.dictionaries(st.sampled_from(sorted(Draft.__struct_fields__)), VALUES), VALUES)
def test_parsing_strangers_events_raises_nothing_but_matrix_errors(
    version: RoomVersion, changes: dict[str, Any], extra: Any
) -> None:
    """Any field may hold anything."""
    pdu = msgspec.json.decode(_event(version, "m.room.member", {}, "@u:a.example").pdu)
    for broken in (pdu | changes, {**pdu, "prev_events": extra}, {**pdu, "auth_events": [extra]}, extra):
        try:
            Event.from_dict(broken, version)
        except MatrixError as error:
            assert error.status in (400, 413)
