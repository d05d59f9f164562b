"""State resolution, whatever the fork: no order matters, and nothing is made up or lost."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chamberlain.matrix.resolution import resolve, separate, wanted_keys
from chamberlain.matrix.resolution.v2_1 import conflicted_subgraph
from chamberlain.matrix.versions import ROOM_VERSIONS
from tests.support.dag import Dag, State, forked_room

seeds = st.integers(0, 2**32)
versions = st.sampled_from(["1", "2", "6", "10", "11", "12"])
quick = settings(deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))


def shuffled(states: list[State], rnd: random.Random) -> list[State]:
    """The same states, in another order and with their keys in another order."""
    states = [dict(rnd.sample(list(state.items()), len(state))) for state in states]
    rnd.shuffle(states)
    return states


@quick
@given(seed=seeds, version=versions)
def test_no_order_matters(seed: int, version: str) -> None:
    """The order of states, keys, conflicting events and loaded events changes nothing."""
    rnd = random.Random(seed)
    dag, states = forked_room(ROOM_VERSIONS[version], rnd)
    unconflicted, conflicted = separate(states)
    difference = dag.auth_difference(states)
    expected = resolve(dag.version, unconflicted, conflicted, difference, dag.events)

    for _ in range(4):
        some, others = separate(shuffled(states, rnd))
        claims = {key: rnd.sample(sorted(ids), len(ids)) for key, ids in others.items()}
        events = dict(rnd.sample(list(dag.events.items()), len(dag.events)))
        again = resolve(dag.version, some, claims, rnd.sample(sorted(difference), len(difference)), events)
        assert again == expected


@quick
@given(seed=seeds, version=versions)
def test_what_is_agreed_is_kept_and_nothing_is_made_up(seed: int, version: str) -> None:
    """Unconflicted state stays, and each event of the result comes from a state or the auth difference."""
    dag, states = forked_room(ROOM_VERSIONS[version], random.Random(seed))
    unconflicted, _ = separate(states)

    resolved = dag.resolve(*states)

    assert unconflicted.items() <= resolved.items()
    sources = {event_id for state in states for event_id in state.values()} | dag.auth_difference(states)
    if version == "12":
        conflicted = {event_id for ids in separate(states)[1].values() for event_id in ids}
        sources |= conflicted_subgraph(conflicted, dag.events)
    assert set(resolved.values()) <= sources
    assert all(dag.events[event_id].key == key for key, event_id in resolved.items())


@quick
@given(seed=seeds, version=versions)
def test_one_state_resolves_to_itself(seed: int, version: str) -> None:
    """One state, alone or several times, is its own resolution."""
    dag, states = forked_room(ROOM_VERSIONS[version], random.Random(seed))

    assert dag.resolve(states[0]) == states[0]
    assert dag.resolve(states[0], dict(states[0])) == states[0]


@quick
@given(seed=seeds, version=versions)
def test_the_wanted_part_of_the_agreed_state_is_enough(seed: int, version: str) -> None:
    """With only the wanted keys of the unconflicted state, the other keys come out the same."""
    dag, states = forked_room(ROOM_VERSIONS[version], random.Random(seed))
    unconflicted, conflicted = separate(states)
    difference = dag.auth_difference(states)
    conflicting = {event_id for ids in conflicted.values() for event_id in ids}
    in_play = conflicting | difference | conflicted_subgraph(conflicting, dag.events)
    wanted = wanted_keys(dag.version, [dag.events[event_id] for event_id in in_play])
    part = {key: event_id for key, event_id in unconflicted.items() if key in wanted}

    resolved = resolve(dag.version, part, conflicted, difference, dag.events)

    whole = dag.resolve(*states)
    assert unconflicted | resolved == whole


@pytest.mark.parametrize("version", ["1", "2", "12"])
def test_a_long_chain_of_auth_events_is_walked(version: str) -> None:
    """Thousands of power level events that cite one another exhaust no stack."""
    dag = Dag(ROOM_VERSIONS[version])
    state = dag.begin({"@b:x": 50})
    one = dict(state)
    for n in range(3000):
        content = dict(dag.events[state["m.room.power_levels", ""]].content, ban=n % 100)
        dag.send(state, "m.room.power_levels", "@a:x", content)

    assert dag.resolve(one, state) == state
