"""Servers that fail, and that are back, on both databases."""

from chamberlain.store import destinations, kinds
from chamberlain.store.database import Database
from chamberlain.store.destinations import Destination
from chamberlain.store.tx import Change


async def test_failures_are_kept_until_it_is_back(db: Database) -> None:
    """The last failure counts; both are told in the change stream, an answer is not."""
    told: list[Change] = []
    db.subscribe(told.extend)
    assert await db.read(destinations.find, "far.test") is None
    await db.write(destinations.note_answer, "far.test", 5)
    await db.write(destinations.put_failing, Destination("far.test", 10, 20, 10, None))
    await db.write(destinations.put_failing, Destination("far.test", 10, 50, 20, None, "refused"))

    failing = Destination("far.test", 10, 50, 20, 5, "refused")
    assert await db.read(destinations.find, "far.test") == failing
    assert await db.read(destinations.list_failing) == [failing]

    await db.write(destinations.put_back, "far.test")

    assert await db.read(destinations.list_failing) == []
    assert await db.read(destinations.find, "far.test") == Destination("far.test", None, 0, 0, 5)
    assert [(c.kind, c.entity, c.ref) for c in told] == [
        (kinds.DESTINATION, "far.test", "failing"),
        (kinds.DESTINATION, "far.test", "failing"),
        (kinds.DESTINATION, "far.test", "back"),
    ]
