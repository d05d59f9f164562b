"""State resolution v2.1 beside v2: the two ways in which v2 lets old state come back (MSC4297)."""

import pytest

from chamberlain.matrix.resolution import resolve
from chamberlain.matrix.resolution.v2_1 import conflicted_subgraph
from chamberlain.matrix.versions import V11, V12, RoomVersion
from tests.support.dag import POWER, RULES, Dag, member


@pytest.mark.parametrize("version,newer_wins", [(V11, False), (V12, True)], ids=["v2", "v2.1"])
def test_what_somebody_did_before_leaving_stands(version: RoomVersion, newer_wins: bool) -> None:
    """Bob closed the room and left; v2 judges his act by the leave that all agree on, v2.1 as of then."""
    dag = Dag(version)
    state = dag.begin({"@b:x": 50})
    dag.send(state, "m.room.join_rules", "@a:x", {"join_rule": "public"})
    old = dict(state)
    closed = dag.send(state, "m.room.join_rules", "@b:x", {"join_rule": "invite"})
    left = dag.membership(state, "@b:x", "@b:x", "leave")
    reset = old | {member("@b:x"): left}

    resolved = dag.resolve(state, reset)

    assert resolved[RULES] == (closed if newer_wins else old[RULES])
    assert resolved[member("@b:x")] == left


@pytest.mark.parametrize("version,newer_wins", [(V11, False), (V12, True)], ids=["v2", "v2.1"])
def test_the_way_between_conflicting_events_is_replayed(version: RoomVersion, newer_wins: bool) -> None:
    """Power levels went from the first over a second, which made Bob powerful, to his third.

    A side that fell back to the first cites the second elsewhere, so that the second is in no difference;
    without it the third is not allowed.
    """
    dag = Dag(version)
    state = dag.begin({"@b:x": 0})
    users = dag.events[state[POWER]].content["users"]
    first = state[POWER]
    second = dag.send(state, "m.room.power_levels", "@a:x", {"users": users | {"@b:x": 100}})
    dag.send(state, "m.room.topic", "@a:x", {"topic": "cites the second"})
    third = dag.send(state, "m.room.power_levels", "@b:x", {"users": users | {"@b:x": 100}, "ban": 60})
    fallen = state | {POWER: first}

    resolved = dag.resolve(state, fallen)

    assert resolved[POWER] == (third if newer_wins else first)
    assert second not in dag.auth_difference([state, fallen])


def test_the_subgraph_is_what_lies_between_conflicting_events() -> None:
    """Events on a way of auth events between two conflicting ones are in it, mere ancestors are not."""
    dag = Dag(V12)
    state = dag.begin({"@b:x": 0})
    users = dag.events[state[POWER]].content["users"]
    levels = [state[POWER]]
    for n in range(4):
        levels.append(dag.send(state, "m.room.power_levels", "@a:x", {"users": users, "ban": n}))

    assert conflicted_subgraph({levels[1], levels[4]}, dag.events) == set(levels[1:])
    assert conflicted_subgraph({levels[2]}, dag.events) == {levels[2]}
    assert conflicted_subgraph({levels[0], levels[4], state[RULES]}, dag.events) == {*levels, state[RULES]}


def test_creators_of_version_12_outrank_every_level() -> None:
    """A creator, who stands in no power levels, comes before a moderator of 100 with an earlier clock."""
    dag = Dag(V12)
    base = dag.begin({"@b:x": 100, "@c:x": 50})
    users = dag.events[base[POWER]].content["users"]
    one, other = dict(base), dict(base)
    creators = dag.send(one, "m.room.power_levels", "@a:x", {"users": {"@c:x": 50}}, ts=9000)
    dag.send(other, "m.room.power_levels", "@b:x", {"users": users | {"@c:x": 99}}, ts=1000)

    assert dag.resolve(one, other)[POWER] == creators


def test_a_room_without_conflicts_needs_no_events() -> None:
    """Agreed state comes back as it is, though not one event is loaded."""
    dag = Dag(V12)
    base = dag.begin({"@b:x": 100})
    dag.events.clear()

    assert resolve(V12, base, {}, (), {}) == base
