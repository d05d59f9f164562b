"""The workers of a database."""

from chamberlain.store import kinds, workers
from chamberlain.store.database import Database
from chamberlain.store.tx import Change


async def test_workers_come_and_go(db: Database) -> None:
    """Each once; whoever answers is there."""
    heard: list[Change] = []
    db.subscribe(heard.extend)
    for name in ("a", "b", "a"):
        await db.write(workers.add, name)
    assert await db.read(workers.list_all) == {"a", "b"}
    await db.write(workers.remove, ["a", "none"])
    assert await db.read(workers.list_all) == {"b"}

    await db.write(workers.ask, "question")
    await db.write(workers.answer, "question", "a")
    assert await db.read(workers.list_all) == {"a", "b"}
    assert [(one.kind, one.entity, one.ref) for one in heard] == [
        (kinds.WORKERS_ASKED, "question", None),
        (kinds.WORKER_ANSWERED, "question", "a"),
    ]
