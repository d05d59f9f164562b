"""The job engine: runs durable jobs on whichever worker holds their lease, and lets others wait for them."""

import asyncio
from collections.abc import Iterable, Sequence

from chamberlain.admin.jobs.kind import JobKind
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MatrixError, NotFound
from chamberlain.matrix.types import JsonObject
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.log import get_logger
from chamberlain.runtime.rng import Rng
from chamberlain.runtime.tasks import Tasks
from chamberlain.store import jobs, kinds, leases
from chamberlain.store.database import Database
from chamberlain.store.jobs import Item, Job
from chamberlain.store.leases import Lease, LeaseLost
from chamberlain.store.tx import Change

AT_ONCE = 5
"""How many jobs one worker runs at a time."""
LEASE_SECONDS = 20.0
"""How long a job stands still after its worker died."""
RETENTION_MS = 7 * 24 * 3600 * 1000
"""How long a finished job is kept."""
SWEEP_SECONDS = 3600.0
"""How often old jobs are looked for."""
CHUNK = 1000
"""Rows written in one transaction."""

_log = get_logger("jobs")


class Jobs:
    """The jobs of this server. Any worker may start, watch and cancel any of them."""

    def __init__(
        self, db: Database, clock: Clock, rng: Rng, holder: str, kinds_of_jobs: Iterable[JobKind]
    ) -> None:
        self._db = db
        self._clock = clock
        self._rng = rng
        self._kinds = {kind.name: kind for kind in kinds_of_jobs}
        self._holder = holder
        self._tasks = Tasks()
        self._running: set[str] = set()
        self._wake = asyncio.Event()
        self._waiters: dict[str, set[asyncio.Event]] = {}
        self._closing = False
        db.subscribe(self._hear)

    @property
    def running(self) -> int:
        """How many jobs run here."""
        return len(self._running)

    async def start_background(self) -> None:
        """Go on with the jobs that wait or that a dead worker has left."""
        self._tasks.spawn("run jobs", self._run_forever())
        self._tasks.spawn("delete old jobs", self._sweep_forever())

    async def close(self) -> None:
        """Stop working; what is unfinished goes on after the next start, or on another worker."""
        self._closing = True
        for events in self._waiters.values():
            for event in events:
                event.set()
        await self._tasks.close()

    async def start(
        self, kind: str, subject: str, requester: str, arguments: JsonObject | None = None
    ) -> Job:
        """Schedule a job; where one of this kind is under way for the subject already, give that one."""
        assert kind in self._kinds
        return await self._db.write(
            jobs.start, self._rng.id(16), kind, subject, requester, arguments or {}, self._clock.now()
        )

    async def get(self, job_id: str) -> Job:
        """The job; raises NotFound."""
        job = await self._db.read(jobs.find, job_id)
        if job is None:
            raise NotFound("There is no such job")
        return job

    async def find_open(self, kind: str, subject: str) -> Job | None:
        """The job of this kind that is under way for the subject, or None."""
        found = await self._db.read(jobs.list_jobs, kind, subject, None, None, 1)
        return found[0] if found and not found[0].is_finished else None

    async def cancel(self, job_id: str) -> Job:
        """Cancel a job, which stops after the items in hand; a finished one stays as it is. Raises NotFound."""
        job = await self._db.write(jobs.cancel, job_id, self._clock.now())
        if job is None:
            raise NotFound("There is no such job")
        return job

    async def list_items(self, job_id: str, states: Sequence[str]) -> list[Item]:
        """Every item of a job in one of these states, in order."""
        return await self._db.snapshot(jobs.list_items, job_id, states, -1, 2**31)

    async def wait(self, job_id: str) -> Job:
        """The job when it is finished.

        Raises:
            NotFound: there is no such job.
            MatrixError: M_UNKNOWN (503) when the server stops first.
        """
        moved = asyncio.Event()
        self._waiters.setdefault(job_id, set()).add(moved)
        try:
            while True:
                moved.clear()
                job = await self.get(job_id)
                if job.is_finished:
                    return job
                if self._closing:
                    raise MatrixError(
                        ErrCode.UNKNOWN,
                        "The server stops; the job goes on when it runs again",
                        status=503,
                        job_id=job_id,
                    )
                await moved.wait()
        finally:
            self._waiters[job_id].discard(moved)
            if not self._waiters[job_id]:
                del self._waiters[job_id]

    def _hear(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.kind == kinds.JOB and change.ref is not None:
                for event in self._waiters.get(change.ref, ()):
                    event.set()
                if change.ref not in self._running:
                    self._wake.set()

    async def _run_forever(self) -> None:
        while True:
            self._wake.clear()
            waiting = await self._take_some()
            # A job that another worker holds is looked at again, since that worker may die without a word.
            timer = self._clock.call_later(LEASE_SECONDS / 2, self._wake.set) if waiting else None
            await self._wake.wait()
            if timer is not None:
                timer.cancel()

    async def _take_some(self) -> bool:
        """Run what this worker may run; whether there are open jobs that it does not run."""
        others = [job for job in await self._db.read(jobs.list_open) if job.job_id not in self._running]
        for job in others:
            if len(self._running) >= AT_ONCE:
                break
            now = self._clock.now()
            lease = await self._db.write(
                leases.take, f"job:{job.job_id}", self._holder, now, now + _ms(LEASE_SECONDS)
            )
            if lease is not None:
                self._running.add(job.job_id)
                self._tasks.spawn(f"job {job.kind}", self._run(job.job_id, lease))
        return bool(others)

    async def _run(self, job_id: str, lease: Lease) -> None:
        """Run the job to its end, or to the end of this worker, or of its lease."""
        renewing = self._tasks.spawn("renew a job's lease", self._renew(lease))
        try:
            await self._work(job_id, lease)
        except LeaseLost:
            _log.warning("another worker has taken over a job", job=job_id)
        except Exception as error:
            _log.exception("a job failed", job=job_id)
            await self._finish(job_id, lease, jobs.FAILED, _cause_of(error))
        finally:
            renewing.cancel()
            await self._db.write(leases.release, lease)
            self._running.discard(job_id)
            self._wake.set()

    async def _work(self, job_id: str, lease: Lease) -> None:
        job = await self._db.write(jobs.begin, lease, job_id, self._clock.now())
        kind = self._kinds.get(job.kind)
        if kind is None:
            await self._finish(job_id, lease, jobs.FAILED, f"This server has no jobs of the kind {job.kind}")
            return
        if job.is_finished:
            return
        if not job.planned:
            await self._plan(kind, job, lease)
        while True:
            items = await self._db.write(jobs.claim, lease, job_id, kind.batch)
            if items is None:
                await self._finish(job_id, lease, jobs.CANCELLED, None)
                return
            if not items:
                await self._finish(job_id, lease, jobs.COMPLETE, None)
                return
            settled = await kind.work(job, items)
            await self._db.write(jobs.settle, lease, job_id, settled)

    async def _plan(self, kind: JobKind, job: Job, lease: Lease) -> None:
        await self._db.write(jobs.clear_plan, lease, job.job_id)
        items = await kind.plan(job)
        for first in range(0, len(items), CHUNK):
            await self._db.write(jobs.add_items, lease, job.job_id, first, items[first : first + CHUNK])
        await self._db.write(jobs.end_plan, lease, job.job_id)

    async def _finish(self, job_id: str, lease: Lease, state: str, error: str | None) -> None:
        await self._db.write(jobs.finish, lease, job_id, state, error, self._clock.now())

    async def _renew(self, lease: Lease) -> None:
        held = True
        while held:
            await self._clock.sleep(LEASE_SECONDS / 4)
            held = await self._db.write(leases.renew, lease, self._clock.now() + _ms(LEASE_SECONDS))

    async def _sweep_forever(self) -> None:
        while True:
            deleted = await self._db.write(jobs.delete_finished, self._clock.now() - RETENTION_MS, 10)
            await self._db.write(leases.forget, [f"job:{job_id}" for job_id in deleted])
            if not deleted:
                await self._clock.sleep(SWEEP_SECONDS)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _cause_of(error: Exception) -> str:
    if isinstance(error, MatrixError):
        return error.message
    return f"{type(error).__name__}: {error}"
