"""Operations on jobs: list, look at, cancel."""

from typing import Literal

import msgspec

from chamberlain.admin.operation import OperationContext, Plan, Route, Scope, operation
from chamberlain.admin.operations.paging import SliceSize
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import InvalidParam
from chamberlain.store import jobs
from chamberlain.store.jobs import Item, Job


class ListJobs(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs, the newest first, behind the job `after`."""

    kind: str | None = None
    subject: str | None = None
    """The user or room that the job is about."""
    state: Literal["scheduled", "active", "complete", "failed", "cancelled"] | None = None
    after: str | None = None
    limit: SliceSize = 100


class JobList(msgspec.Struct, frozen=True):
    """A page of jobs."""

    jobs: list[Job]


@operation("jobs.list", Scope.JOBS_READ, route=Route("GET", "/jobs"))
async def list_jobs(ctx: OperationContext, request: ListJobs) -> JobList:
    """List the jobs of the last week."""
    before = None
    if request.after is not None:
        last = await ctx.parts.db.read(jobs.find, request.after)
        if last is None:
            raise InvalidParam("`after` names no job")
        before = (last.created_at, last.job_id)
    found = await ctx.parts.db.snapshot(
        jobs.list_jobs, request.kind, request.subject, request.state, before, request.limit
    )
    return JobList(found)


class GetJob(msgspec.Struct, frozen=True, kw_only=True):
    """Which job, and which of its items: those behind the place `after`, with `item_state` only those in it."""

    job_id: str
    item_state: Literal["waiting", "claimed", "done", "failed", "skipped"] | None = None
    after: int = -1
    limit: SliceSize = 100


class JobDetails(msgspec.Struct, frozen=True):
    """A job and a page of its items."""

    job: Job
    items: list[Item]


@operation("jobs.get", Scope.JOBS_READ, route=Route("GET", "/jobs/{job_id}"), errors=(ErrCode.NOT_FOUND,))
async def get_job(ctx: OperationContext, request: GetJob) -> JobDetails:
    """Look at a job: how far it is, and what came of its items."""
    job = await ctx.parts.jobs.get(request.job_id)
    every = (jobs.WAITING, jobs.CLAIMED, jobs.DONE, jobs.FAILED, jobs.SKIPPED)
    states = every if request.item_state is None else (request.item_state,)
    items = await ctx.parts.db.snapshot(jobs.list_items, request.job_id, states, request.after, request.limit)
    return JobDetails(job, items)


class CancelJob(msgspec.Struct, frozen=True):
    """Which job."""

    job_id: str


class JobCancelled(msgspec.Struct, frozen=True):
    """The job; one that runs ends with the items in hand."""

    job: Job


async def plan_cancel(ctx: OperationContext, request: CancelJob) -> Plan:
    """Refuses what the operation would refuse."""
    job = await ctx.parts.jobs.get(request.job_id)
    return Plan(note=f"The job is {job.state}: {job.done} of {job.total} items are dealt with and stay so.")


@operation(
    "jobs.cancel",
    Scope.JOBS_WRITE,
    plan=plan_cancel,
    target="job_id",
    route=Route("POST", "/jobs/{job_id}/cancel"),
    errors=(ErrCode.NOT_FOUND,),
)
async def cancel_job(ctx: OperationContext, request: CancelJob) -> JobCancelled:
    """Cancel a job. What it has done stays; a finished job stays as it is."""
    return JobCancelled(await ctx.parts.jobs.cancel(request.job_id))
