"""The authorization rules over any room: they always answer, and never let anybody above their own power."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chamberlain.matrix.auth_rules import (
    Allow,
    PowerLevels,
    Reject,
    auth_keys,
    check,
    check_auth_events,
    power_levels_of,
)
from chamberlain.matrix.auth_rules.power_levels import CREATE_KEY
from chamberlain.matrix.events import Event
from chamberlain.matrix.ids import EventID, RoomID, UserID
from chamberlain.matrix.versions import ROOM_VERSIONS, RoomVersion
from tests.support.event_room import ALICE, BOB, CAROL, Room

VERSIONS = st.sampled_from(list(ROOM_VERSIONS))
USERS = st.sampled_from([ALICE, BOB, CAROL, "@dora:a.example"])
JUNK: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text("@a:1", max_size=4)
    | st.just([])
    | st.just({})
)
LEVELS = st.integers(-2, 101)
TYPES = st.sampled_from(
    [
        "m.room.create",
        "m.room.member",
        "m.room.power_levels",
        "m.room.join_rules",
        "m.room.third_party_invite",
        "m.room.aliases",
        "m.room.redaction",
        "m.room.message",
    ]
)
CONTENT_KEYS = st.sampled_from(
    [
        "membership",
        "join_rule",
        "users",
        "events",
        "notifications",
        "users_default",
        "ban",
        "kick",
        "invite",
        "join_authorised_via_users_server",
        "third_party_invite",
        "creator",
        "room_version",
        "additional_creators",
        "m.federate",
    ]
)
MEANT = st.sampled_from(
    [
        "join",
        "invite",
        "leave",
        "ban",
        "knock",
        "public",
        "restricted",
        "knock_restricted",
        ALICE,
        BOB,
        "5",
        50,
        100,
    ]
)
VALUES = MEANT | JUNK | st.dictionaries(USERS | st.text("@a:1", max_size=3), JUNK | LEVELS, max_size=3)
CONTENTS = st.dictionaries(CONTENT_KEYS, VALUES, max_size=4)


@st.composite
def events(draw: st.DrawFn, version: RoomVersion, index: int) -> Event:
    """Any event of a room, most of them absurd."""
    return Event(
        EventID(f"$e{index}:a.example"),
        RoomID("!room:a.example"),
        draw(TYPES),
        draw(st.none() | st.just("") | USERS | st.just("b.example")),
        UserID(draw(USERS)),
        draw(CONTENTS),
        index,
        index,
        draw(st.just(()) | st.just((EventID("$e0:a.example"),))),
        (),
        draw(st.none() | st.just(EventID("$x:a.example"))),
        b"{}",
        version,
    )


@given(st.data(), VERSIONS)
def test_the_rules_answer_whatever_they_are_asked(data: st.DataObject, version_id: str) -> None:
    """No content of any event, tried or in the state, makes them raise."""
    version = ROOM_VERSIONS[version_id]
    drawn = [data.draw(events(version, index)) for index in range(6)]
    state = {event.key: event for event in drawn[:5] if event.key is not None}
    event = drawn[5]
    create = state.get(CREATE_KEY)
    if create is not None and version.room_id_is_create_hash:
        event.room_id = RoomID("!" + create.event_id[1:])

    assert isinstance(check(event, state), Allow | Reject)
    assert isinstance(check_auth_events(event, drawn[:5]), Allow | Reject)
    keys = auth_keys(version, event.type, event.sender, event.state_key, event.content)
    assert all(isinstance(key[1], str) for key in keys)


@given(st.data(), VERSIONS)
def test_the_verdict_hangs_on_the_selected_events_alone(data: st.DataObject, version_id: str) -> None:
    """What an event cites (and the create event) decides as the whole state would."""
    version = ROOM_VERSIONS[version_id]
    drawn = [data.draw(events(version, index)) for index in range(8)]
    state = {event.key: event for event in drawn[:7] if event.key is not None}
    event = drawn[7]
    keys = auth_keys(version, event.type, event.sender, event.state_key, event.content) | {CREATE_KEY}
    selected = {key: entry for key, entry in state.items() if key in keys}

    assert check(event, selected) == check(event, state)


POWER_LEVELS = st.fixed_dictionaries(
    {},
    optional={
        "users": st.dictionaries(st.sampled_from([BOB, CAROL]), LEVELS),
        "users_default": LEVELS,
        "events": st.dictionaries(st.sampled_from(["m.room.power_levels", "x"]), LEVELS),
        "state_default": LEVELS,
        "ban": LEVELS,
        "kick": LEVELS,
        "invite": LEVELS,
        "redact": LEVELS,
    },
)


@given(VERSIONS, POWER_LEVELS, POWER_LEVELS)
def test_nobody_rises_above_themselves(version_id: str, old: dict[str, Any], new: dict[str, Any]) -> None:
    """A change that passes leaves everybody above the sender as they were, and puts nobody there."""
    room = Room(version_id)
    room.set_member(BOB, "join")
    room.set_power_levels(**old)
    before = power_levels_of(room.state)
    own = before.user_level(BOB)
    if isinstance(room.verdict("m.room.power_levels", BOB, new, ""), Reject):
        return
    after = PowerLevels.read(new, room.version, before.creators)

    assert after.user_level(BOB) <= max(own, after.users_default)
    for user in (CAROL, ALICE):
        if user in old.get("users", {}) and before.user_level(user) > own:
            assert after.user_level(user) == before.user_level(user)
        if user in new.get("users", {}):
            assert after.user_level(user) <= max(own, before.user_level(user))
    for name in ("ban", "kick", "invite", "redact", "users_default", "state_default"):
        if old.get(name) != new.get(name):
            assert old.get(name, own) <= own
            assert new.get(name, own) <= own


@given(VERSIONS, LEVELS, LEVELS, LEVELS)
def test_a_ban_takes_more_power_than_its_target_has(version_id: str, own: int, target: int, ban: int) -> None:
    """And at least the ban level; then the banned cannot come back by themselves."""
    room = Room(version_id)
    room.set_join_rule("public")
    room.set_power_levels(users={BOB: own, CAROL: target}, ban=ban)
    room.set_member(BOB, "join")
    room.set_member(CAROL, "join")

    allowed = room.member(CAROL, "ban", BOB).allowed

    assert allowed is (own >= ban and own > target)
    room.set_member(CAROL, "ban", BOB)
    for membership in ("join", "invite", "leave", "knock"):
        assert not room.member(CAROL, membership).allowed
