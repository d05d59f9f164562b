"""Authorization of everything that is neither a create event, a membership nor the power levels."""

import pytest

from chamberlain.matrix.auth_rules import ALLOW, Reject, check, power_levels_of
from chamberlain.matrix.auth_rules.redaction import redaction_applies
from chamberlain.matrix.versions import ROOM_VERSIONS
from tests.support.event_room import ALICE, BOB, CAROL, Room

VERSIONS = list(ROOM_VERSIONS)
BOTH = "@other:a.example"


def _room(version: str) -> Room:
    room = Room(version)
    room.set_member(BOB, "join")
    return room


@pytest.mark.parametrize("version", VERSIONS)
def test_only_members_send(version: str) -> None:
    """Neither who was invited, nor who left, was banned, knocks, or was never there."""
    room = _room(version)
    assert room.verdict("m.room.message", BOB, {}) is ALLOW
    for membership in ("invite", "leave", "ban", "knock"):
        room.set_member(BOB, membership)
        assert isinstance(room.verdict("m.room.message", BOB, {}), Reject)
    assert isinstance(room.verdict("m.room.message", CAROL, {}), Reject)


@pytest.mark.parametrize("version", VERSIONS)
def test_sending_takes_the_level_of_the_type(version: str) -> None:
    """Listed types first, then the default for state or for messages."""
    room = _room(version)
    room.set_power_levels(
        users={BOB: 10}, events={"cheap": 10, "dear": 11}, events_default=11, state_default=10
    )

    assert room.verdict("cheap", BOB, {}) is ALLOW
    assert isinstance(room.verdict("dear", BOB, {}, ""), Reject)
    assert isinstance(room.verdict("any", BOB, {}), Reject)
    assert room.verdict("any", BOB, {}, "") is ALLOW


@pytest.mark.parametrize("version", VERSIONS)
def test_state_under_a_user_id_is_that_users(version: str) -> None:
    """Nobody else sets it, with whatever power."""
    room = _room(version)
    room.set_power_levels(state_default=0)

    assert room.verdict("org.example", BOB, {}, BOB) is ALLOW
    assert isinstance(room.verdict("org.example", ALICE, {}, BOB), Reject)
    assert isinstance(room.verdict("org.example", ALICE, {}, "@x"), Reject)
    assert room.verdict("org.example", ALICE, {}, "bob") is ALLOW


@pytest.mark.parametrize("version", VERSIONS)
def test_aliases_were_each_servers_own(version: str) -> None:
    """Until room version 5 without any membership, since 6 like all state."""
    room = Room(version)
    old = int(version) <= 5

    assert room.verdict("m.room.aliases", BOB, {"aliases": []}, "b.example").allowed is old
    assert isinstance(room.verdict("m.room.aliases", BOB, {}, "a.example"), Reject)
    assert isinstance(room.verdict("m.room.aliases", BOB, {}), Reject)
    assert room.verdict("m.room.aliases", ALICE, {}, "a.example") is ALLOW
    assert room.verdict("m.room.aliases", ALICE, {}, "other").allowed is not old


@pytest.mark.parametrize("version", VERSIONS)
def test_a_room_may_stay_out_of_federation(version: str) -> None:
    """Then users of other servers can do nothing, not even join or list aliases."""
    room = Room(version, create_content={"m.federate": False})
    room.set_join_rule("public")

    assert isinstance(room.member(BOB, "join"), Reject)
    assert isinstance(room.verdict("m.room.aliases", BOB, {}, "b.example"), Reject)
    assert room.member(BOTH, "join") is ALLOW
    for value in (True, None, "false", 0):
        open_room = Room(version, create_content={"m.federate": value})
        open_room.set_join_rule("public")
        assert open_room.member(BOB, "join") is ALLOW


@pytest.mark.parametrize("version", VERSIONS)
def test_without_a_create_event_nothing_is_allowed(version: str) -> None:
    """A state without one is no room."""
    room = Room(version)
    event = room.build("m.room.message", ALICE, {})
    del room.state["m.room.create", ""]

    assert isinstance(check(event, room.state), Reject)


def test_in_version_12_the_room_id_is_the_create_event() -> None:
    """Another room's create event does not make a room."""
    room, other = Room("12"), Room("12", creator=BOB)
    event = room.build("m.room.message", ALICE, {})
    room.state["m.room.create", ""] = other.create

    assert isinstance(check(event, room.state), Reject)


@pytest.mark.parametrize("version", VERSIONS)
def test_redactions_are_authorized_in_versions_1_and_2_alone(version: str) -> None:
    """There by power, or because the redacted event's id is of the same server."""
    room = _room(version)
    old = int(version) <= 2

    assert room.verdict("m.room.redaction", ALICE, {}, redacts="$x:b.example") is ALLOW
    assert room.verdict("m.room.redaction", BOB, {}, redacts="$x:b.example") is ALLOW
    assert room.verdict("m.room.redaction", BOB, {}, redacts="$x:a.example").allowed is not old
    assert room.verdict("m.room.redaction", BOB, {}).allowed is not old


@pytest.mark.parametrize("version", VERSIONS)
def test_a_redaction_applies_by_power_or_on_the_own_server(version: str) -> None:
    """Whoever has the redact level, and everybody of the server whose event it is."""
    room = _room(version)
    room.set_member(CAROL, "join")
    room.set_member(BOTH.replace("a.", "b."), "join")
    message = room.send("m.room.message", BOB, {"body": "x"})
    levels = power_levels_of(room.state)

    def applies(sender: str, redacts: str = message.event_id) -> bool:
        redaction = room.build("m.room.redaction", sender, {}, redacts=redacts)
        return redaction_applies(redaction, message, levels)

    assert applies(ALICE)
    assert applies(BOB)
    assert applies(BOTH.replace("a.", "b."))
    assert not applies(CAROL)
    assert not applies(ALICE, "$other")


def test_a_redaction_does_not_reach_into_another_room() -> None:
    """Whatever id it names."""
    room, other = Room("11"), Room("11", creator=BOB)
    message = room.send("m.room.message", ALICE, {})
    redaction = other.build("m.room.redaction", BOB, {}, redacts=message.event_id)

    assert not redaction_applies(redaction, message, power_levels_of(other.state))


def test_a_rejection_says_why() -> None:
    """In a sentence for whoever tried."""
    verdict = Room().verdict("m.room.message", BOB, {})

    assert verdict == Reject("You are not in this room")
    assert (verdict.allowed, ALLOW.allowed) == (False, True)
