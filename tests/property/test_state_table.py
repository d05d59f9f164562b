"""The branching temporal table says what a full state map for each event says, whatever a room goes through."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chamberlain.store import state
from chamberlain.store.migrate import migrate
from chamberlain.store.postgres import PostgresTx
from chamberlain.store.sqlite import SqliteTx, connect, drive
from chamberlain.store.state import read, write
from chamberlain.store.state.lines import FIRST, LAST
from chamberlain.store.tx import Write
from tests.property.state_model import ROOM, Arrival, Naive, State, Stored
from tests.support.postgres import Postgres


@contextmanager
def tuned(rnd: random.Random) -> Iterator[None]:
    """Small thresholds, so that short stories meet flattening, copies and epochs."""
    values = [
        (write, "FLATTEN", rnd.choice([1, 2, 4])),
        (write, "FLOOR", rnd.choice([4, 64])),
        (write, "EPOCH", rnd.choice([1, 4])),
        (write, "RECOUNT", rnd.choice([1, 8, 256])),
        (read, "MANY_KEYS", rnd.choice([3, 1_000])),
    ]
    kept = [(module, name, getattr(module, name)) for module, name, _ in values]
    for module, name, value in values:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in kept:
            setattr(module, name, value)


class Story:
    """A room's life made from a seed, told to both."""

    def __init__(self, tx: Write, rnd: random.Random, length: int) -> None:
        self.tx = tx
        self.rnd = rnd
        self.length = length
        self.forks = rnd.choice([0.05, 0.2, 0.5])
        self.states = rnd.choice([0.3, 0.8])
        self.purges = rnd.choice([0, 0, 0.02])
        self.keys: list[int] = []
        self.side: int | None = None
        self.oldest = 0
        self.lowest = 0

    async def begin(self) -> None:
        """Join a room by federation: its state comes whole."""
        count = self.rnd.choice([4, 15, 60])
        names = [("m.room.member" if n % 3 else "m.x", f"@{n}") for n in range(count)]
        self.names = {key: name for name, key in (await state.intern_keys(self.tx, names)).items()}
        self.keys = list(self.names)
        self.naive = Naive(self.keys[0])
        self.stored = Stored(self.tx, self.keys[0])
        await self.stored.start()
        given_state = {key: 100_000 + n for n, key in enumerate(self.keys[::2])}
        await self.persist(Arrival(nid=0, key=self.keys[1], prevs=[], given=[given_state], rejoin=True))

    async def persist(self, event: Arrival) -> None:
        """Tell an event to both."""
        self.naive.persist(deepcopy(event))
        await self.stored.persist(event)

    async def tell(self) -> None:
        """Tell all of it."""
        await self.begin()
        nid = 1
        while nid < self.length:
            nid += await self.step(nid)
            assert self.naive.extremities == self.stored.extremities
            if nid % 10 == 0:
                assert await state.full(self.tx, self.stored.current) == self.naive.current

    async def step(self, nid: int) -> int:
        """Let one thing happen, and give how many events it took."""
        rnd, naive = self.rnd, self.naive
        ids = list(naive.arrivals)
        recent = ids[-25:]
        dice = rnd.random()
        event = Arrival(nid=nid, key=self.some_key(), prevs=sorted(naive.extremities))
        event.rejected = rnd.random() < 0.04
        event.soft_failed = not event.rejected and rnd.random() < 0.05
        if dice < 0.03:
            event.prevs = rnd.sample(recent, rnd.randint(0, min(2, len(recent))))
            event.given = [self.like(rnd.choice(recent)) for _ in range(rnd.randint(1, 2))]
            event.hint = rnd.choice([None, rnd.choice(recent)])
        elif dice < 0.06 and self.oldest in naive.arrivals:
            event = Arrival(nid=nid, key=self.some_key(), prevs=[], backfilled=True)
            event.given, event.hint = [self.like(self.oldest)], self.oldest
            self.oldest = nid
        elif dice < 0.10:
            event = Arrival(nid=nid, key=self.some_key(), prevs=[rnd.choice(ids)], backfilled=True)
        elif dice < 0.105:
            event = Arrival(nid=nid, key=self.some_key(), prevs=[], rejoin=True)
            event.given = [self.perturbed(naive.current)]
        elif dice < 0.115 and 0 in naive.arrivals:
            await self.complete_join()
        elif dice < 0.115 + self.purges and nid > 20:
            await self.purge(ids)
        elif dice < 0.25:
            return await self.chain(nid)
        elif rnd.random() < self.forks:
            self.fork(event, ids, recent)
        await self.persist(event)
        return 1

    def some_key(self) -> int | None:
        """A key for a state event, or None for a message."""
        return self.rnd.choice(self.keys) if self.rnd.random() < self.states else None

    def like(self, nid: int) -> State:
        """A state like that before an event."""
        return self.perturbed(self.naive.before[nid])

    def perturbed(self, near: State) -> State:
        """A state with a few keys changed or gone."""
        changed = dict(near)
        for _ in range(self.rnd.randint(0, 6)):
            key = self.rnd.choice(self.keys)
            if self.rnd.random() < 0.4:
                changed.pop(key, None)
            else:
                changed[key] = self.rnd.choice(list(self.naive.arrivals))
        return changed

    def fork(self, event: Arrival, ids: list[int], recent: list[int]) -> None:
        """Let the event continue a long side, branch off, or merge."""
        rnd, dice = self.rnd, self.rnd.random()
        if dice < 0.4:
            event.prevs = [rnd.choice(recent) if self.side is None else self.side]
            self.side = None if rnd.random() < 0.03 else event.nid
        elif dice < 0.7:
            event.prevs = [rnd.choice(recent)]
        elif dice < 0.9:
            event.prevs = rnd.sample(recent, min(len(recent), rnd.randint(2, 4)))
        else:
            event.prevs = rnd.sample(ids, min(len(ids), 3))

    async def chain(self, nid: int) -> int:
        """Some local state events at once, the first of which merges the extremities."""
        if len(self.naive.extremities) != 1:
            await self.persist(Arrival(nid=nid, key=None, prevs=sorted(self.naive.extremities)))
            return 1
        chain: list[Arrival] = []
        for n in range(self.rnd.randint(1, 4)):
            prev = chain[-1].nid if chain else next(iter(self.naive.extremities))
            chain.append(Arrival(nid=nid + n, key=self.rnd.choice(self.keys), prevs=[prev]))
            self.naive.persist(deepcopy(chain[-1]))
        await self.stored.persist_chain(chain)
        return len(chain)

    async def complete_join(self) -> None:
        """The full state of the first join arrives late."""
        found = self.like(0)
        self.naive.restate(0, found)
        await self.stored.restate(0, found)

    async def purge(self, ids: list[int]) -> None:
        """Drop half of the events: the older ones, or any."""
        half = self.rnd.sample(ids, len(ids) // 2) if self.rnd.random() < 0.5 else ids[len(ids) // 2 :]
        kept = set(half) | self.naive.extremities
        self.lowest = self.rnd.randint(self.lowest, self.stored.position - 1)
        self.naive.purge(kept)
        await self.stored.purge(kept, self.lowest)
        if self.side not in kept:
            self.side = None

    # ---------------------------------------------------------------------------------------------- checks

    async def check(self) -> None:
        """Both say the same, and the table keeps its invariants."""
        await self.check_events()
        await self.check_positions()
        await self.check_invariants()

    async def check_events(self) -> None:
        """The state before and after each event is right, by each way of asking."""
        tx = self.tx
        for nid in self.naive.arrivals:
            expected = self.naive.before[nid]
            point = await state.before(tx, nid)
            assert point is not None
            assert await state.full(tx, point) == expected
            (view,) = await state.after(tx, [nid])
            after = {**await state.full(tx, view.point), **view.changes}
            assert after == self.naive.after[nid]
            some = self.rnd.sample(self.keys, 3)
            for key in some:
                assert await state.get(tx, point, key) == expected.get(key)
            assert await state.get_many(tx, point, some) == {k: expected[k] for k in some if k in expected}
        nid = self.rnd.choice(list(self.naive.arrivals))
        point = await state.before(tx, nid)
        assert point is not None
        named = {self.names[key]: event for key, event in self.naive.before[nid].items()}
        assert await state.full_by_name(tx, point) == named
        assert await state.members(tx, point) == {n[1]: e for n, e in named.items() if n[0] != "m.x"}
        rest = {name: event for name, event in named.items() if name[0] == "m.x"}
        assert await state.without_members(tx, point) == rest
        assert await state.of_types(tx, point, ["m.x"]) == rest
        assert await state.of_types(tx, point, ["m.x", "m.room.member"]) == named

    async def check_positions(self) -> None:
        """Differences between positions and between events are right."""
        tx, rnd = self.tx, self.rnd
        assert len(self.naive.positions) == self.stored.position
        for _ in range(30):
            a, b = (rnd.randint(self.lowest, self.stored.position - 1) for _ in "ab")
            p, q = await state.point_at(tx, ROOM, a), await state.point_at(tx, ROOM, b)
            assert p is not None
            assert q is not None
            told = await state.difference(tx, p, q)
            assert told == differences(self.naive.positions[a], self.naive.positions[b])
        ids = list(self.naive.arrivals)
        for _ in range(30):
            a, b = rnd.choice(ids), rnd.choice(ids)
            p, q = await state.before(tx, a), await state.before(tx, b)
            assert p is not None
            assert q is not None
            told = await state.difference(tx, p, q)
            assert told == differences(self.naive.before[a], self.naive.before[b])

    async def check_invariants(self) -> None:
        """Rows neither overlap nor are empty, and what the lines say of themselves is true."""
        tx = self.tx
        overlaps = await tx.value(
            "SELECT COUNT(*) FROM state_rows a JOIN state_rows b ON a.line = b.line AND a.key = b.key"
            " AND a.from_v < b.from_v AND a.to_v > b.from_v"
        )
        empty = await tx.value("SELECT COUNT(*) FROM state_rows WHERE from_v >= to_v")
        outside = await tx.value(
            "SELECT COUNT(*) FROM state_rows r JOIN state_lines l ON l.line = r.line WHERE (r.from_v > :first"
            " AND r.from_v <= l.head) OR (l.line <> :current AND r.to_v < :last AND r.to_v > l.tip)",
            first=FIRST,
            last=LAST,
            current=self.stored.current[0],
        )
        miscounted = await tx.all(
            "SELECT l.line FROM state_lines l WHERE l.line <> :current AND l.live <> (SELECT COUNT(*) FROM"
            " state_rows r WHERE r.line = l.line AND r.to_v = :last)",
            current=self.stored.current[0],
            last=LAST,
        )
        homeless = await tx.value(
            "SELECT COUNT(*) FROM state_rows WHERE line NOT IN (SELECT line FROM state_lines)"
        )
        assert (overlaps, empty, outside, miscounted, homeless) == (0, 0, 0, [], 0)


def differences(one: State, other: State) -> dict[int, tuple[int | None, int | None]]:
    """What differs between two full maps."""
    keys = one.keys() | other.keys()
    return {key: (one.get(key), other.get(key)) for key in keys if one.get(key) != other.get(key)}


async def tell(tx: Write, seed: int, lengths: list[int]) -> None:
    """Tell the story of a seed and check it."""
    rnd = random.Random(seed)
    with tuned(rnd):
        story = Story(tx, rnd, rnd.choice(lengths))
        await story.tell()
        await story.check()


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_sqlite_tells_what_full_maps_tell(seed: int) -> None:
    """Forks, long sides, merges, gaps, backfill, rejoins, refusals, late state and purges leave the right state."""
    tx = SqliteTx(connect(Path(":memory:"), "off"))
    drive(migrate(tx, "sqlite"))
    drive(tell(tx, seed, [60, 150, 300]))


async def test_postgres_tells_what_full_maps_tell(postgres: Postgres) -> None:
    """The same on PostgreSQL, for a few seeds."""
    connection = await asyncpg.connect(postgres.new_database())
    tx = PostgresTx(connection)
    await migrate(tx, "postgres")
    for seed in range(3):
        await tx.script("BEGIN")
        await tell(tx, seed, [60, 100])
        await tx.script("ROLLBACK")
    await connection.close()


@pytest.mark.parametrize(
    "before,after,due", [(0, 255, False), (255, 256, True), (250, 700, True), (256, 300, False)]
)
def test_the_current_line_is_looked_at_now_and_then(before: int, after: int, due: bool) -> None:
    """A line that grew past a multiple of 256 versions is counted anew."""
    assert state.epoch_is_due(before, after) is due
