"""Integer ids, taken from the database in blocks so that workers never meet."""

from chamberlain.store.database import Database
from chamberlain.store.tx import Write

BLOCK = 1_000


async def advance(tx: Write, name: str, count: int) -> int:
    """Reserve `count` ids and give the last of them."""
    last: int = await tx.value(
        "UPDATE sequences SET value = value + :count WHERE name = :name RETURNING value",
        name=name,
        count=count,
    )
    return last


class Sequence:
    """Ids for one kind of thing. An id is given once, ever; ids that a crash lost are not reused."""

    def __init__(self, db: Database, name: str) -> None:
        self._db = db
        self._name = name
        self._next = 0
        self._end = 0

    async def take(self, count: int) -> range:
        """Give `count` ids that follow one another."""
        while self._end - self._next < count:
            size = max(BLOCK, count)
            last = await self._db.write(advance, self._name, size)
            if self._end - self._next < count:
                self._next, self._end = last - size + 1, last + 1
        first = self._next
        self._next += count
        return range(first, first + count)
