"""Which servers have to sign an event."""

from typing import Any

import pytest

from chamberlain.matrix.event_signatures import SignedForm, required_signers
from chamberlain.matrix.events import Event, sign
from chamberlain.matrix.signing import SigningKey
from chamberlain.matrix.versions import ROOM_VERSIONS, V2, V7, V8, V11, RoomVersion
from tests.unit.matrix.test_events import make, pdu_of

JOIN = {"membership": "join", "join_authorised_via_users_server": "@helper:h.example"}


def _member(version: RoomVersion, content: Any) -> Event:
    return make(version, type="m.room.member", state_key="@alice:a.example", content=content)


@pytest.mark.parametrize("version", list(ROOM_VERSIONS.values()), ids=lambda v: v.id)
def test_the_senders_server_signs(version: RoomVersion) -> None:
    """In every room version."""
    assert required_signers(make(version)) == {"a.example"}


def test_the_server_of_the_event_id_signs_in_old_rooms() -> None:
    """Where ids name a server that may be another one than the sender's."""
    event = Event.from_dict(pdu_of(make(V2), event_id="$x:other.example"), V2)

    assert required_signers(event) == {"a.example", "other.example"}


def test_who_vouches_for_a_restricted_join_signs() -> None:
    """Since room version 8, for joins alone, and only where it is a user."""
    assert required_signers(_member(V8, JOIN)) == {"a.example", "h.example"}
    assert required_signers(_member(V7, JOIN)) == {"a.example"}
    assert required_signers(_member(V11, JOIN | {"membership": "leave"})) == {"a.example"}
    for bad in ("nobody", 5, None):
        assert required_signers(_member(V11, JOIN | {"join_authorised_via_users_server": bad})) == {
            "a.example"
        }


def test_a_third_party_invite_needs_no_signature_of_its_sender() -> None:
    """The identity server's signature inside it stands for it."""
    assert required_signers(_member(V11, {"membership": "invite", "third_party_invite": {}})) == frozenset()
    assert required_signers(_member(V11, {"membership": "invite"})) == {"a.example"}
    assert required_signers(_member(V11, {"membership": "join", "third_party_invite": {}})) == {"a.example"}


@pytest.mark.parametrize(
    "signatures", [{}, {"a.example": []}, {"a.example": {"ed25519:k": 5}}, {"b": {"x": "y"}}]
)
def test_signatures_of_a_wrong_shape_are_none(signatures: Any) -> None:
    """They are left out, not raised over."""
    form = SignedForm(Event.from_dict(pdu_of(make(V11), signatures=signatures), V11))

    assert form.signatures_of("a.example") == {}


def test_an_unreadable_signature_of_ours_is_replaced() -> None:
    """A server may write anything under our name before we sign."""
    key = SigningKey(b"\x03" * 32, "b")
    event = Event.from_dict(pdu_of(make(V11), signatures={"b.example": 5}), V11)
    form = SignedForm(sign(event, "b.example", key))

    assert key.verify_key().verify(form.message, form.signatures_of("b.example")["ed25519:b"])
