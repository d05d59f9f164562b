"""What was staged is worked off: in order, each room for itself, once more after a crash."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from chamberlain.federation.inbound import room_queues
from chamberlain.federation.inbound.room_queues import RoomQueues
from chamberlain.matrix.events import Draft, Event, build
from chamberlain.matrix.signing import SigningKey
from chamberlain.matrix.versions import V11
from chamberlain.runtime.clock import Clock
from chamberlain.store import entering, staged
from chamberlain.store.connect import open_database
from chamberlain.store.database import Database
from chamberlain.store.staged import ReceivedTransaction, StagedPdus
from chamberlain.store.tx import Read, Write
from tests.support.clock import FakeClock
from tests.support.postgres import Postgres
from tests.support.rows import insert
from tests.support.server import until

KEY = SigningKey(b"k" * 32, "test")


class Recorder:
    """Writes down what it is given; waits or fails where a test says so."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, list[str]]] = []
        self.holding: dict[str, asyncio.Event] = {}
        """Rooms that do not get on until the event is set."""
        self.poison: set[str] = set()
        """Bodies of events that make it fail."""

    async def accept(self, origin: str, room_id: str, events: Sequence[Event]) -> None:
        """Note the call."""
        bodies = [str(event.content["body"]) for event in events]
        self.calls.append((origin, room_id, bodies))
        if room_id in self.holding:
            await self.holding[room_id].wait()
        if self.poison.intersection(bodies):
            raise ValueError("poison")

    def bodies(self, room_id: str) -> list[str]:
        """Everything that was given for a room."""
        return [body for _, room, bodies in self.calls if room == room_id for body in bodies]


@pytest.fixture
def recorder() -> Recorder:
    """What takes the events."""
    return Recorder()


async def make_room(tx: Write, room_id: str) -> None:
    """A room, as far as queues look at it."""
    await tx.run(
        "INSERT INTO rooms (room_id, version, creator, created_at, cur_line, cur_ver, head_seq, extremities,"
        " notify_count, highlight_count, thread_notify_count)"
        " VALUES (:room_id, '11', '@a:b', 0, 0, 0, 0, '[]', 0, 0, 0)",
        room_id=room_id,
    )


_txns = iter(range(10**9))


async def stage(db: Database, room_id: str, *bodies: str, origin: str = "peer.test") -> None:
    """Stage messages of a transaction."""
    events = [
        build(
            Draft(
                room_id=room_id,
                type="m.room.message",
                sender=f"@eve:{origin}",
                content={"body": body},
                origin_server_ts=1,
            ),
            version=V11,
            prev_events=["$" + "p" * 43],
            auth_events=[],
            depth=2,
            server_name=origin,
            signing_key=KEY,
        )
        for body in bodies
    ]
    pdus = StagedPdus(room_id, [(event.event_id, event.pdu) for event in events])
    await db.write_batch(staged.receive, ReceivedTransaction(origin, f"t{next(_txns)}", b"{}", 1, [pdus]))


@pytest.fixture
async def queues(db: Database, recorder: Recorder) -> AsyncIterator[RoomQueues]:
    """The only worker, on both databases."""
    for number in range(5):
        await db.write(make_room, f"!{number}")
    made = RoomQueues(db, Clock(), recorder, "worker", shared=False)
    yield made
    await made.close()


async def held_until(tx: Read) -> int:
    """When the lease lapses that is held (ms)."""
    found: int = await tx.value("SELECT max(until) FROM leases")
    return found


async def is_done(db: Database) -> bool:
    """Whether nothing is staged."""
    return await db.read(staged.rooms_waiting) == []


async def test_events_come_in_order_and_are_gone_afterwards(
    db: Database, queues: RoomQueues, recorder: Recorder
) -> None:
    """What one server sent is handed over together, up to a batch."""
    await stage(db, "!1", "a", "b")
    await stage(db, "!1", "c")
    await stage(db, "!1", "d", origin="other.test")
    await queues.start()
    await until(lambda: is_done(db))
    await stage(db, "!1", "e")
    await until(lambda: is_done(db))

    assert recorder.calls == [
        ("peer.test", "!1", ["a", "b", "c"]),
        ("other.test", "!1", ["d"]),
        ("peer.test", "!1", ["e"]),
    ]

    async def is_idle() -> bool:
        return queues.busy == 0

    await until(is_idle)


async def test_a_slow_room_holds_up_no_other(db: Database, queues: RoomQueues, recorder: Recorder) -> None:
    """The others are worked off while one waits; what comes for it meanwhile waits its turn."""
    recorder.holding["!0"] = asyncio.Event()
    await queues.start()
    await stage(db, "!0", "slow")

    async def begun() -> bool:
        return recorder.bodies("!0") == ["slow"]

    await until(begun)
    await stage(db, "!0", "slow too")
    for number in range(1, 5):
        await stage(db, f"!{number}", "fast")

    async def others_done() -> bool:
        return all(recorder.bodies(f"!{number}") == ["fast"] for number in range(1, 5))

    await until(others_done)
    assert recorder.bodies("!0") == ["slow"]
    recorder.holding.pop("!0").set()
    await until(lambda: is_done(db))
    assert recorder.bodies("!0") == ["slow", "slow too"]


async def test_a_busy_room_gives_the_others_their_turn(
    db: Database, queues: RoomQueues, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one place for all rooms, a room with much to do comes again after those with little."""
    monkeypatch.setattr(room_queues, "ROOMS_AT_ONCE", 1)
    monkeypatch.setattr(room_queues, "BATCH", 2)
    for number in range(10):
        await stage(db, "!0", f"a{number}")
    await stage(db, "!1", "b")
    await stage(db, "!2", "c")
    await queues.start()
    await until(lambda: is_done(db))

    assert [room for _, room, _ in recorder.calls][:4] == ["!0", "!1", "!2", "!0"]
    assert recorder.bodies("!0") == [f"a{number}" for number in range(10)]


async def test_what_was_not_finished_is_done_again_by_the_next(
    db: Database, queues: RoomQueues, recorder: Recorder
) -> None:
    """A server that stops, however suddenly, goes on where rows are left."""
    recorder.holding["!0"] = asyncio.Event()
    await queues.start()
    await stage(db, "!0", "a")

    async def begun() -> bool:
        return recorder.bodies("!0") == ["a"]

    await until(begun)
    await queues.close()
    assert not await is_done(db)

    later = Recorder()
    successor = RoomQueues(db, Clock(), later, "worker", shared=False)
    await successor.start()
    await until(lambda: is_done(db))
    await successor.close()
    assert later.bodies("!0") == ["a"]


async def test_an_event_that_always_fails_is_given_up_alone(
    db: Database, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others of the batch are accepted, once it is sure that it is the event's fault."""
    monkeypatch.setattr(room_queues, "RETRY_S", 0.01)
    await db.write(make_room, "!0")
    queues = RoomQueues(db, Clock(), recorder, "worker", shared=False)
    recorder.poison.add("b")
    await stage(db, "!0", "a", "b", "c")
    await queues.start()
    await until(lambda: is_done(db))
    await queues.close()

    alone = [["a"], ["b"]] * room_queues.TRIES
    assert [bodies for _, _, bodies in recorder.calls] == [["a", "b", "c"], *alone, ["c"]]
    assert queues.given_up == 1


async def test_what_is_for_a_room_that_was_purged_is_dropped(
    db: Database, queues: RoomQueues, recorder: Recorder
) -> None:
    """There is nothing to accept it into."""
    await stage(db, "!gone", "a")
    await queues.start()
    await until(lambda: is_done(db))
    assert recorder.calls == []


class TestSeveralWorkers:
    """Workers that share a database share the rooms by leases."""

    @pytest.fixture
    async def workers(
        self, postgres: Postgres, clock: FakeClock
    ) -> AsyncIterator[list[tuple[Database, RoomQueues, Recorder]]]:
        """Two of them, not started."""
        url = postgres.new_database()
        made = []
        for name in ("one", "two"):
            opened, recorder = await open_database(url, clock.now, shared=True), Recorder()
            made.append((opened, RoomQueues(opened, clock, recorder, name, shared=True), recorder))
        await made[0][0].write(make_room, "!0")
        yield made
        for opened, queues, _ in made:
            await queues.close()
            await opened.close()

    async def test_a_room_is_worked_on_by_one(
        self, workers: list[tuple[Database, RoomQueues, Recorder]], clock: FakeClock
    ) -> None:
        """What another worker takes in for a room waits while it is worked on."""
        (one, queues, recorder), (other, others, idle) = workers
        await queues.start()
        await others.start()
        recorder.holding["!0"] = asyncio.Event()
        await stage(one, "!0", "a")

        async def begun() -> bool:
            return recorder.bodies("!0") == ["a"]

        await until(begun)
        await stage(other, "!0", "b")

        for _ in range(5):
            before = await one.read(held_until)

            async def is_renewed(before: int = before) -> bool:
                await clock.advance(0.02)
                return await one.read(held_until) > before

            await until(is_renewed)
        assert idle.calls == []
        recorder.holding.pop("!0").set()
        await until(lambda: is_done(one))

        assert recorder.bodies("!0") + idle.bodies("!0") == ["a", "b"]

    async def test_the_room_of_a_dead_worker_is_taken_over(
        self, workers: list[tuple[Database, RoomQueues, Recorder]], clock: FakeClock
    ) -> None:
        """After its lease has lapsed; if it was not dead after all, it cannot delete what it did not finish."""
        (one, queues, recorder), (_, others, successor) = workers
        await queues.start()
        recorder.holding["!0"] = asyncio.Event()
        await stage(one, "!0", "a")

        async def begun() -> bool:
            return recorder.bodies("!0") == ["a"]

        await until(begun)
        queues._leases.clear()  # It does not renew any more.
        await others.start()
        successor.holding["!0"] = asyncio.Event()

        async def taken_over() -> bool:
            await clock.advance(1)
            return successor.bodies("!0") == ["a"]

        await until(taken_over)
        recorder.holding.pop("!0").set()
        await asyncio.sleep(0.1)
        assert not await is_done(one)
        successor.holding.pop("!0").set()
        await until(lambda: is_done(one))


async def test_events_of_a_room_wait_until_a_user_has_come_into_it(
    db: Database, queues: RoomQueues, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They came while the other server had the join and this one not yet the room. Not forever, though."""
    monkeypatch.setattr(room_queues, "ENTERING_RETRY_S", 0.01)
    now = Clock().now()
    await db.write(entering.begin, "!new", "11", now + 60_000)
    await db.write(entering.begin, "!never", "11", now - 1)
    await queues.start()
    await stage(db, "!new", "a")
    await stage(db, "!never", "b")
    await stage(db, "!1", "c")

    async def others_are_done() -> bool:
        return await db.read(staged.rooms_waiting) == ["!new"]

    await until(others_are_done)
    assert recorder.calls == [("peer.test", "!1", ["c"])]

    await db.write(make_room, "!new")
    await db.write(entering.end, "!new", now + 60_000)
    await until(lambda: is_done(db))
    assert recorder.bodies("!new") == ["a"]


async def test_events_of_a_room_outside_of_which_one_waits_are_looked_at(
    db: Database, queues: RoomQueues, recorder: Recorder
) -> None:
    """One of them may take an invitation back."""
    await db.write(insert, "outside_memberships", room_id="!out", user_id="@a:b", version="11")
    await queues.start()
    await stage(db, "!out", "a")
    await until(lambda: is_done(db))
    assert recorder.bodies("!out") == ["a"]
