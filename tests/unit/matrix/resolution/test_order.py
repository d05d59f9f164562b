"""The orders of state resolution v2 against the words of the specification, taken literally."""

import random

import pytest

from chamberlain.matrix.ids import EventID
from chamberlain.matrix.resolution.order import (
    is_power_event,
    mainline_ordering,
    power_ordering,
    with_auth_chains,
)
from chamberlain.matrix.versions import V11, V12, RoomVersion
from tests.support.dag import POWER, RULES, Dag, forked_room, member

versions = pytest.mark.parametrize("version", [V11, V12], ids=["v11", "v12"])


def levels_cited(dag: Dag, event_id: EventID) -> EventID | None:
    """The power levels among an event's auth events."""
    return next((a for a in dag.events[event_id].auth_events if dag.events[a].key == POWER), None)


def sender_level(dag: Dag, event_id: EventID) -> float:
    """The level of an event's sender by the event's auth events; Alice made the room."""
    event, levels = dag.events[event_id], levels_cited(dag, event_id)
    if event.sender == "@a:x" and dag.version is V12:
        return float("inf")
    if levels is None:
        return 100 if event.sender == "@a:x" else 0
    level: float = dag.events[levels].content["users"].get(event.sender, 0)
    return level


@versions
def test_power_ordering_is_the_smallest_topological_one(version: RoomVersion) -> None:
    """At each step the smallest of the events all of whose auth events came before is next."""
    for seed in range(40):
        rnd = random.Random(seed)
        dag, _ = forked_room(version, rnd)
        chosen = set(rnd.sample(sorted(dag.events), len(dag.events) * 3 // 4))
        create = dag.events[EventID("$e0000:x")]

        ordered = power_ordering(chosen, dag.events, create)

        left, expected = set(chosen), list[EventID]()
        while left:
            free = [e for e in left if left.isdisjoint(dag.events[e].auth_events)]
            key = {e: (-sender_level(dag, e), dag.events[e].origin_server_ts, e) for e in free}
            expected.append(min(free, key=lambda e: key[e]))
            left.remove(expected[-1])
        assert ordered == expected


@versions
def test_mainline_ordering_goes_by_where_the_mainline_is_met(version: RoomVersion) -> None:
    """Events that meet the mainline of power levels earlier come first, those that never do before all."""
    for seed in range(40):
        rnd = random.Random(seed)
        dag, states = forked_room(version, rnd)
        chosen = rnd.sample(sorted(dag.events), len(dag.events))
        levels = states[0].get(POWER)

        ordered = mainline_ordering(chosen, levels, dag.events)

        mainline = list[EventID]()
        while levels is not None:
            mainline.append(levels)
            levels = levels_cited(dag, levels)
        rank = {}
        for event_id in chosen:
            step = levels_cited(dag, event_id)
            while step is not None and step not in mainline:
                step = levels_cited(dag, step)
            meets = float("inf") if step is None else mainline.index(step)
            rank[event_id] = (-meets, dag.events[event_id].origin_server_ts, event_id)
        assert ordered == sorted(chosen, key=lambda event_id: rank[event_id])


def test_without_power_levels_time_decides() -> None:
    """Where no power levels were resolved, the mainline is empty and all events stand alike."""
    dag = Dag(V11)
    state = dag.begin({})
    late = dag.membership(state, "@c:x", "@c:x", "join", ts=9)
    early = dag.membership(state, "@d:x", "@d:x", "join", ts=8)

    assert mainline_ordering([late, early], None, dag.events) == [early, late]


def test_what_a_power_event_is() -> None:
    """Power levels, join rules, kicks and bans are; one's own leave, a join and a topic are not."""
    dag = Dag(V11)
    state = dag.begin({"@b:x": 50})
    kick = dag.membership(dict(state), "@a:x", "@b:x", "leave")
    ban = dag.membership(dict(state), "@a:x", "@b:x", "ban")
    leave = dag.membership(dict(state), "@b:x", "@b:x", "leave")
    invite = dag.membership(dict(state), "@b:x", "@c:x", "invite")
    topic = dag.send(dict(state), "m.room.topic", "@a:x", {})
    stray = dag.send(dict(state), "m.room.power_levels", "@a:x", {}, "stray")

    powerful = {event_id for event_id in dag.events if is_power_event(dag.events[event_id])}
    assert powerful == {state["m.room.create", ""], state[POWER], state[RULES], kick, ban}
    assert powerful.isdisjoint({leave, invite, topic, stray, state[member("@b:x")]})


def test_auth_chains_are_followed_only_within() -> None:
    """Events outside of the given set are neither taken nor passed through."""
    dag = Dag(V11)
    state = dag.begin({})
    levels = [state[POWER]]
    for n in range(3):
        levels.append(dag.send(state, "m.room.power_levels", "@a:x", {"users": {"@a:x": 100}, "ban": n}))

    assert with_auth_chains([levels[3]], {*levels} - {levels[1]}, dag.events) == {levels[3], levels[2]}
