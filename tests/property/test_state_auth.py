"""What the store finds for resolution, and so what it resolves to, is what whole states and auth chains give."""

import random
from pathlib import Path

import asyncpg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chamberlain.matrix.ids import EventID
from chamberlain.matrix.resolution import resolve, separate, wanted_keys
from chamberlain.matrix.resolution.v2_1 import conflicted_subgraph
from chamberlain.matrix.versions import ROOM_VERSIONS, StateRes
from chamberlain.store import state
from chamberlain.store.migrate import migrate
from chamberlain.store.postgres import PostgresTx
from chamberlain.store.sqlite import SqliteTx, connect, drive
from chamberlain.store.state import auth
from chamberlain.store.tx import Write
from tests.support.dag import Dag, State, forked_room
from tests.support.postgres import Postgres
from tests.support.rows import insert

ROOM = "!e0000:x"


class Shelf:
    """A room drawn by hand, put into the database."""

    def __init__(self, tx: Write, dag: Dag) -> None:
        self.tx = tx
        self.dag = dag
        self.nids = {event_id: nid for nid, event_id in enumerate(sorted(dag.events), 1)}
        self.ids = {nid: event_id for event_id, nid in self.nids.items()}

    async def fill(self) -> None:
        """Write the events and their auth events."""
        self.keys = await state.intern_keys(self.tx, [e.key for e in self.dag.events.values() if e.key])
        heights: dict[EventID, int] = {}
        for event_id in sorted(self.dag.events):
            event = self.dag.events[event_id]
            heights[event_id] = 1 + max((heights[cited] for cited in event.auth_events), default=0)
            nid = self.nids[event_id]
            await insert(
                self.tx,
                "events",
                nid=nid,
                event_id=event_id,
                room_id=ROOM,
                type=event.type,
                state_key=event.state_key,
                auth_height=heights[event_id],
            )
            for cited in event.auth_events:
                await insert(self.tx, "event_auth", event=nid, auth=self.nids[cited])

    async def compare(self, states: list[State]) -> state.Comparison:
        """The states as views of the store, compared."""
        point = await state.new_room_line(self.tx, ROOM, 1)
        point = await state.advance_current(self.tx, ROOM, point, self.numbers(states[0]), iter(()))
        views = [state.View(point)]
        views += [await state.given(self.tx, point, self.numbers(one)) for one in states[1:]]
        return await state.compare(self.tx, views)

    def numbers(self, one: State) -> dict[int, int]:
        """A state by numbers."""
        return {self.keys[key]: self.nids[event_id] for key, event_id in one.items()}

    async def resolve(self, comparison: state.Comparison) -> State:
        """The resolution of what conflicts, put together as the event pipeline does it."""
        subgraph = self.dag.version.state_res is StateRes.V2_1
        found = await state.ingredients(self.tx, comparison, subgraph=subgraph)
        loaded = {self.ids[nid]: self.dag.events[self.ids[nid]] for nid in found.events}
        agreed = await state.unconflicted(self.tx, comparison, wanted_keys(self.dag.version, loaded.values()))
        for nid in agreed.values():
            loaded[self.ids[nid]] = self.dag.events[self.ids[nid]]
        names = await state.names_of(self.tx, comparison.conflicts)
        return resolve(
            self.dag.version,
            {name: self.ids[nid] for name, nid in agreed.items()},
            {
                names[key]: {self.ids[nid] for nid in nids if nid is not None}
                for key, nids in comparison.conflicts.items()
            },
            {self.ids[nid] for nid in found.auth_difference},
            loaded,
        )


async def check(tx: Write, seed: int, version: str) -> None:
    """Compare both ways for one forked room."""
    rnd = random.Random(seed)
    dag, states = forked_room(ROOM_VERSIONS[version], rnd)
    shelf = Shelf(tx, dag)
    await shelf.fill()
    comparison = await shelf.compare(states)
    unconflicted, conflicted = separate(states)
    conflicting = {event_id for ids in conflicted.values() for event_id in ids}

    for rows in (auth.FORWARD_ROWS, 0, 3):
        difference = await state.auth_difference(tx, comparison, rows=rows)
        found = {shelf.ids[nid] for nid in difference} | conflicting
        assert found == dag.auth_difference(states) | conflicting
    between = await auth.conflicted_subgraph(tx, {shelf.nids[event_id] for event_id in conflicting})
    assert {shelf.ids[nid] for nid in between} == conflicted_subgraph(conflicting, dag.events)
    if conflicted:
        resolved = await shelf.resolve(comparison)
        assert unconflicted | resolved == dag.resolve(*states)


@settings(deadline=None, max_examples=80, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), version=st.sampled_from(["1", "2", "10", "12"]))
def test_sqlite_resolves_like_whole_states(seed: int, version: str) -> None:
    """The auth difference, the subgraph and the resolved state are those of full states and full chains."""
    tx = SqliteTx(connect(Path(":memory:"), "off"))
    drive(migrate(tx, "sqlite"))
    drive(check(tx, seed, version))


async def test_postgres_resolves_like_whole_states(postgres: Postgres) -> None:
    """The same on PostgreSQL, for a few seeds."""
    connection = await asyncpg.connect(postgres.new_database())
    tx = PostgresTx(connection)
    await migrate(tx, "postgres")
    for seed in range(12):
        await tx.script("BEGIN")
        await check(tx, seed, "2" if seed % 2 else "12")
        await tx.script("ROLLBACK")
    await connection.close()


def test_a_fork_in_a_large_room_costs_what_differs() -> None:
    """With hundreds of members the walk reads a handful of rows of the auth graph."""
    dag = Dag(ROOM_VERSIONS["10"])
    base = dag.begin({"@b:x": 50})
    for n in range(400):
        dag.membership(base, f"@m{n}:x", f"@m{n}:x", "join")
    one, other = dict(base), dict(base)
    dag.send(one, "m.room.topic", "@a:x", {})
    dag.membership(other, "@m7:x", "@m7:x", "leave")
    asked: list[int] = []

    class Counting(SqliteTx):
        """Counts the rows that are read."""

        async def all(self, sql, /, **params):  # type: ignore[no-untyped-def]
            rows = await super().all(sql, **params)
            asked.append(len(rows))
            return rows

    tx = Counting(connect(Path(":memory:"), "off"))
    drive(migrate(tx, "sqlite"))
    shelf = Shelf(tx, dag)
    drive(shelf.fill())
    comparison = drive(shelf.compare([one, other]))
    asked.clear()

    difference = drive(state.auth_difference(tx, comparison))

    assert {shelf.ids[nid] for nid in difference} <= {
        one["m.room.topic", ""],
        other["m.room.member", "@m7:x"],
    }
    assert sum(asked) < 300
    assert len(asked) < 20
