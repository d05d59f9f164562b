"""State resolution v2, on forks drawn by hand: bans, fights over power, join rules, topics."""

import pytest

from chamberlain.matrix.versions import V2, V11, V12, RoomVersion
from tests.support.dag import POWER, RULES, TOPIC, Dag, State, member

both = pytest.mark.parametrize("version", [V2, V11, V12], ids=lambda version: f"v{version.id}")


def room(version: RoomVersion, **levels: int) -> tuple[Dag, State]:
    """A public room of Alice, who made it, Bob (50) and others."""
    dag = Dag(version)
    return dag, dag.begin({"@b:x": 50} | {f"@{name}:x": level for name, level in levels.items()})


@both
def test_joins_on_both_sides_are_kept(version: RoomVersion) -> None:
    """Users who joined on different sides of a fork are both in the room."""
    dag, base = room(version)
    one, other = dict(base), dict(base)
    dag.membership(one, "@c:x", "@c:x", "join")
    dag.membership(other, "@d:x", "@d:x", "join")

    assert dag.resolve(one, other) == one | other


@both
def test_a_ban_undoes_what_the_banned_did_meanwhile(version: RoomVersion) -> None:
    """Bob, banned on one side, has changed neither topic nor power levels on the other."""
    dag, base = room(version, c=0)
    dag.send(base, "m.room.topic", "@a:x", {"topic": "old"})
    one, other = dict(base), dict(base)
    ban = dag.membership(one, "@a:x", "@b:x", "ban")
    users = dag.events[base[POWER]].content["users"]
    dag.send(other, "m.room.power_levels", "@b:x", {"users": users | {"@c:x": 50}})
    dag.send(other, "m.room.topic", "@b:x", {"topic": "new"})

    resolved = dag.resolve(one, other)

    assert resolved == base | {member("@b:x"): ban}


@both
def test_of_two_who_demote_each_other_the_more_powerful_wins(version: RoomVersion) -> None:
    """Carol (75) demotes Bob while he gives himself company, earlier by his clock."""
    dag, base = room(version, c=75, d=0)
    users = dag.events[base[POWER]].content["users"]
    one, other = dict(base), dict(base)
    demoted = {user: level for user, level in users.items() if user != "@b:x"}
    carols = dag.send(one, "m.room.power_levels", "@c:x", {"users": demoted}, ts=2000)
    dag.send(other, "m.room.power_levels", "@b:x", {"users": users | {"@d:x": 50}}, ts=1000)

    assert dag.resolve(one, other)[POWER] == carols


@both
def test_of_two_equals_who_change_the_levels_the_later_wins(version: RoomVersion) -> None:
    """Two of the same power change the power levels; both may, so the later change stands."""
    dag, base = room(version, c=75, d=75)
    users = dag.events[base[POWER]].content["users"]
    one, other = dict(base), dict(base)
    dag.send(one, "m.room.power_levels", "@c:x", {"users": users, "invite": 50}, ts=1000)
    late = dag.send(other, "m.room.power_levels", "@d:x", {"users": users, "invite": 60}, ts=2000)

    assert dag.resolve(one, other)[POWER] == late


@both
def test_levels_that_shut_others_out_hold_against_an_earlier_clock(version: RoomVersion) -> None:
    """Alice, the more powerful, keeps moderators from the levels: a change by one of them, earlier, is void."""
    dag, base = room(version, c=75, d=75)
    users = dag.events[base[POWER]].content["users"]
    one, other = dict(base), dict(base)
    content = {"users": users, "events": {"m.room.power_levels": 76}}
    alices = dag.send(one, "m.room.power_levels", "@a:x", content, ts=2000)
    dag.send(other, "m.room.power_levels", "@d:x", {"users": users, "invite": 60}, ts=1000)

    assert dag.resolve(one, other)[POWER] == alices


@both
def test_a_ban_of_a_moderator_comes_before_the_bans_by_them(version: RoomVersion) -> None:
    """Alice bans Bob; the ban that he set on the other side, earlier by his clock, is void."""
    dag, base = room(version, c=0)
    one, other = dict(base), dict(base)
    ban = dag.membership(one, "@a:x", "@b:x", "ban", ts=2000)
    dag.membership(other, "@b:x", "@c:x", "ban", ts=1000)

    resolved = dag.resolve(one, other)

    assert resolved == base | {member("@b:x"): ban}


@both
def test_a_room_closed_on_one_side_takes_no_joins_of_the_other(version: RoomVersion) -> None:
    """The join rule became invite on one side: who joined on the other, uninvited, is not in the room."""
    dag, base = room(version)
    one, other = dict(base), dict(base)
    closed = dag.send(one, "m.room.join_rules", "@a:x", {"join_rule": "invite"})
    dag.membership(other, "@e:x", "@e:x", "join")

    resolved = dag.resolve(one, other)

    assert resolved == base | {RULES: closed}


@both
def test_the_later_of_two_topics_wins(version: RoomVersion) -> None:
    """Topics under the same power levels go by time, then by id."""
    dag, base = room(version)
    one, other = dict(base), dict(base)
    dag.send(one, "m.room.topic", "@a:x", {}, ts=1000)
    late = dag.send(other, "m.room.topic", "@b:x", {}, ts=1001)
    assert dag.resolve(one, other)[TOPIC] == late

    one, other = dict(base), dict(base)
    dag.send(one, "m.room.topic", "@a:x", {}, ts=1000, name="a")
    greater = dag.send(other, "m.room.topic", "@b:x", {}, ts=1000, name="b")
    assert dag.resolve(one, other)[TOPIC] == greater


@both
def test_a_topic_under_newer_power_levels_wins_over_a_later_one(version: RoomVersion) -> None:
    """Where topics meet the mainline counts more than their clocks."""
    dag, base = room(version)
    one, other = dict(base), dict(base)
    users = dag.events[base[POWER]].content["users"]
    dag.send(one, "m.room.power_levels", "@a:x", {"users": users, "invite": 50})
    newer = dag.send(one, "m.room.topic", "@a:x", {}, ts=1000)
    dag.send(other, "m.room.topic", "@b:x", {}, ts=9000)

    resolved = dag.resolve(one, other)

    assert resolved[TOPIC] == newer
    assert resolved[POWER] == one[POWER]


@both
def test_an_unknown_auth_event_counts_as_a_rejected_one(version: RoomVersion) -> None:
    """A kick that only its own auth events allow does not stand where these were rejected or are missing."""
    dag, base = room(version, c=0)
    granted = dict(base)
    users = dag.events[base[POWER]].content["users"]
    power = dag.send(granted, "m.room.power_levels", "@a:x", {"users": users | {"@c:x": 50}})
    one, other = dict(base), dict(base)
    joined = dag.membership(one, "@e:x", "@e:x", "join")
    for state in (one, other, base):
        del state[POWER]
    auth = [power, base[member("@c:x")], joined]
    auth += [] if version is V12 else [base["m.room.create", ""]]
    kick = dag.membership(other, "@c:x", "@e:x", "leave", auth=auth)
    assert dag.resolve(one, other)[member("@e:x")] == kick

    dag.rejected = {power}
    assert dag.resolve(one, other)[member("@e:x")] == joined
    dag.rejected = set()
    dag.events[kick].auth_events = tuple(cited for cited in auth if cited != power)
    assert dag.resolve(one, other)[member("@e:x")] == joined


@both
def test_three_sides_resolve_like_two_after_two(version: RoomVersion) -> None:
    """A merge of three sides with bans and joins has each ban and each lawful join."""
    dag, base = room(version, c=0, d=0)
    one, other, third = dict(base), dict(base), dict(base)
    ban = dag.membership(one, "@a:x", "@c:x", "ban")
    dag.membership(other, "@c:x", "@c:x", "join")
    joined = dag.membership(other, "@e:x", "@e:x", "join")
    kick = dag.membership(third, "@b:x", "@d:x", "leave")

    resolved = dag.resolve(one, other, third)

    assert resolved == base | {member("@c:x"): ban, member("@e:x"): joined, member("@d:x"): kick}
