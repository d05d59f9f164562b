"""Jobs: what takes long, item by item, so that it can be watched, cancelled and resumed after a crash."""

from collections.abc import Sequence
from typing import Final

import msgspec
import orjson

from chamberlain.matrix.types import JsonObject
from chamberlain.store import kinds
from chamberlain.store.leases import Lease, fence
from chamberlain.store.tx import Read, Row, Write

COMPLETE: Final = "complete"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"

WAITING: Final = "waiting"
CLAIMED: Final = "claimed"
DONE: Final = "done"
SKIPPED: Final = "skipped"


class Job(msgspec.Struct, frozen=True):
    """A job as it stands; `state` is `scheduled`, `active`, COMPLETE, FAILED or CANCELLED.

    Times are ms since the epoch; `error` says why it failed as a whole.
    """

    job_id: str
    kind: str
    subject: str
    requester: str
    arguments: JsonObject
    state: str
    planned: bool
    cancelling: bool
    total: int
    done: int
    failed: int
    error: str | None
    created_at: int
    started_at: int | None
    finished_at: int | None

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.finished_at is not None


class Item(msgspec.Struct, frozen=True):
    """One thing that a job deals with. A claimed one may have been dealt with just before a crash."""

    place: int
    item: str
    state: str
    detail: str | None = None


_SELECT: Final = (
    "SELECT job_id, kind, subject, requester, arguments, state, planned, cancelling, total, done, failed,"
    " error, created_at, started_at, finished_at FROM jobs"
)


def _job(row: Row) -> Job:
    arguments: JsonObject = orjson.loads(row[4])
    planned, cancelling = bool(row[6]), bool(row[7])
    return Job(row[0], row[1], row[2], row[3], arguments, row[5], planned, cancelling, *row[8:15])


async def start(
    tx: Write, job_id: str, kind: str, subject: str, requester: str, arguments: JsonObject, now: int
) -> Job:
    """Schedule a job; where one of this kind is under way for the subject already, give that one."""
    made = await tx.value(
        "INSERT INTO jobs (job_id, kind, subject, requester, arguments, state, planned, cancelling, total,"
        " done, failed, created_at) VALUES (:job_id, :kind, :subject, :requester, :arguments, 'scheduled',"
        " :no, :no, 0, 0, 0, :now)"
        " ON CONFLICT (kind, subject) WHERE finished_at IS NULL DO NOTHING RETURNING job_id",
        job_id=job_id,
        kind=kind,
        subject=subject,
        requester=requester,
        arguments=orjson.dumps(arguments),
        no=False,
        now=now,
    )
    if made is not None:
        tx.place(kinds.JOB, requester, job_id)
        return await get(tx, job_id)
    row = await tx.one(
        _SELECT + " WHERE kind = :kind AND subject = :subject AND finished_at IS NULL FOR UPDATE",
        kind=kind,
        subject=subject,
    )
    if row is None:  # it finished between the two statements
        return await start(tx, job_id, kind, subject, requester, arguments, now)
    return _job(row)


async def find(tx: Read, job_id: str) -> Job | None:
    """Give a job, or None."""
    row = await tx.one(
        _SELECT + " WHERE job_id = :job_id",
        job_id=job_id,
    )
    return None if row is None else _job(row)


async def get(tx: Read, job_id: str) -> Job:
    """Give a job; raises KeyError."""
    found = await find(tx, job_id)
    if found is None:
        raise KeyError(job_id)
    return found


async def list_jobs(
    tx: Read,
    kind: str | None,
    subject: str | None,
    state: str | None,
    before: tuple[int, str] | None,
    limit: int,
) -> list[Job]:
    """Give at most `limit` jobs, the newest first, from behind the (created_at, job_id) of the last seen."""
    rows = await tx.all(
        _SELECT + " WHERE (CAST(:kind AS TEXT) IS NULL OR kind = :kind)"
        " AND (CAST(:subject AS TEXT) IS NULL OR subject = :subject)"
        " AND (CAST(:state AS TEXT) IS NULL OR state = :state)"
        " AND (created_at, job_id) < (CAST(:at AS BIGINT), CAST(:job_id AS TEXT))"
        " ORDER BY created_at DESC, job_id DESC LIMIT :limit",
        kind=kind,
        subject=subject,
        state=state,
        at=before[0] if before else 2**62,
        job_id=before[1] if before else "",
        limit=limit,
    )
    return [_job(row) for row in rows]


async def list_open(tx: Read) -> list[Job]:
    """Give every job that is not finished, the oldest first."""
    rows = await tx.all(_SELECT + " WHERE finished_at IS NULL ORDER BY created_at, job_id")
    return [_job(row) for row in rows]


async def list_items(tx: Read, job_id: str, states: Sequence[str], after: int, limit: int) -> list[Item]:
    """Give at most `limit` items in these states, in order, from behind the place `after`."""
    rows = await tx.all(
        "SELECT place, item, state, detail FROM job_items WHERE job_id = :job_id AND place > :after"
        " AND state = ANY(:states) ORDER BY place LIMIT :limit",
        job_id=job_id,
        states=list(states),
        after=after,
        limit=limit,
    )
    return [Item(*row) for row in rows]


async def detail_of(tx: Read, job_id: str, item: str) -> str | None:
    """Give the detail of the first item of a job that has this text and is done, or None."""
    detail: str | None = await tx.value(
        "SELECT detail FROM job_items WHERE job_id = :job_id AND item = :item AND state = 'done'"
        " ORDER BY place LIMIT 1",
        job_id=job_id,
        item=item,
    )
    return detail


async def begin(tx: Write, lease: Lease, job_id: str, now: int) -> Job:
    """Make the job active, or leave it as it is where it is so already; give it."""
    await fence(tx, lease)
    await tx.run(
        "UPDATE jobs SET state = 'active', started_at = COALESCE(started_at, :now)"
        " WHERE job_id = :job_id AND finished_at IS NULL",
        job_id=job_id,
        now=now,
    )
    job = await get(tx, job_id)
    tx.place(kinds.JOB, job.requester, job_id)
    return job


async def add_items(tx: Write, lease: Lease, job_id: str, first: int, items: Sequence[str]) -> None:
    """Write items to be dealt with at the places from `first` on; those that are there already stay."""
    await fence(tx, lease)
    await tx.many(
        "INSERT INTO job_items (job_id, place, item, state) VALUES (:job_id, :place, :item, 'waiting')"
        " ON CONFLICT (job_id, place) DO NOTHING",
        [{"job_id": job_id, "place": place, "item": item} for place, item in enumerate(items, first)],
    )


async def clear_plan(tx: Write, lease: Lease, job_id: str) -> None:
    """Forget the items that were written before a crash ended the planning."""
    await fence(tx, lease)
    await tx.run("DELETE FROM job_items WHERE job_id = :job_id", job_id=job_id)


async def end_plan(tx: Write, lease: Lease, job_id: str) -> None:
    """Make the items that are written all there are."""
    await fence(tx, lease)
    await tx.run(
        "UPDATE jobs SET planned = :yes,"
        " total = (SELECT count(*) FROM job_items WHERE job_items.job_id = jobs.job_id)"
        " WHERE job_id = :job_id",
        yes=True,
        job_id=job_id,
    )
    job = await get(tx, job_id)
    tx.place(kinds.JOB, job.requester, job_id)


async def claim(tx: Write, lease: Lease, job_id: str, limit: int) -> list[Item] | None:
    """Claim the next items and give them in the state they had; None where the job is to be cancelled.

    Items that were claimed before a crash come again, as claimed ones.
    """
    await fence(tx, lease)
    if (await get(tx, job_id)).cancelling:
        return None
    found = await list_items(tx, job_id, (WAITING, CLAIMED), -1, limit)
    await tx.run(
        "UPDATE job_items SET state = 'claimed' WHERE job_id = :job_id AND place = ANY(:places)",
        job_id=job_id,
        places=[item.place for item in found],
    )
    return found


async def settle(tx: Write, lease: Lease, job_id: str, items: Sequence[Item]) -> None:
    """Write what became of claimed items; one that is still claimed is not at its end, and comes again."""
    await fence(tx, lease)
    settled = 0
    failed = 0
    for item in items:
        changed = await tx.run(
            "UPDATE job_items SET state = :state, detail = :detail"
            " WHERE job_id = :job_id AND place = :place AND state = 'claimed'",
            job_id=job_id,
            place=item.place,
            state=item.state,
            detail=item.detail,
        )
        settled += changed if item.state != CLAIMED else 0
        failed += changed if item.state == FAILED else 0
    await tx.run(
        "UPDATE jobs SET done = done + :settled, failed = failed + :failed WHERE job_id = :job_id",
        job_id=job_id,
        settled=settled,
        failed=failed,
    )
    job = await get(tx, job_id)
    tx.place(kinds.JOB, job.requester, job_id)


async def finish(tx: Write, lease: Lease, job_id: str, state: str, error: str | None, now: int) -> None:
    """End the job in this state; `error` says why it failed."""
    await fence(tx, lease)
    await tx.run(
        "UPDATE jobs SET state = :state, error = CAST(:error AS TEXT), finished_at = :now"
        " WHERE job_id = :job_id AND finished_at IS NULL",
        job_id=job_id,
        state=state,
        error=error,
        now=now,
    )
    job = await get(tx, job_id)
    tx.place(kinds.JOB, job.requester, job_id)


async def cancel(tx: Write, job_id: str, now: int) -> Job | None:
    """Cancel a job: one that waits at once, one that runs after the items in hand. None where there is none.

    A finished job stays as it is.
    """
    await tx.run(
        "UPDATE jobs SET cancelling = :yes,"
        " finished_at = CASE WHEN state = 'scheduled' THEN CAST(:now AS BIGINT) END,"
        " state = CASE WHEN state = 'scheduled' THEN 'cancelled' ELSE state END"
        " WHERE job_id = :job_id AND finished_at IS NULL",
        job_id=job_id,
        yes=True,
        now=now,
    )
    job = await find(tx, job_id)
    if job is not None:
        tx.place(kinds.JOB, job.requester, job_id)
    return job


async def delete_finished(tx: Write, before: int, limit: int) -> list[str]:
    """Delete at most `limit` jobs that finished before `before` (ms) and give their ids."""
    rows = await tx.all(
        "SELECT job_id FROM jobs WHERE finished_at < :before ORDER BY finished_at LIMIT :limit",
        before=before,
        limit=limit,
    )
    ids = [row[0] for row in rows]
    await tx.run("DELETE FROM job_items WHERE job_id = ANY(:ids)", ids=ids)
    await tx.run("DELETE FROM jobs WHERE job_id = ANY(:ids)", ids=ids)
    return ids
