"""Power levels: how they are read, and who may change them."""

from typing import Any

import pytest

from chamberlain.matrix.auth_rules import ALLOW, PowerLevels, Reject, creators_of, power_levels_of
from chamberlain.matrix.auth_rules.power_levels import CREATOR_LEVEL, read_level
from chamberlain.matrix.types import JsonObject
from chamberlain.matrix.versions import ROOM_VERSIONS, V5, V9, V10, V11, V12
from tests.support.event_room import ALICE, BOB, CAROL, Room

VERSIONS = list(ROOM_VERSIONS)
BEFORE_12 = VERSIONS[:-1]


def _levels(room: Room) -> PowerLevels:
    return power_levels_of(room.state)


def _room(version: str = "11", **content: Any) -> Room:
    """Alice has 100, Bob 50, Carol 0; all are in the room."""
    room = Room(version)
    room.set_member(BOB, "join")
    room.set_member(CAROL, "join")
    users = {BOB: 50} if version == "12" else {ALICE: 100, BOB: 50}
    room.set_power_levels(
        **({"users": users, "state_default": 0, "events": {"m.room.power_levels": 0}} | content)
    )
    return room


def _change(room: Room, sender: str, **changes: Any) -> bool:
    """Whether the sender may change the power levels so; of a change to `...` the key is gone."""
    content = room.state["m.room.power_levels", ""].content | changes
    content = {key: value for key, value in content.items() if value is not ...}
    return room.verdict("m.room.power_levels", sender, content, "").allowed


@pytest.mark.parametrize("version", VERSIONS)
def test_a_room_without_power_levels_has_the_defaults(version: str) -> None:
    """The creator has 100 (and all power since 12), everybody else nothing."""
    levels = _levels(Room(version))

    assert levels.user_level(ALICE) == (CREATOR_LEVEL if version == "12" else 100)
    assert (levels.user_level(BOB), levels.users_default) == (0, 0)
    assert (levels.ban, levels.kick, levels.redact, levels.invite) == (50, 50, 50, 0)
    assert (levels.event_level("m.room.name", True), levels.event_level("m.room.message", False)) == (50, 0)
    assert levels.notification_level("room") == 50


@pytest.mark.parametrize("version", VERSIONS)
def test_levels_that_are_set_count(version: str) -> None:
    """Each in its place; what is not set has its default."""
    room = Room(version)
    room.set_power_levels(
        users={BOB: 7},
        users_default=1,
        events={"m.room.name": 8},
        events_default=2,
        state_default=3,
        ban=4,
        notifications={"room": 9},
    )
    levels = _levels(room)

    assert (levels.user_level(BOB), levels.user_level(CAROL)) == (7, 1)
    assert levels.event_level("m.room.name", True) == levels.event_level("m.room.name", False) == 8
    assert (levels.event_level("x", True), levels.event_level("x", False)) == (3, 2)
    assert (levels.ban, levels.kick, levels.notification_level("room")) == (4, 50, 9)
    assert levels.notification_level("other") == 50
    assert levels.users == {BOB: 7}
    assert levels.user_level(ALICE) == (CREATOR_LEVEL if version == "12" else 1)


@pytest.mark.parametrize(
    ("value", "old", "new"),
    [
        (50, 50, 50),
        (-1, -1, -1),
        ("50", 50, None),
        (" +050 ", 50, None),
        ("-3", -3, None),
        (50.9, 50, None),
        (-0.5, 0, None),
        (5.1e4, 51000, None),
        (float("inf"), None, None),
        (float("nan"), None, None),
        ("1.5", None, None),
        ("", None, None),
        ("1_0", None, None),
        ("٣", None, None),
        ("5" * 400, None, None),
        (True, None, None),
        (None, None, None),
        ([5], None, None),
    ],
)
def test_what_counts_as_a_level(value: Any, old: int | None, new: int | None) -> None:
    """Strings and floats until room version 9, integers alone since."""
    assert read_level(value, V5) == read_level(value, V9) == old
    assert read_level(value, V10) == read_level(value, V12) == new


@pytest.mark.parametrize(
    "content", [{"users": 5, "events": [], "notifications": "x"}, {"ban": "x", "users": {BOB: None}}]
)
def test_what_is_no_level_counts_as_absent(content: JsonObject) -> None:
    """Reading never raises."""
    for version in (V5, V11):
        levels = PowerLevels.read(content, version, frozenset())

        assert (levels.ban, levels.user_level(BOB), levels.event_level("x", True)) == (50, 0, 50)


def test_power_levels_are_read_once_for_each_event() -> None:
    """They stand on the hot path."""
    room = _room()
    assert _levels(room) is _levels(room)
    before = _levels(room)
    room.set_power_levels(users={ALICE: 100})
    assert _levels(room) is not before


def test_creators() -> None:
    """Named by the content until 10, the sender since 11, several in 12."""
    assert creators_of(Room("10", creator=ALICE).create) == {ALICE}
    assert creators_of(Room("11", create_content={"additional_creators": [BOB]}).create) == {ALICE}
    room = Room("12", create_content={"additional_creators": [BOB]})
    assert creators_of(room.create) == {ALICE, BOB}
    assert _levels(room).creators == {ALICE, BOB}
    assert _levels(room).user_level(BOB) == CREATOR_LEVEL
    assert _levels(Room("11")).creators == set()
    room.create.content["additional_creators"] = 5
    assert creators_of(room.create) == {ALICE}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_first_power_levels_may_be_anything(version: str) -> None:
    """Whoever may set state may write them, themselves left out included."""
    room = Room(version)

    assert room.verdict("m.room.power_levels", ALICE, {"users": {BOB: 1000}, "ban": 5000}, "") is ALLOW
    assert room.verdict("m.room.power_levels", ALICE, {}, "") is ALLOW


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "name", ["users_default", "events_default", "state_default", "ban", "redact", "kick", "invite"]
)
def test_a_level_is_changed_only_below_ones_own(version: str, name: str) -> None:
    """Added, changed, removed: neither the old nor the new value may be above the sender's power."""
    high, low = _room(version, **{name: 51}), _room(version, **{name: 0})

    assert not _change(high, BOB, **{name: 0})
    assert not _change(high, BOB, **{name: ...})
    assert _change(high, BOB, extra=1)
    assert _change(high, ALICE, **{name: 0})
    assert _change(low, BOB, **{name: 50})
    assert not _change(low, BOB, **{name: 51})
    assert not _change(_room(version), BOB, **{name: 51})
    assert _change(_room(version), BOB, **{name: 50})


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("where", ["events", "notifications"])
def test_event_and_notification_levels_are_changed_only_below_ones_own(version: str, where: str) -> None:
    """Notifications count since room version 6."""
    unchecked = where == "notifications" and int(version) < 6
    base = {"m.room.power_levels": 0} if where == "events" else {}
    room = _room(version, **{where: base | {"low": 50, "high": 51}})

    def change(sender: str, **entries: int) -> bool:
        return _change(room, sender, **{where: base | entries})

    assert change(BOB, low=50, high=51, new=50)
    assert change(BOB, low=0, high=51)
    assert change(BOB, high=51)
    assert change(BOB, low=51, high=51) is unchecked
    assert change(BOB, low=50, high=50) is unchecked
    assert change(BOB, low=50) is unchecked
    assert change(BOB, low=50, high=51, new=51) is unchecked
    assert change(ALICE, low=99)
    assert _change(room, BOB, **{where: ...}) is unchecked


@pytest.mark.parametrize("version", VERSIONS)
def test_users_are_changed_only_by_those_above_them(version: str) -> None:
    """Equals leave each other alone, nobody lifts anybody above themselves, everybody may step down."""
    room = _room(version, users={BOB: 50, CAROL: 50, "@low:l.example": 49, "@high:h.example": 51})
    users = room.state["m.room.power_levels", ""].content["users"]

    def change(**entries: int | None) -> bool:
        names = {
            "bob": BOB,
            "carol": CAROL,
            "low": "@low:l.example",
            "high": "@high:h.example",
            "new": "@n:n.ex",
        }
        changed = users | {names[name]: level for name, level in entries.items()}
        return _change(room, BOB, users={user: level for user, level in changed.items() if level is not None})

    assert change(low=50) and change(low=0) and change(low=None)
    assert change(new=50)
    assert change(bob=0) and change(bob=None)
    assert not change(low=51)
    assert not change(new=51)
    assert not change(bob=51)
    assert not change(carol=0) and not change(carol=None) and not change(carol=51)
    assert not change(high=50) and not change(high=None)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "users", [5, [], "x", None, {"bob": 1}, {BOB: None}, {BOB: "x"}, {BOB: [1]}, {BOB: True}, {"@b": 1}]
)
def test_users_must_be_a_map_of_levels(version: str, users: Any) -> None:
    """In every room version, the first time too."""
    assert isinstance(Room(version).verdict("m.room.power_levels", ALICE, {"users": users}, ""), Reject)


@pytest.mark.parametrize(
    "content",
    [
        {"ban": "50"},
        {"users_default": None},
        {"invite": True},
        {"events": []},
        {"events": {"a": "1"}},
        {"notifications": {"room": None}},
        {"notifications": 5},
        {"users": {BOB: "50"}},
    ],
    ids=str,
)
def test_since_version_10_levels_are_integers(content: JsonObject) -> None:
    """Before it the first power levels of a room may look like anything but in `users`."""
    assert Room("9").verdict("m.room.power_levels", ALICE, content, "") is ALLOW
    for version in ("10", "11", "12"):
        assert isinstance(Room(version).verdict("m.room.power_levels", ALICE, content, ""), Reject)


def test_old_rooms_change_from_strings_and_to_them() -> None:
    """A string that holds an integer is that integer; what is no level cannot be set."""
    room = _room("9", ban="51", kick="x")

    assert not _change(room, BOB, ban="50")
    assert not _change(room, BOB, ban=50)
    assert _change(room, BOB, redact="50")
    assert not _change(room, BOB, redact="51")
    assert not _change(room, BOB, redact="y")
    assert _change(room, BOB, kick="50")
    assert _change(room, BOB, kick=...)
    assert _change(_room("5", events={"m.room.power_levels": 0}), BOB, ban=50.7)


def test_creators_stand_above_all_levels_in_version_12() -> None:
    """They may do all, nobody can touch them, and they are not in the list."""
    room = Room("12", create_content={"additional_creators": [CAROL]})
    room.set_member(BOB, "join")
    room.set_member(CAROL, "join")
    room.set_power_levels(users={BOB: 2**53 - 1}, events={"m.room.power_levels": 2**53 - 1}, ban=2**53 - 1)

    for creator in (ALICE, CAROL):
        assert _change(room, creator, users={BOB: 0})
        assert room.member(BOB, "ban", creator) is ALLOW
        assert isinstance(room.member(creator, "ban", BOB), Reject)
        assert isinstance(room.member(creator, "leave", BOB), Reject)
        assert not _change(room, BOB, users={BOB: 1, creator: 0})
        assert not _change(room, creator, users={creator: 100})
    assert isinstance(room.member(CAROL, "ban", ALICE), Reject)
    assert isinstance(Room("12").verdict("m.room.power_levels", ALICE, {"users": {ALICE: 100}}, ""), Reject)


def test_before_version_12_a_creator_can_be_demoted() -> None:
    """Nothing but the power levels says who has power."""
    for version in BEFORE_12:
        room = _room(version, users={BOB: 100})

        assert not _change(room, ALICE, ban=51)
        assert room.member(ALICE, "ban", BOB) is ALLOW
