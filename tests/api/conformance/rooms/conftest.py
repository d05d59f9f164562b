"""One server for each file, new users for each test: the behaviours are many, a start is slow."""

import itertools
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.server import Client, Server, test_config

_numbers = itertools.count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server on SQLite."""
    running = await Server.start(test_config(tmp_path_factory.mktemp("server")))
    yield running
    await running.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def alice(server: Server) -> Client:
    """A user."""
    return await server.register(f"alice{next(_numbers)}")


@pytest_asyncio.fixture(loop_scope="module")
async def bob(server: Server) -> Client:
    """Another user."""
    return await server.register(f"bob{next(_numbers)}")


@pytest_asyncio.fixture(loop_scope="module")
async def carol(server: Server) -> Client:
    """A third user."""
    return await server.register(f"carol{next(_numbers)}")
