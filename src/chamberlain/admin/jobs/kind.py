"""What a kind of job says: which items it deals with, and how."""

from collections.abc import Sequence
from typing import Protocol

from chamberlain.store.jobs import Item, Job


class JobKind(Protocol):
    """A kind of job. Its effects must be harmless to repeat: a crash may come between an effect and its record."""

    name: str
    batch: int
    """How many items are dealt with at a time: what may be repeated after a crash, and what a cancel waits for."""

    async def plan(self, job: Job) -> Sequence[str]:
        """The items to deal with, in order. Runs again where a crash came before its end."""
        ...

    async def work(self, job: Job, items: Sequence[Item]) -> Sequence[Item]:
        """Deal with the items and give each as it then is: done, skipped or failed, with a detail.

        One that is given as claimed, or not at all, comes again with the next: it takes longer, or waits for those
        before it. An item that comes as a claimed one may have been dealt with before a crash. What this raises fails
        the job.
        """
        ...
