"""Which events an event cites for its authorization, and what is wrong with other ones."""

from typing import Any

import pytest

from chamberlain.matrix.auth_rules import ALLOW, Reject, auth_keys, check_auth_events
from chamberlain.matrix.auth_rules.selection import select_auth_events
from chamberlain.matrix.events import Event
from chamberlain.matrix.versions import ROOM_VERSIONS, RoomVersion
from tests.support.event_room import ALICE, BOB, CAROL, Room

VERSIONS = list(ROOM_VERSIONS.values())
CREATE, LEVELS, RULES = ("m.room.create", ""), ("m.room.power_levels", ""), ("m.room.join_rules", "")


def _member(user: str) -> tuple[str, str]:
    return ("m.room.member", user)


def _base(version: RoomVersion) -> set[tuple[str, str]]:
    return {LEVELS, _member(ALICE)} | (set() if version.id == "12" else {CREATE})


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v.id)
def test_every_event_cites_create_levels_and_its_sender(version: RoomVersion) -> None:
    """The create event not in version 12, and it cites nothing itself."""
    assert auth_keys(version, "m.room.message", ALICE, None, {}) == _base(version)
    assert auth_keys(version, "m.room.topic", ALICE, "", {}) == _base(version)
    assert auth_keys(version, "m.room.member", ALICE, None, {"membership": "join"}) == _base(version)
    assert auth_keys(version, "m.room.create", ALICE, "", {}) == set()


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v.id)
@pytest.mark.parametrize("membership", ["join", "invite", "knock", "leave", "ban", None, 5])
def test_memberships_cite_their_target_and_the_join_rules(version: RoomVersion, membership: Any) -> None:
    """The rules for joining, inviting and, since 7, knocking."""
    expected = _base(version) | {_member(BOB)}
    if membership in ("join", "invite") or (membership == "knock" and int(version.id) >= 7):
        expected |= {RULES}

    assert auth_keys(version, "m.room.member", ALICE, BOB, {"membership": membership}) == expected


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v.id)
def test_restricted_joins_cite_who_vouches(version: RoomVersion) -> None:
    """Since version 8, for joins alone."""
    content: dict[str, Any] = {"membership": "join", "join_authorised_via_users_server": CAROL}

    keys = auth_keys(version, "m.room.member", ALICE, ALICE, content)

    assert (_member(CAROL) in keys) is (int(version.id) >= 8)
    assert _member(CAROL) not in auth_keys(
        version, "m.room.member", ALICE, BOB, content | {"membership": "invite"}
    )
    auth_keys(version, "m.room.member", ALICE, ALICE, content | {"join_authorised_via_users_server": [5]})


def test_third_party_invites_cite_what_they_come_of() -> None:
    """By its token; a broken one cites nothing."""
    good = {"membership": "invite", "third_party_invite": {"signed": {"token": "t"}}}
    key = ("m.room.third_party_invite", "t")

    for version in VERSIONS:
        assert key in auth_keys(version, "m.room.member", ALICE, BOB, good)
        assert key not in auth_keys(version, "m.room.member", ALICE, BOB, good | {"membership": "join"})
        for broken in (5, {}, {"signed": 5}, {"signed": {"token": 5}}):
            auth_keys(version, "m.room.member", ALICE, BOB, good | {"third_party_invite": broken})


def test_selecting_takes_what_the_room_has_in_a_fixed_order() -> None:
    """So that the same draft becomes the same event."""
    version = ROOM_VERSIONS["11"]
    state = {CREATE: "$c", LEVELS: "$b", _member(ALICE): "$a", _member(BOB): "$d"}

    assert select_auth_events(version, "m.room.message", ALICE, None, {}, state) == ("$a", "$b", "$c")
    assert select_auth_events(version, "m.room.message", ALICE, None, {}, {LEVELS: "$b"}) == ("$b",)


def _cited(room: Room, event: Event) -> list[Event]:
    by_id = {cited.event_id: cited for cited in room.state.values()}
    return [by_id[event_id] for event_id in event.auth_events]


@pytest.mark.parametrize("version", list(ROOM_VERSIONS))
def test_what_we_select_passes(version: str) -> None:
    """For messages, memberships and the create event."""
    room = Room(version)
    room.set_power_levels()
    for event in (
        room.create,
        room.build("m.room.message", ALICE, {}),
        room.build("m.room.member", ALICE, {"membership": "invite"}, BOB),
    ):
        assert check_auth_events(event, _cited(room, event)) is ALLOW


@pytest.mark.parametrize("version", list(ROOM_VERSIONS))
def test_what_has_no_say_must_not_be_cited(version: str) -> None:
    """Another type, another user, a message, and since 12 the create event."""
    room = Room(version)
    event = room.build("m.room.message", ALICE, {})
    cited = _cited(room, event)
    for wrong in (
        room.build("m.room.topic", ALICE, {}, ""),
        room.build("m.room.member", BOB, {"membership": "join"}, BOB),
        room.build("m.room.message", ALICE, {}),
        room.build("m.room.power_levels", ALICE, {}, "x"),
    ):
        assert isinstance(check_auth_events(event, [*cited, wrong]), Reject)
    assert check_auth_events(event, cited) is ALLOW
    with_create = {entry.event_id: entry for entry in [*cited, room.create]}.values()
    assert check_auth_events(event, list(with_create)).allowed is (version != "12")
    assert isinstance(check_auth_events(room.create, [room.create]), Reject)


@pytest.mark.parametrize("version", list(ROOM_VERSIONS))
def test_duplicates_rejected_events_and_other_rooms_must_not_be_cited(version: str) -> None:
    """Nor may the create event be left out before version 12."""
    room, other = Room(version), Room(version, create_content={"note": "another"})
    event = room.build("m.room.message", ALICE, {})
    cited = _cited(room, event)
    membership = room.state[_member(ALICE)]
    elsewhere = other.state[_member(ALICE)]
    elsewhere.room_id = type(elsewhere.room_id)("!other:a.example")

    assert isinstance(check_auth_events(event, [*cited, membership]), Reject)
    assert isinstance(check_auth_events(event, cited, rejected={membership.event_id}), Reject)
    assert check_auth_events(event, cited, rejected={"$unrelated"}) is ALLOW
    without_member = [entry for entry in cited if entry is not membership]
    assert isinstance(check_auth_events(event, [*without_member, elsewhere]), Reject)
    without_create = [entry for entry in cited if entry is not room.create]
    assert check_auth_events(event, without_create).allowed is (version == "12")
