"""Authorization of memberships: joining, inviting, leaving, kicking, banning, knocking."""

from typing import Any

import pytest

from chamberlain.matrix.auth_rules import ALLOW, Reject, check
from chamberlain.matrix.versions import ROOM_VERSIONS
from tests.support.event_room import ALICE, BOB, CAROL, Room

VERSIONS = list(ROOM_VERSIONS)
MEMBERSHIPS = ["leave", "invite", "join", "ban", "knock"]


def _room_with_bob(version: str, membership: str) -> Room:
    """A room in which Bob has this membership, Carol is a mere member, and levels are set."""
    room = Room(version)
    users = {CAROL: 10} if version == "12" else {ALICE: 100, CAROL: 10}
    room.set_power_levels(users=users, invite=20)
    room.set_member(CAROL, "join")
    if membership != "leave":
        room.set_member(BOB, membership, ALICE)
    return room


@pytest.mark.parametrize("version", VERSIONS)
def test_the_creator_joins_first(version: str) -> None:
    """Straight after the create event, whatever the join rule; nobody else can."""
    room = Room(version)
    del room.state["m.room.member", ALICE]
    room.last = room.create

    assert room.member(ALICE, "join") is ALLOW
    assert isinstance(room.member(BOB, "join"), Reject)
    room.set_join_rule("invite")
    assert isinstance(room.member(ALICE, "join"), Reject)


def test_until_version_10_the_creator_is_whom_the_content_names() -> None:
    """And since 11 who sent the create event."""
    for version, joins in (("10", BOB), ("11", ALICE), ("12", ALICE)):
        room = Room(version)
        room.create.content["creator"] = BOB
        del room.state["m.room.member", ALICE]
        room.last = room.create

        assert room.member(joins, "join") is ALLOW
        assert isinstance(room.member(ALICE if joins == BOB else BOB, "join"), Reject)


JOIN_BY_RULE: dict[str, tuple[int, set[str]]] = {
    "public": (1, {"leave", "invite", "join", "knock"}),
    "invite": (1, {"invite", "join"}),
    "private": (1, set()),
    "knock": (7, {"invite", "join"}),
    "restricted": (8, {"invite", "join"}),
    "knock_restricted": (10, {"invite", "join"}),
}
"""For each join rule the room version that brought it, and the memberships that then may join."""


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("rule", list(JOIN_BY_RULE))
def test_who_may_join(version: str, rule: str) -> None:
    """By join rule and membership; who is banned never."""
    since, memberships = JOIN_BY_RULE[rule]
    for membership in MEMBERSHIPS:
        room = _room_with_bob(version, membership)
        room.set_join_rule(rule)

        may_join = int(version) >= since and membership in memberships
        assert room.member(BOB, "join").allowed is may_join, membership


@pytest.mark.parametrize("version", VERSIONS)
def test_without_a_join_rule_only_the_invited_join(version: str) -> None:
    """And a rule that is no string is none."""
    room = _room_with_bob(version, "invite")
    assert room.member(BOB, "join") is ALLOW
    room.set_join_rule(5)  # type: ignore[arg-type]
    assert room.member(BOB, "join") is ALLOW
    room.set_member(BOB, "leave")
    assert isinstance(room.member(BOB, "join"), Reject)


def test_nobody_joins_for_somebody_else() -> None:
    """Not even an administrator."""
    room = _room_with_bob("11", "invite")
    room.set_join_rule("public")

    assert isinstance(room.member(BOB, "join", ALICE), Reject)


@pytest.mark.parametrize("version", VERSIONS[7:])
def test_restricted_joins_need_somebody_who_may_invite(version: str) -> None:
    """Who vouches is in the room and has the invite level."""
    rules = ["restricted", "knock_restricted"] if int(version) >= 10 else ["restricted"]
    for rule in rules:
        room = _room_with_bob(version, "leave")
        room.set_join_rule(rule)

        def join(authorizer: object, room: Room = room) -> bool:
            return room.member(BOB, "join", join_authorised_via_users_server=authorizer).allowed

        assert join(ALICE)
        assert not join(CAROL)
        assert not join("@nobody:d.example")
        assert not join("nobody")
        assert not join(5)
        assert not join(None)
        room.set_member(BOB, "ban", ALICE)
        assert not join(ALICE)


def test_an_unreadable_voucher_spoils_any_join() -> None:
    """Its signature could not be checked."""
    room = _room_with_bob("11", "invite")

    assert isinstance(room.member(BOB, "join", join_authorised_via_users_server="x"), Reject)
    assert _room_with_bob("7", "invite").member(BOB, "join", join_authorised_via_users_server="x") is ALLOW


@pytest.mark.parametrize("version", VERSIONS)
def test_who_may_be_invited_by_whom(version: str) -> None:
    """A member with the invite level invites who is neither in the room nor banned."""
    for membership in MEMBERSHIPS:
        room = _room_with_bob(version, membership)

        assert room.member(BOB, "invite", ALICE).allowed is (membership not in ("join", "ban"))
        assert isinstance(room.member(BOB, "invite", CAROL), Reject)
        assert isinstance(room.member(BOB, "invite", "@stranger:s.example"), Reject)


@pytest.mark.parametrize("version", VERSIONS)
def test_leaving_and_rejecting(version: str) -> None:
    """Who is in, invited or knocking may go; a ban cannot be left."""
    may_leave = {"join", "invite"} | ({"knock"} if int(version) >= 7 else set())
    for membership in MEMBERSHIPS:
        assert _room_with_bob(version, membership).member(BOB, "leave").allowed is (membership in may_leave)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("sender_level", "target_level", "ban", "kick", "may_kick", "may_ban", "may_unban"),
    [
        (50, 0, 50, 50, True, True, True),
        (49, 0, 50, 50, False, False, False),
        (50, 50, 50, 50, False, False, False),
        (60, 50, 50, 50, True, True, True),
        (50, 0, 60, 50, True, False, False),
        (50, 0, 50, 60, False, True, False),
        (50, 51, 0, 0, False, False, False),
        (-1, -2, 0, 0, False, False, False),
        (0, -1, 0, 0, True, True, True),
    ],
)
def test_kicking_banning_and_lifting_bans(  # one table for the three, which share their rules
    version: str,
    sender_level: int,
    target_level: int,
    ban: int,
    kick: int,
    may_kick: bool,
    may_ban: bool,
    may_unban: bool,
) -> None:
    """The level for the action, and more power than who it hits; lifting a ban takes both levels."""
    room = Room(version)
    room.set_power_levels(users={CAROL: sender_level, BOB: target_level}, ban=ban, kick=kick)
    room.set_member(CAROL, "join")
    room.set_member(BOB, "join")

    assert room.member(BOB, "leave", CAROL).allowed is may_kick
    assert room.member(BOB, "ban", CAROL).allowed is may_ban
    room.set_member(BOB, "ban", ALICE)
    assert room.member(BOB, "leave", CAROL).allowed is may_unban


def test_only_members_kick_and_ban() -> None:
    """Power is not enough once one has left."""
    room = Room("11")
    room.set_power_levels(users={CAROL: 100})
    room.set_member(BOB, "join")

    assert isinstance(room.member(BOB, "leave", CAROL), Reject)
    assert isinstance(room.member(BOB, "ban", CAROL), Reject)


def test_who_was_never_there_can_be_banned() -> None:
    """A ban looks ahead."""
    assert Room("11").member(BOB, "ban", ALICE) is ALLOW


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("rule", ["knock", "knock_restricted", "public", "invite", "restricted"])
def test_knocking(version: str, rule: str) -> None:
    """Since 7 where the rule is `knock`, since 10 where it is `knock_restricted`; not from inside."""
    open_to_knocks = (rule == "knock" and int(version) >= 7) or (
        rule == "knock_restricted" and int(version) >= 10
    )
    for membership in MEMBERSHIPS:
        room = _room_with_bob(version, membership)
        room.set_join_rule(rule)

        may_knock = open_to_knocks and membership in ("leave", "knock")
        assert room.member(BOB, "knock").allowed is may_knock, membership
        assert isinstance(room.member(BOB, "knock", CAROL), Reject)


@pytest.mark.parametrize("membership", ["JOIN", "", "member", None, 5, [], {}])
def test_an_unknown_membership_is_rejected(membership: Any) -> None:
    """In every room version, and nothing is raised."""
    for version in VERSIONS:
        assert isinstance(Room(version).member(ALICE, membership), Reject)
    assert isinstance(Room().verdict("m.room.member", ALICE, {}, ALICE), Reject)


@pytest.mark.parametrize("state_key", [None, "", "alice", "@alice"])
def test_a_membership_belongs_to_a_user(state_key: str | None) -> None:
    """The state key names whom."""
    room = Room("11")
    room.set_join_rule("public")

    assert isinstance(room.verdict("m.room.member", ALICE, {"membership": "join"}, state_key), Reject)


def test_a_broken_membership_in_the_state_is_no_membership() -> None:
    """State of old times may hold anything."""
    room = Room("11")
    room.put(room.build("m.room.member", BOB, {"membership": 5}, BOB))

    assert isinstance(room.verdict("m.room.message", BOB, {}), Reject)


def test_joining_again_changes_a_profile() -> None:
    """A member may join time and again."""
    room = Room("11")

    assert (
        check(
            room.build("m.room.member", ALICE, {"membership": "join", "displayname": "A"}, ALICE), room.state
        )
        is ALLOW
    )
