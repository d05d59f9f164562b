"""Two homeservers that trust one authority: chamberlain and Synapse.

Every scenario is told by client calls alone, so it can also be tried between two Synapses: with
`E2E_HERE=synapse` in the environment one that fails there is wrong itself. With `E2E_HERE=workers` chamberlain is two
workers on PostgreSQL.
"""

import itertools
import os
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from tests.support.authority import Authority
from tests.support.chamberlain import Chamberlain
from tests.support.neighbors import Neighbor, Person, Program
from tests.support.synapse import Synapse

HERE = os.environ.get("E2E_HERE", "chamberlain")
LOG_CHARACTERS = 20_000
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who vouches for both servers."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def programs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[tuple[Program, Program]]:
    """Chamberlain and Synapse, running, for all scenarios that this process tells."""
    place = tmp_path_factory.mktemp("here"), authority, "localhost"
    here: Program
    if HERE == "synapse":
        here = Synapse(*place)
    elif HERE == "workers":
        database = request.getfixturevalue("postgres").new_database()
        here = Chamberlain(*place, "--workers", "2", "--database", database)
    else:
        here = Chamberlain(*place)
    there = Synapse(tmp_path_factory.mktemp("there"), authority, "127.0.0.1")
    for program in (here, there):
        program.start()
    yield here, there
    for program in (here, there):
        program.stop()


@pytest.fixture
def logs(programs: tuple[Program, Program]) -> Iterator[None]:
    """What both servers logged meanwhile stands in the report of a test that failed."""
    before = [len(program.log()) for program in programs]
    yield
    for program, length in zip(programs, before, strict=True):
        print(f"--- {program.name}\n{program.log()[length:][-LOG_CHARACTERS:]}")


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """Connections of this test, none of which outlives its request."""
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as opened:
        yield opened


@pytest.fixture
def here(programs: tuple[Program, Program], session: aiohttp.ClientSession, logs: None) -> Neighbor:
    """Chamberlain."""
    return Neighbor(programs[0], session)


@pytest.fixture
def there(programs: tuple[Program, Program], session: aiohttp.ClientSession, logs: None) -> Neighbor:
    """Synapse."""
    return Neighbor(programs[1], session)


@pytest.fixture(params=["chamberlain-hosts", "synapse-hosts"])
def pair(request: pytest.FixtureRequest, here: Neighbor, there: Neighbor) -> tuple[Neighbor, Neighbor]:
    """The server where things begin, and the other: each scenario is told both ways."""
    return (here, there) if request.param == "chamberlain-hosts" else (there, here)


@pytest.fixture(params=["6", "10", "11", "12"])
def version(request: pytest.FixtureRequest) -> str:
    """A room version."""
    return str(request.param)


def newcomer_name(name: str) -> str:
    """A name with a number that nobody had before."""
    return f"{name}{next(_numbers)}"


async def newcomer(server: Neighbor, name: str) -> Person:
    """A fresh user, whose first sync is behind them: what they come to and leave at once is told, too."""
    user = await server.register(newcomer_name(name))
    assert isinstance(user, Person)
    await user.turn()
    return user


@pytest.fixture
async def ada(pair: tuple[Neighbor, Neighbor]) -> Person:
    """A user of the server where things begin."""
    return await newcomer(pair[0], "ada")


@pytest.fixture
async def cleo(pair: tuple[Neighbor, Neighbor]) -> Person:
    """Another user of the server where things begin."""
    return await newcomer(pair[0], "cleo")


@pytest.fixture
async def ben(pair: tuple[Neighbor, Neighbor]) -> Person:
    """A user of the other server."""
    return await newcomer(pair[1], "ben")


@pytest.fixture
async def dan(pair: tuple[Neighbor, Neighbor]) -> Person:
    """Another user of the other server."""
    return await newcomer(pair[1], "dan")
