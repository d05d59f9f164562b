"""The job engine on both databases: it finishes, resumes, stops and tells why."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from chamberlain.admin.jobs.engine import LEASE_SECONDS, RETENTION_MS, Jobs
from chamberlain.matrix.errors import MatrixError, NotFound
from chamberlain.runtime.rng import Rng
from chamberlain.store.database import Database
from chamberlain.store.jobs import DONE, FAILED, SKIPPED, Item, Job
from tests.support.clock import FakeClock


class Counting:
    """Adds one for each item; `before` is called before each batch and may raise."""

    name = "count"
    batch = 2

    def __init__(
        self, items: Sequence[str], before: Callable[[Sequence[Item]], None] = lambda _: None
    ) -> None:
        self.items = items
        self.before = before
        self.seen: list[tuple[str, str]] = []

    async def plan(self, job: Job) -> Sequence[str]:
        return self.items

    async def work(self, job: Job, items: Sequence[Item]) -> Sequence[Item]:
        self.before(items)
        self.seen += [(item.item, item.state) for item in items]
        states = {"bad": FAILED, "gone": SKIPPED}
        return [Item(item.place, item.item, states.get(item.item, DONE), job.subject) for item in items]


async def run_engine(db: Database, clock: FakeClock, kind: Counting, holder: str = "one") -> Jobs:
    engine = Jobs(db, clock, Rng(), holder, [kind])
    await engine.start_background()
    return engine


async def settle(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)


async def soon(clock: FakeClock, waiting: Awaitable[Job]) -> Job:
    """What is waited for, while time passes."""
    task = asyncio.ensure_future(waiting)
    async with asyncio.timeout(60):
        while not task.done():
            await clock.advance(LEASE_SECONDS / 4)
            await asyncio.sleep(0.01)
    return await task


async def test_a_job_runs_to_its_end(db: Database, clock: FakeClock) -> None:
    """Each item is dealt with once and its result is kept; a second start while it runs is the same job."""
    kind = Counting(["a", "bad", "gone", "d", "e"])
    engine = await run_engine(db, clock, kind)
    job = await engine.start("count", "!room", "@root:x", {"why": "test"})
    again = await engine.start("count", "!room", "@root:x")
    finished = await engine.wait(job.job_id)

    assert again.job_id == job.job_id
    assert (finished.state, finished.total, finished.done, finished.failed) == ("complete", 5, 5, 1)
    assert [item for item, _ in kind.seen] == ["a", "bad", "gone", "d", "e"]
    assert [i.item for i in await engine.list_items(job.job_id, [DONE])] == ["a", "d", "e"]
    assert (await engine.list_items(job.job_id, [FAILED]))[0].detail == "!room"
    assert (await engine.start("count", "!room", "@root:x")).job_id != job.job_id
    await engine.close()


async def test_a_job_goes_on_after_a_crash(db: Database, clock: FakeClock) -> None:
    """After a crash the job goes on where it was; what may have happened already comes as claimed."""
    blocked = asyncio.Event()

    class Stuck(Counting):
        async def work(self, job: Job, items: Sequence[Item]) -> Sequence[Item]:
            if items[0].item == "c":
                blocked.set()
                await asyncio.Event().wait()
            return await super().work(job, items)

    first = Stuck(["a", "b", "c", "d", "e"])
    # Its clock stands still, so that it renews its lease as little as a killed process does.
    dying = await run_engine(db, FakeClock(), first)
    job = await dying.start("count", "!room", "@root:x")
    await blocked.wait()
    second = Counting(["not planned again"])
    engine = await run_engine(db, clock, second)
    await settle(lambda: len(clock._due) > 1)
    assert second.seen == []
    finished = await soon(clock, engine.wait(job.job_id))

    assert first.seen == [("a", "waiting"), ("b", "waiting")]
    assert second.seen == [("c", "claimed"), ("d", "claimed"), ("e", "waiting")]
    assert (finished.state, finished.done) == ("complete", 5)
    await engine.close()
    await dying.close()


async def test_a_clean_stop_hands_the_job_over_at_once(db: Database, clock: FakeClock) -> None:
    """A worker that stops lets go of its jobs; whoever waits there is told so."""
    blocked = asyncio.Event()

    class Stuck(Counting):
        async def work(self, job: Job, items: Sequence[Item]) -> Sequence[Item]:
            blocked.set()
            await asyncio.Event().wait()
            return items

    stopping = await run_engine(db, clock, Stuck(["a"]))
    job = await stopping.start("count", "!room", "@root:x")
    waiting = asyncio.create_task(stopping.wait(job.job_id))
    await blocked.wait()
    await stopping.close()
    with pytest.raises(MatrixError) as told:
        await waiting
    engine = await run_engine(db, clock, Counting(["a"]))

    assert (told.value.status, told.value.extra) == (503, {"job_id": job.job_id})
    assert (await engine.wait(job.job_id)).state == "complete"
    await engine.close()


async def test_a_job_that_breaks_says_why(db: Database, clock: FakeClock) -> None:
    """What a kind raises fails the job, with the cause; results so far stay."""

    def fail(items: Sequence[Item]) -> None:
        if items[0].item == "c":
            raise ValueError("the disk is full")

    engine = await run_engine(db, clock, Counting(["a", "b", "c"], fail))
    job = await engine.start("count", "!room", "@root:x")
    finished = await engine.wait(job.job_id)

    assert (finished.state, finished.error) == ("failed", "ValueError: the disk is full")
    assert [item.item for item in await engine.list_items(job.job_id, [DONE])] == ["a", "b"]
    await engine.close()


async def test_a_running_job_is_cancelled_after_the_items_in_hand(db: Database, clock: FakeClock) -> None:
    """Cancelling keeps what is done and leaves the rest."""
    reached = asyncio.Event()
    go_on = asyncio.Event()

    class Slow(Counting):
        async def work(self, job: Job, items: Sequence[Item]) -> Sequence[Item]:
            reached.set()
            await go_on.wait()
            return await super().work(job, items)

    engine = await run_engine(db, clock, Slow(["a", "b", "c"]))
    job = await engine.start("count", "!room", "@root:x")
    await reached.wait()
    await engine.cancel(job.job_id)
    go_on.set()
    finished = await engine.wait(job.job_id)

    assert (finished.state, finished.done, finished.total) == ("cancelled", 2, 3)
    with pytest.raises(NotFound):
        await engine.cancel("nothing")
    await engine.close()


async def test_two_workers_do_not_do_a_job_twice(db: Database, clock: FakeClock) -> None:
    """Workers share the jobs; each item is dealt with by one of them."""
    kind = Counting([str(n) for n in range(9)])
    workers = [Jobs(db, clock, Rng(), holder, [kind]) for holder in ("one", "two", "three")]
    for worker in workers:
        await worker.start_background()
    started = [await workers[0].start("count", f"!{n}", "@root:x") for n in range(8)]
    for job in started:
        assert (await workers[1].wait(job.job_id)).state == "complete"

    assert len(kind.seen) == 8 * 9
    assert {state for _, state in kind.seen} == {"waiting"}
    for worker in workers:
        await worker.close()


async def test_old_jobs_are_deleted(db: Database, clock: FakeClock) -> None:
    """A finished job is kept for a week."""
    engine = await run_engine(db, clock, Counting(["a"]))
    job = await engine.start("count", "!room", "@root:x")
    await engine.wait(job.job_id)
    await clock.advance(RETENTION_MS / 1000 - 3600)
    await asyncio.sleep(0.01)
    assert (await engine.get(job.job_id)).state == "complete"
    await clock.advance(7300)

    async with asyncio.timeout(60):
        with pytest.raises(NotFound):
            while True:
                await engine.get(job.job_id)
                await clock.advance(3600)
                await asyncio.sleep(0.01)
    await engine.close()
