"""How workers on one PostgreSQL tell one another what is in no database."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest

from chamberlain.runtime.bus import Carrier, NotSent
from chamberlain.store.connect import open_database
from chamberlain.store.database import Database
from tests.support.clock import FakeClock
from tests.support.postgres import Postgres
from tests.support.server import until


class Ear:
    """What came to a worker."""

    def __init__(self, carrier: Carrier) -> None:
        self.texts: list[str] = []
        self.breaks = 0
        carrier.subscribe(self.texts.append, self._reopened)

    def _reopened(self) -> None:
        self.breaks += 1


@pytest.fixture
def url(postgres: Postgres) -> str:
    """The URL of a database that workers share."""
    return postgres.new_database()


@pytest.fixture
async def workers(url: str, clock: FakeClock) -> AsyncIterator[list[Database]]:
    """Three of them."""
    opened = [await open_database(url, clock.now, shared=True) for _ in range(3)]
    yield opened
    for database in opened:
        await database.close()


def carrier_of(database: Database) -> Carrier:
    """What carries, where there are several workers."""
    assert database.carrier is not None
    return database.carrier


async def test_all_hear_all_in_one_order(workers: list[Database]) -> None:
    """The sender too, whatever is written meanwhile."""
    carriers = [carrier_of(worker) for worker in workers]
    ears = [Ear(carrier) for carrier in carriers]

    async def talk(number: int) -> None:
        for word in range(30):
            await carriers[number].send(f"{number} {word} " + "x" * (carriers[number].max_bytes - 20))

    await asyncio.gather(*(talk(number) for number in range(3)))

    async def have_all() -> bool:
        return all(len(ear.texts) == 90 for ear in ears)

    await until(have_all, seconds=60)
    assert ears[0].texts == ears[1].texts == ears[2].texts
    own = [text.split()[1] for text in ears[0].texts if text.startswith("1 ")]
    assert own == [f"{number}" for number in range(30)]


async def test_a_lost_connection_is_opened_again(
    workers: list[Database], postgres: Postgres, url: str
) -> None:
    """Nothing comes meanwhile, and whoever listens is told that something may be missing."""
    carriers = [carrier_of(worker) for worker in workers]
    ears = [Ear(carrier) for carrier in carriers]
    postgres.cut_connections(url)
    numbers = itertools.count()

    async def all_hear_again() -> bool:
        await asyncio.sleep(0.05)
        try:
            await carriers[0].send(f"{next(numbers)}")
        except NotSent:
            return False
        return all(ear.breaks and ear.texts for ear in ears)

    await until(all_hear_again, seconds=60)


async def test_one_worker_has_nobody_to_tell(db: Database) -> None:
    """Nothing is carried where there are no others."""
    assert db.carrier is None
