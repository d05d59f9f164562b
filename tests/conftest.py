"""Fixtures that every kind of test shares."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from chamberlain.store.connect import open_database
from chamberlain.store.database import Database
from tests.support.clock import FakeClock
from tests.support.postgres import Postgres

# How much hypothesis tries: a quick profile for every run, a deep one for the night (`HYPOTHESIS_PROFILE=deep`).
# The first draw of a process builds tables of all characters, and the machine may be busy: time says nothing here.
_NO_TIMING = [HealthCheck.too_slow]
settings.register_profile("quick", max_examples=100, deadline=None, suppress_health_check=_NO_TIMING)
settings.register_profile("deep", max_examples=5_000, deadline=None, suppress_health_check=_NO_TIMING)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of this test process.

    Its folder is outside of pytest's own, which every run that starts closes again to the user that PostgreSQL
    runs as where tests run as root.
    """
    folder = Path(tempfile.mkdtemp(prefix="chamberlain-postgres-"))
    server = Postgres(folder)
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that moves when it is told to."""
    return FakeClock()


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/chamberlain.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
async def db(database_url: str, clock: FakeClock) -> AsyncIterator[Database]:
    """An empty, migrated database, once of each kind."""
    database = await open_database(database_url, clock.now, synchronous="off")
    yield database
    await database.close()
