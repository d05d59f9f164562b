"""From where accounts are used, and what is left of them when they end."""

from pathlib import Path
from typing import Any

import pytest

from chamberlain.accounts.last_seen import FLUSH_SECONDS, KEPT_MS
from chamberlain.store import connections
from tests.support.clock import FakeClock
from tests.support.server import Client, Server, test_config, until


async def seen(server: Server, client: Client) -> list[tuple[str, str, str, int]]:
    """Device, address, client and time of each connection."""
    found = await server.app.services.accounts.last_seen.connections_of(client.user_id)
    return [(c.device_id, c.ip, c.user_agent, c.last_seen) for c in found]


async def test_what_was_seen_is_known_at_once_and_after_a_restart(tmp_path: Path, clock: FakeClock) -> None:
    """Each device, address and client has its newest time, before it is written and after."""
    server = await Server.start(test_config(tmp_path), clock=clock)
    alice = await server.register("alice")
    await alice.request("GET", "account/whoami", headers={"User-Agent": "one"})
    await clock.advance(5)
    await alice.request("GET", "account/whoami", headers={"User-Agent": "two"})
    await alice.request("GET", "account/whoami", headers={"User-Agent": "one"})
    expected = [
        (alice.device_id, "127.0.0.1", "one", clock.now()),
        (alice.device_id, "127.0.0.1", "two", clock.now()),
    ]
    assert sorted(await seen(server, alice)) == expected
    assert await server.app.services.db.read(connections.list_of, alice.user_id, 10) == []

    await server.stop()
    again = await Server.start(test_config(tmp_path), clock=clock)
    assert sorted(await seen(again, alice)) == expected
    await again.stop()


async def test_it_is_written_every_half_a_minute_and_kept_for_a_month(
    tmp_path: Path, clock: FakeClock
) -> None:
    """What was seen reaches the database without a stop, and is forgotten when it is old."""
    server = await Server.start(test_config(tmp_path), clock=clock)
    alice = await server.register("alice")
    (await alice.get("account/whoami")).ok()
    db = server.app.services.db
    await clock.advance(FLUSH_SECONDS)

    async def is_written() -> bool:
        return bool(await db.read(connections.list_of, alice.user_id, 10))

    await until(is_written)
    await db.write(connections.forget_before, clock.now() - KEPT_MS)
    assert len(await seen(server, alice)) == 1

    await db.write(connections.forget_before, clock.now() + 1)
    assert await seen(server, alice) == []
    await server.stop()


async def left(server: Server, user: Client) -> dict[str, Any]:
    """What is left of an account."""
    accounts = server.app.services.accounts
    return {
        "profile": (await server.anonymous.get(f"profile/{user.user_id}")).status,
        "threepids": await accounts.threepids.list_of(user.user_id),
        "seen": len(await seen(server, user)),
        "erased": await accounts.users.erased_among([user.user_id]),
    }


@pytest.mark.parametrize("erase", [False, True])
async def test_the_end_of_an_account(server: Server, alice: Client, erase: bool) -> None:
    """Tokens, password, addresses and account data are gone at once, more when erased; twice is harmless."""
    accounts = server.app.services.accounts
    other = await server.login("alice")
    await accounts.threepids.add(alice.user_id, "email", "a@b.org")
    await accounts.users.set_admin(alice.user_id, True)
    (await alice.put(f"user/{alice.user_id}/account_data/x", {"a": 1})).ok()
    for _ in range(2):
        await accounts.deactivation.deactivate(alice.user_id, erase=erase)

        for client in (alice, other):
            (await client.get("account/whoami")).error(401, "M_UNKNOWN_TOKEN")
    body = {"type": "m.login.password", "user": "alice", "password": "correct horse battery"}
    (await server.anonymous.post("login", body)).error(403, "M_USER_DEACTIVATED")
    (await server.anonymous.get("register/available?username=alice")).error(400, "M_USER_IN_USE")
    with pytest.raises(Exception, match="M_NOT_FOUND"):
        await accounts.passwords.set(alice.user_id, "another password", logout=False)
    assert await left(server, alice) == {
        "profile": 404 if erase else 200,
        "threepids": [],
        "seen": 0 if erase else 1,
        "erased": {alice.user_id} if erase else set(),
    }
    user = await accounts.users.get(alice.user_id)
    assert user.is_deactivated and not user.is_admin and not await accounts.users.exists(alice.user_id)
    with pytest.raises(Exception, match="M_NOT_FOUND"):
        await accounts.account_data.get(alice.user_id, "", "x")


async def test_there_must_be_an_account_to_end(server: Server) -> None:
    """Nobody who never was can be deactivated."""
    with pytest.raises(Exception, match="M_NOT_FOUND"):
        await server.app.services.accounts.deactivation.deactivate("@nobody:example.org", erase=False)
