"""An administrator for every test of administration."""

import pytest

from tests.support.server import Client, Server


@pytest.fixture
async def root(server: Server) -> Client:
    """An administrator, who is not the only one."""
    return await server.admin()
