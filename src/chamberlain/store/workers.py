"""The workers that use the database, and what they ask one another: whether they have heard of all up to a point."""

from collections.abc import Collection

from chamberlain.store import kinds
from chamberlain.store.tx import Read, Write


async def list_all(tx: Read) -> set[str]:
    """Give the names of the workers."""
    return {row[0] for row in await tx.all("SELECT name FROM workers")}


async def add(tx: Write, name: str) -> None:
    """There is this worker."""
    await tx.run("INSERT INTO workers (name) VALUES (:name) ON CONFLICT (name) DO NOTHING", name=name)


async def remove(tx: Write, names: Collection[str]) -> None:
    """These are no more, or do not answer."""
    await tx.run("DELETE FROM workers WHERE name = ANY(:names)", names=list(names))


async def ask(tx: Write, question: str) -> None:
    """Ask all workers to say when they have done what follows from all changes before this one."""
    tx.place(kinds.WORKERS_ASKED, question)


async def answer(tx: Write, question: str, name: str) -> None:
    """A worker says that it has; it is there, whoever thought otherwise."""
    await add(tx, name)
    tx.place(kinds.WORKER_ANSWERED, question, name)
