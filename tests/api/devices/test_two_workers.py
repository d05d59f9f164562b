"""Keys where two workers share a database."""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest

from chamberlain.devices.key_cache import KeyCache
from chamberlain.devices.keys import Keys
from chamberlain.store import device_keys, devices, kinds
from chamberlain.store.connect import open_database
from chamberlain.store.database import Database
from tests.support.clock import FakeClock
from tests.support.postgres import Postgres

ALICE = "@alice:example.org"


@pytest.fixture
async def workers(postgres: Postgres, clock: FakeClock) -> AsyncIterator[tuple[Database, Database]]:
    """Two connections to one database that tell each other of changes."""
    url = postgres.new_database()
    opened = [await open_database(url, clock.now, shared=True) for _ in range(2)]
    yield opened[0], opened[1]
    for database in opened:
        await database.close()


async def shown(keys: Keys) -> object:
    """The devices of Alice that a worker shows."""
    return orjson.loads(await keys.query(ALICE, {ALICE: []}))["device_keys"][ALICE]


async def test_a_worker_shows_what_another_has_changed_just_now(workers: tuple[Database, Database]) -> None:
    """Nothing of before is shown, even while the news is still on its way."""
    here, there = workers
    cache = KeyCache(here, shared=True)
    here.subscribe(lambda changes: [cache.drop(c) for c in changes if c.kind == kinds.DEVICE_LIST] and None)
    keys = Keys(here, cache, "example.org", None)  # type: ignore[arg-type]
    await there.write(devices.upsert, ALICE, "A", None, 1)
    before = b'{"n":0}'
    await there.write(device_keys.put, ALICE, "A", before, None)
    for number in range(1, 20):
        after = b'{"n":%d}' % number
        await there.write(device_keys.put, ALICE, "A", after, before)
        assert await shown(keys) == {"A": {"n": number}}
        await asyncio.sleep(0)
        assert await shown(keys) == {"A": {"n": number}}
        before = after
