"""Jobs and leases on both databases."""

import asyncio

import pytest

from chamberlain.store import jobs, leases
from chamberlain.store.database import Database
from chamberlain.store.jobs import Item
from chamberlain.store.leases import Lease, LeaseLost


async def started(db: Database, job_id: str = "J", subject: str = "!room") -> Lease:
    """A scheduled job and the lease on it."""
    await db.write(jobs.start, job_id, "evacuate", subject, "@root:x", {"a": 1}, 1000)
    lease = await db.write(leases.take, f"job:{job_id}", "here", 1000, 2000)
    assert lease is not None
    return lease


async def test_a_second_start_gives_the_job_under_way(db: Database) -> None:
    """Only one job of a kind runs for a subject; when it is finished another may start."""
    lease = await started(db)
    again = await db.write(jobs.start, "K", "evacuate", "!room", "@root:x", {}, 1001)
    other = await db.write(jobs.start, "L", "evacuate", "!other", "@root:x", {}, 1001)
    await db.write(jobs.finish, lease, "J", jobs.COMPLETE, None, 1002)
    later = await db.write(jobs.start, "M", "evacuate", "!room", "@root:x", {}, 1003)

    assert (again.job_id, again.arguments) == ("J", {"a": 1})
    assert other.job_id == "L"
    assert later.job_id == "M"
    assert [job.job_id for job in await db.read(jobs.list_open)] == ["L", "M"]


async def test_of_eight_starts_at_once_one_wins(db: Database) -> None:
    """Starts that race give one job to all."""
    made = await asyncio.gather(
        *(db.write(jobs.start, f"J{n}", "evacuate", "!room", "@root:x", {}, 1000) for n in range(8))
    )

    assert len({job.job_id for job in made}) == 1


async def test_items_are_claimed_settled_and_counted(db: Database) -> None:
    """Every item is dealt with once; the counts say how far the job is."""
    lease = await started(db)
    await db.write(jobs.begin, lease, "J", 1001)
    await db.write(jobs.add_items, lease, "J", 0, ["a", "b", "c"])
    await db.write(jobs.add_items, lease, "J", 0, ["a", "b", "c"])
    await db.write(jobs.end_plan, lease, "J")
    first = await db.write(jobs.claim, lease, "J", 2)
    assert first is not None
    settled = [Item(0, "a", jobs.DONE, "$event"), Item(1, "b", jobs.FAILED, "no")]
    await db.write(jobs.settle, lease, "J", settled)
    await db.write(jobs.settle, lease, "J", settled)
    job = await db.read(jobs.get, "J")

    assert [(item.item, item.state) for item in first] == [("a", "waiting"), ("b", "waiting")]
    assert (job.state, job.planned, job.total, job.done, job.failed) == ("active", True, 3, 2, 1)
    assert await db.read(jobs.list_items, "J", (jobs.DONE,), -1, 10) == [Item(0, "a", "done", "$event")]
    second = await db.write(jobs.claim, lease, "J", 2)
    assert second == [Item(2, "c", "waiting")]
    assert await db.write(jobs.claim, lease, "J", 2) == [Item(2, "c", "claimed")]


async def test_an_item_that_takes_longer_comes_again(db: Database) -> None:
    """It is not counted before its end; what it came to so far is kept."""
    lease = await started(db)
    await db.write(jobs.begin, lease, "J", 1001)
    await db.write(jobs.add_items, lease, "J", 0, ["a", "b"])
    await db.write(jobs.end_plan, lease, "J")
    await db.write(jobs.claim, lease, "J", 1)
    await db.write(jobs.settle, lease, "J", [Item(0, "a", jobs.CLAIMED, "7")])

    assert (await db.read(jobs.get, "J")).done == 0
    assert await db.write(jobs.claim, lease, "J", 1) == [Item(0, "a", "claimed", "7")]
    assert await db.read(jobs.detail_of, "J", "a") is None
    await db.write(jobs.settle, lease, "J", [Item(0, "a", jobs.DONE, "9")])
    assert (await db.read(jobs.get, "J")).done == 1
    assert await db.read(jobs.detail_of, "J", "a") == "9"
    assert await db.write(jobs.claim, lease, "J", 1) == [Item(1, "b", "waiting")]


async def test_a_worker_that_lost_its_lease_writes_nothing(db: Database) -> None:
    """What a stalled worker writes after another one took over is refused."""
    old = await started(db)
    await db.write(jobs.begin, old, "J", 1001)
    await db.write(jobs.add_items, old, "J", 0, ["a"])
    assert await db.write(leases.take, "job:J", "there", 1999, 3000) is None
    new = await db.write(leases.take, "job:J", "there", 2000, 3000)
    assert new is not None

    with pytest.raises(LeaseLost):
        await db.write(jobs.settle, old, "J", [Item(0, "a", jobs.DONE)])
    with pytest.raises(LeaseLost):
        await db.write(jobs.finish, old, "J", jobs.COMPLETE, None, 2001)
    assert not await db.write(leases.renew, old, 9000)
    assert await db.write(leases.renew, new, 9000)
    assert new.token > old.token
    await db.write(leases.release, old)
    assert await db.write(leases.take, "job:J", "here", 5000, 6000) is None
    await db.write(leases.release, new)
    assert await db.write(leases.take, "job:J", "here", 5000, 6000) is not None


async def test_who_takes_the_place_of_a_dead_worker_frees_its_leases(db: Database) -> None:
    """Those of others stay held, and what the dead one may still write is refused."""
    old = await db.write(leases.take, "a", "worker 1", 10, 20)
    assert old is not None
    await db.write(leases.take, "b", "worker 2", 10, 20)
    await db.write(leases.release_held_by, "worker 1")

    assert await db.write(leases.take, "a", "worker 1", 11, 21) is not None
    assert await db.write(leases.take, "b", "worker 1", 11, 21) is None
    with pytest.raises(LeaseLost):
        await db.write(leases.fence, old)


async def test_of_eight_takers_one_holds_the_lease(db: Database) -> None:
    """A lease has one holder."""
    taken = await asyncio.gather(*(db.write(leases.take, "l", f"w{n}", 10, 20) for n in range(8)))

    assert len([lease for lease in taken if lease is not None]) == 1


async def test_cancelling(db: Database) -> None:
    """A job that waits is cancelled at once, one that runs gets no more items, a finished one stays as it was."""
    waiting = await db.write(jobs.start, "W", "evacuate", "!w", "@root:x", {}, 1)
    lease = await started(db)
    await db.write(jobs.begin, lease, "J", 1001)
    cancelled = await db.write(jobs.cancel, waiting.job_id, 5)
    running = await db.write(jobs.cancel, "J", 5)

    assert cancelled is not None and (cancelled.state, cancelled.finished_at) == ("cancelled", 5)
    assert running is not None and (running.state, running.finished_at) == ("active", None)
    assert await db.write(jobs.claim, lease, "J", 5) is None
    await db.write(jobs.finish, lease, "J", jobs.CANCELLED, None, 6)
    again = await db.write(jobs.cancel, "J", 9)
    assert again is not None and again.finished_at == 6
    assert await db.write(jobs.cancel, "nothing", 9) is None


async def test_listing_and_forgetting(db: Database) -> None:
    """Jobs are listed newest first, page by page, and deleted with their items when they are old."""
    lease = await started(db)
    await db.write(jobs.add_items, lease, "J", 0, ["a"])
    await db.write(jobs.start, "K", "leave", "@u:x", "@root:x", {}, 2000)
    await db.write(jobs.finish, lease, "J", jobs.FAILED, "why", 3000)

    newest = await db.snapshot(jobs.list_jobs, None, None, None, None, 1)
    assert [job.job_id for job in newest] == ["K"]
    older = await db.snapshot(jobs.list_jobs, None, None, None, (2000, "K"), 5)
    assert [(job.job_id, job.error) for job in older] == [("J", "why")]
    assert [j.job_id for j in await db.snapshot(jobs.list_jobs, "leave", "@u:x", "scheduled", None, 5)] == [
        "K"
    ]
    assert await db.write(jobs.delete_finished, 3000, 10) == []
    assert await db.write(jobs.delete_finished, 3001, 10) == ["J"]
    assert await db.read(jobs.find, "J") is None
    assert await db.read(jobs.list_items, "J", ("waiting",), -1, 5) == []
