"""What security hangs on holds on every worker when it is answered."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chamberlain.admin.everywhere import PATIENCE_S
from chamberlain.config.cluster import Cluster
from chamberlain.store import workers as rows
from tests.api.admin.asking import NATIVE, SYNAPSE, at
from tests.support.clock import FakeClock
from tests.support.postgres import Postgres
from tests.support.server import Client, Server, test_config, until

RULE = f"{NATIVE}/server-rules/evil.test"


@pytest.fixture
async def workers(tmp_path: Path, clock: FakeClock, postgres: Postgres) -> AsyncIterator[list[Server]]:
    """Two workers."""
    config = test_config(
        tmp_path, postgres.new_database(), server_name="near.test", cluster=Cluster(workers=2)
    )
    made = [await Server.start(config, clock=clock) for _ in range(2)]
    yield made
    for server in made:
        await server.stop()


async def names(server: Server) -> set[str]:
    """The workers that are waited for."""
    return await server.app.services.db.read(rows.list_all)


async def test_a_rule_holds_on_the_other_worker_too(workers: list[Server]) -> None:
    """It is not answered before."""
    one, two = workers
    root = await one.admin()
    gate = two.app.services.federation.remotes.gate
    assert len(await names(one)) == 2
    async with gate._loading:
        setting = asyncio.ensure_future(root.put(RULE, {"rule": "deny"}))

        async def has_heard() -> bool:
            return len(gate._tasks) > 0

        await until(has_heard)
        assert not setting.done() and gate.permits("evil.test")
    (await setting).ok()
    assert not gate.permits("evil.test")
    (await root.delete(RULE)).ok()
    assert gate.permits("evil.test")


async def test_a_token_dies_everywhere(workers: list[Server]) -> None:
    """The next request on any worker is refused."""
    one, two = workers
    root = await one.admin()
    alice = await one.register("alice")
    there = Client(two, alice.token, alice.user_id, alice.device_id)
    (await there.get("account/whoami")).ok()
    (
        await root.post(at(f"{SYNAPSE}/reset_password", alice.user_id), {"new_password": "another password"})
    ).ok()
    (await there.get("account/whoami")).error(401, "M_UNKNOWN_TOKEN")


async def test_a_worker_that_does_not_answer(workers: list[Server], clock: FakeClock) -> None:
    """It is waited for a while, and once; when it is back it is waited for again."""
    one, two = workers
    root = await one.admin()
    gate = two.app.services.federation.remotes.gate
    async with gate._loading:
        setting = asyncio.ensure_future(root.put(RULE, {"rule": "deny"}))

        async def is_answered() -> bool:
            await clock.advance(PATIENCE_S / 10)
            return setting.done()

        await until(is_answered)
        (await setting).ok()
        assert len(await names(one)) == 1
        (await root.delete(RULE)).ok()

    async def is_back() -> bool:
        return len(await names(one)) == 2

    await until(is_back)
    await two.app.services.admin.close()
    assert len(await names(one)) == 1
