"""Several servers in one process."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.server import Client, Server
from tests.support.wire import Wire


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    """What joins the servers of a test; they are stopped with it."""
    joined = Wire()
    yield joined
    await joined.stop()


@pytest.fixture
async def near(wire: Wire, tmp_path: Path) -> Server:
    """The server `near.test`."""
    return await wire.add("near.test", tmp_path)


@pytest.fixture
async def far(wire: Wire, tmp_path: Path) -> Server:
    """The server `far.test`."""
    return await wire.add("far.test", tmp_path)


@pytest.fixture
async def alice(near: Server) -> Client:
    """A user of `near.test`."""
    return await near.register("alice")


@pytest.fixture
async def bob(far: Server) -> Client:
    """A user of `far.test`."""
    return await far.register("bob")
