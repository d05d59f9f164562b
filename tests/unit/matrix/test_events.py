"""Events: what is parsed, what is refused, what is built, and what a client sees."""

from typing import Any

import msgspec
import orjson
import pytest

from chamberlain.matrix import hashes
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import BadJson, MatrixError
from chamberlain.matrix.event_signatures import SignedForm
from chamberlain.matrix.events import Draft, Event, build, client_skeleton, redact, sign, unsigned_pdu
from chamberlain.matrix.signing import SigningKey
from chamberlain.matrix.types import JsonObject
from chamberlain.matrix.versions import ROOM_VERSIONS, V1, V5, V6, V10, V11, V12, RoomVersion

VERSIONS = list(ROOM_VERSIONS.values())
KEY = SigningKey(b"\x01" * 32, "k")
PREV, AUTH = "$" + "p" * 43, "$" + "a" * 43


def make(version: RoomVersion, **changes: Any) -> Event:
    """An event of our own; keyword arguments change its draft."""
    fields: JsonObject = {
        "room_id": "!room:a.example",
        "type": "m.room.message",
        "sender": "@alice:a.example",
        "content": {"body": "hé", "n": {"list": [1, True, None]}},
        "origin_server_ts": 1_700_000_000_000,
    }
    return build(
        Draft(**(fields | changes)),
        version=version,
        prev_events=[PREV],
        auth_events=[AUTH],
        depth=7,
        server_name="a.example",
        signing_key=KEY,
    )


def pdu_of(event: Event, **changes: Any) -> JsonObject:
    """The event as JSON; of a change to `...` the key is gone."""
    changed = msgspec.json.decode(event.pdu) | changes
    return {key: value for key, value in changed.items() if value is not ...}


def fields_of(event: Event) -> JsonObject:
    """All that two equal events share."""
    return {name: getattr(event, name) for name in Event.__slots__ if name != "_power_levels"}


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v.id)
@pytest.mark.parametrize("state_key", [None, "", "x"])
def test_what_we_build_others_can_parse(version: RoomVersion, state_key: str | None) -> None:
    """The same event comes of its bytes, of its JSON, and of the database."""
    event = make(version, state_key=state_key)

    assert fields_of(Event.parse(event.pdu, version)) == fields_of(event)
    assert fields_of(Event.from_dict(pdu_of(event, unsigned={"age": 1}), version)) == fields_of(event)
    assert fields_of(Event.load(event.pdu, version, event.event_id, event.room_id)) == fields_of(event)
    assert (event.prev_events, event.auth_events, event.depth) == ((PREV,), (AUTH,), 7)
    assert event.key == (None if state_key is None else ("m.room.message", state_key))


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v.id)
def test_what_we_build_is_hashed_and_signed(version: RoomVersion) -> None:
    """The hash is true, the signature verifies, and the id is that of the room version."""
    event = make(version)
    form = SignedForm(event)

    assert form.has_true_hash()
    assert KEY.verify_key().verify(form.message, form.signatures_of("a.example")["ed25519:k"])
    if version.has_hash_event_ids:
        assert event.event_id == hashes.event_id_from(hashes.reference_hash(form.message), version)
        assert "event_id" not in form.fields
    else:
        assert event.event_id.endswith(":a.example")
        assert form.fields["event_id"] == event.event_id
        assert form.fields["prev_events"] == [[PREV, {}]]


def test_known_reference_hashes_are_cited_in_old_rooms() -> None:
    """Room versions 1 and 2 cite an event by its id and its hash."""
    draft = Draft(room_id="!r:a", type="t", sender="@a:a", content={}, origin_server_ts=1)
    pdu = unsigned_pdu(
        draft, version=V1, prev_events=[PREV], auth_events=[], depth=1, reference_hashes={PREV: "abc"}
    )

    assert pdu["prev_events"] == [[PREV, {"sha256": "abc"}]]


def test_the_draft_may_change_after_its_event_was_built() -> None:
    """An event never changes."""
    content: JsonObject = {"a": {"b": 1}}
    event = make(V11, content=content)
    content["a"]["b"] = 2

    assert event.content == {"a": {"b": 1}}


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v.id)
def test_the_same_draft_at_the_same_place_is_the_same_event(version: RoomVersion) -> None:
    """Building has no clock and no dice."""
    assert make(version).pdu == make(version).pdu
    assert make(version).event_id != make(version, origin_server_ts=1).event_id


def test_a_create_event_of_version_12_names_its_room() -> None:
    """The room id is its own id with another sigil, and it does not say so itself."""
    event = make(V12, type="m.room.create", state_key="", room_id="", content={"room_version": "12"})

    assert event.room_id == "!" + event.event_id[1:]
    assert "room_id" not in pdu_of(event)
    assert fields_of(Event.parse(event.pdu, V12)) == fields_of(event)
    with pytest.raises(BadJson):
        Event.from_dict(pdu_of(event, room_id=event.room_id), V12)


@pytest.mark.parametrize("content", [{"a": 1.5}, {"a": [{"b": 1e300}]}, {"a": 2**53}, {"a": "\ud800"}])
def test_content_that_cannot_be_signed_is_refused(content: JsonObject) -> None:
    """M_BAD_JSON, as the specification asks since room version 6."""
    with pytest.raises(BadJson):
        make(V6, content=content)


def test_old_rooms_take_floats_and_huge_integers() -> None:
    """Their events keep them through building, parsing, redacting and showing."""
    content = {"a": 1.5, "big": 2**70}
    event = make(V5, content=content)
    parsed = Event.parse(event.pdu, V5)

    assert parsed.content == content
    assert parsed.event_id == event.event_id
    assert redact(parsed).event_id == event.event_id
    assert b'"big":1180591620717411303424' in client_skeleton(parsed)
    with pytest.raises(BadJson):
        Event.parse(event.pdu, V6)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"content": {"body": "x" * 65_536}}, ErrCode.TOO_LARGE),
        ({"type": "t" * 256}, ErrCode.TOO_LARGE),
        ({"state_key": "ä" * 128}, ErrCode.TOO_LARGE),
        ({"room_id": "!" + "r" * 255}, ErrCode.TOO_LARGE),
        ({"sender": "@" + "s" * 255}, ErrCode.TOO_LARGE),
    ],
)
def test_events_and_their_fields_have_a_size(changes: JsonObject, code: ErrCode) -> None:
    """65,536 bytes for all of it, 255 bytes for a name."""
    with pytest.raises(MatrixError) as caught:
        make(V11, **changes)

    assert caught.value.code is code
    assert caught.value.status == 413


def test_the_largest_event_passes() -> None:
    """Exactly 65,536 bytes of canonical JSON, signatures included."""
    room = 65_536 - len(make(V11, content={"body": ""}).pdu)

    largest = make(V11, content={"body": "x" * room})

    assert len(largest.pdu) == 65_536
    assert Event.parse(largest.pdu, V11).event_id == largest.event_id
    with pytest.raises(MatrixError):
        make(V11, content={"body": "x" * (room + 1)})
    with pytest.raises(MatrixError):
        sign(largest, "b.example", KEY)


@pytest.mark.parametrize(
    "changes",
    [
        {"type": ...},
        {"type": 5},
        {"content": ...},
        {"content": []},
        {"content": "x"},
        {"sender": ...},
        {"sender": "alice"},
        {"sender": 5},
        {"sender": "@a"},
        {"room_id": ...},
        {"room_id": "room"},
        {"room_id": 5},
        {"state_key": None},
        {"state_key": 5},
        {"origin_server_ts": ...},
        {"origin_server_ts": "1"},
        {"origin_server_ts": True},
        {"origin_server_ts": 1.0},
        {"origin_server_ts": 2**53},
        {"depth": ...},
        {"depth": -1},
        {"depth": 2**53},
        {"depth": "1"},
        {"depth": False},
        {"prev_events": ...},
        {"prev_events": {}},
        {"prev_events": "$a"},
        {"prev_events": [PREV] * 21},
        {"prev_events": [5]},
        {"prev_events": ["abc"]},
        {"prev_events": [[PREV, {}]]},
        {"prev_events": ["$" + "a" * 255]},
        {"auth_events": ...},
        {"auth_events": [AUTH] * 11},
        {"auth_events": [None]},
        {"hashes": 5},
        {"signatures": []},
        {"content": {"a": 0.5}},
        {"extra": 1e3},
    ],
    ids=str,
)
def test_what_breaks_the_event_format_is_refused(changes: JsonObject) -> None:
    """A field that is missing, of a wrong type or out of range: always a clear 400."""
    with pytest.raises(MatrixError) as caught:
        Event.from_dict(pdu_of(make(V11), **changes), V11)

    assert caught.value.status == 400
    assert caught.value.code in (ErrCode.BAD_JSON, ErrCode.INVALID_PARAM)


@pytest.mark.parametrize(
    "changes",
    [
        {"event_id": ...},
        {"event_id": 5},
        {"event_id": "abc"},
        {"prev_events": [PREV]},
        {"prev_events": [[PREV]]},
        {"prev_events": [[5, {}]]},
        {"auth_events": [{}]},
        {"depth": 2**63},
        {"origin_server_ts": 2**63},
        {"origin_server_ts": 1.5},
    ],
    ids=str,
)
def test_what_breaks_the_oldest_event_format_is_refused(changes: JsonObject) -> None:
    """Room versions 1 and 2 write ids and pairs; numbers must still fit a database."""
    with pytest.raises(BadJson):
        Event.from_dict(pdu_of(make(V1), **changes), V1)


@pytest.mark.parametrize("pdu", [b"", b"[]", b"null", b"{}", b"5", b"[" * 9999, b'{"a":"\xff"}', b'"x"'])
def test_bytes_that_are_no_event_are_refused(pdu: bytes) -> None:
    """In every room version."""
    for version in VERSIONS:
        with pytest.raises(BadJson):
            Event.parse(pdu, version)


def test_fields_that_nobody_knows_stay() -> None:
    """The content hash covers them."""
    event = Event.from_dict(pdu_of(make(V10), **{"org.example.extra": {"a": 1}}), V10)

    assert b'"org.example.extra":{"a":1}' in event.pdu


def test_parsing_makes_bytes_canonical_and_drops_unsigned() -> None:
    """Spaces, key order and `unsigned` are the sender's affair."""
    event = make(V11)
    untidy = orjson.dumps(
        dict(reversed(list(pdu_of(event, unsigned={"age": 3}).items()))), option=orjson.OPT_INDENT_2
    )

    assert Event.parse(untidy, V11).pdu == event.pdu


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v.id)
def test_redactions_say_what_they_redact_in_the_place_of_the_room_version(version: RoomVersion) -> None:
    """At the top level until 10, in the content since; clients find both."""
    event = make(version, type="m.room.redaction", content={"reason": "spam"}, redacts=PREV)
    pdu = pdu_of(event)
    shown = orjson.loads(client_skeleton(event))

    assert event.redacts == PREV
    assert ("redacts" in pdu, "redacts" in pdu["content"]) == (
        not version.redacts_in_content,
        version.redacts_in_content,
    )
    assert shown["redacts"] == PREV
    assert shown["content"] == {"reason": "spam", "redacts": PREV}
    assert Event.parse(event.pdu, version).redacts == PREV
    assert redact(event).redacts == (PREV if version.redacts_in_content else None)


@pytest.mark.parametrize("redacts", [..., 5, None, {}])
def test_a_redaction_of_nothing_redacts_nothing(redacts: object) -> None:
    """Another server may write what it likes there."""
    content = {} if redacts is ... else {"redacts": redacts}
    event = make(V11, type="m.room.redaction", content=content)

    assert Event.parse(event.pdu, V11).redacts is None
    assert "redacts" not in orjson.loads(client_skeleton(event))


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v.id)
def test_a_redacted_event_keeps_its_id_and_its_signatures(version: RoomVersion) -> None:
    """Other servers take the redacted copy for the event."""
    event = make(
        version, type="m.room.member", content={"membership": "join", "displayname": "A"}, state_key="@a:b"
    )
    redacted = redact(event)
    form = SignedForm(redacted)

    assert redacted.content == {"membership": "join"}
    assert redacted.event_id == event.event_id == Event.parse(redacted.pdu, version).event_id
    assert KEY.verify_key().verify(form.message, form.signatures_of("a.example")["ed25519:k"])
    assert not form.has_true_hash()
    assert fields_of(redact(redacted)) == fields_of(redacted)
    assert event.content["displayname"] == "A"


def test_redacting_the_create_event_of_version_12_keeps_its_room() -> None:
    """Its PDU has no room id to keep."""
    event = make(V12, type="m.room.create", state_key="", room_id="", content={"room_version": "12"})

    assert redact(event).room_id == event.room_id
    assert redact(event).content == {"room_version": "12"}


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v.id)
def test_a_second_server_can_sign(version: RoomVersion) -> None:
    """As for an invite; the id stays, the first signature too, and signing again changes nothing."""
    other = SigningKey(b"\x02" * 32, "o")
    event = make(version)
    signed = sign(event, "b.example", other)
    form = SignedForm(signed)

    assert signed.event_id == event.event_id == Event.parse(signed.pdu, version).event_id
    assert other.verify_key().verify(form.message, form.signatures_of("b.example")["ed25519:o"])
    assert KEY.verify_key().verify(form.message, form.signatures_of("a.example")["ed25519:k"])
    assert sign(signed, "b.example", other).pdu == signed.pdu


def test_what_a_client_sees_of_an_event() -> None:
    """No hashes, no signatures, no graph; `unsigned` can be put in place of the last byte."""
    event = make(V11, type="m.room.topic", state_key="", content={"topic": "x"})
    skeleton = client_skeleton(event)

    assert orjson.loads(skeleton) == {
        "content": {"topic": "x"},
        "event_id": event.event_id,
        "origin_server_ts": 1_700_000_000_000,
        "room_id": "!room:a.example",
        "sender": "@alice:a.example",
        "state_key": "",
        "type": "m.room.topic",
    }
    assert orjson.loads(skeleton[:-1] + b',"unsigned":{"age":5}}')["unsigned"] == {"age": 5}
    assert "state_key" not in orjson.loads(client_skeleton(make(V11)))


def test_a_template_has_neither_id_nor_hash_nor_signature() -> None:
    """/make_join hands it out for another server to finish."""
    draft = Draft(
        room_id="!r:a", type="m.room.member", sender="@b:b", state_key="@b:b", content={}, origin_server_ts=1
    )
    pdu = unsigned_pdu(draft, version=V11, prev_events=[PREV], auth_events=[AUTH], depth=2)

    assert pdu == {
        "auth_events": [AUTH],
        "content": {},
        "depth": 2,
        "origin_server_ts": 1,
        "prev_events": [PREV],
        "room_id": "!r:a",
        "sender": "@b:b",
        "state_key": "@b:b",
        "type": "m.room.member",
    }


def test_the_repr_names_the_event() -> None:
    """For logs and failing tests."""
    event = make(V11, type="m.room.topic", state_key="")

    assert repr(event) == f"<Event {event.event_id} m.room.topic '' by @alice:a.example in !room:a.example>"
