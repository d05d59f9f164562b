"""A whole server in process for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.server import Client, Server, test_config


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """A server on SQLite."""
    running = await Server.start(test_config(tmp_path))
    yield running
    await running.stop()


@pytest.fixture
async def alice(server: Server) -> Client:
    """A user."""
    return await server.register("alice")


@pytest.fixture
async def bob(server: Server) -> Client:
    """Another user."""
    return await server.register("bob")
