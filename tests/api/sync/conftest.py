"""What the tests of /sync share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tests.support.server import Client, Server, test_config


@pytest.fixture
async def server(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Server]:
    """A server on SQLite whose clock the tests move."""
    running = await Server.start(test_config(tmp_path), clock=clock)
    yield running
    await running.stop()


@pytest.fixture
async def carol(server: Server) -> Client:
    """A third user."""
    return await server.register("carol")
