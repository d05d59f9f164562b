"""Rate limits, guessing and flooding: what an attacker at the login page gets (client-server API, Rate limiting)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chamberlain.accounts import passwords
from chamberlain.config.passwords import Passwords
from chamberlain.config.rate_limits import Rate, RateLimits
from tests.api.conformance.table import PASSWORD, found
from tests.support.asgi import call
from tests.support.clock import FakeClock
from tests.support.server import Client, Server, path, test_config

SLOW = Rate(per_second=0.5, burst=3)
FAST = Rate(per_second=1000, burst=1000)


@pytest.fixture
async def limited(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Server]:
    """A server with narrow limits, whose clock stands still until it is moved."""
    limits = RateLimits(enabled=True, login=SLOW, send=SLOW, heavy=SLOW, read=FAST, write=FAST)
    server = await Server.start(test_config(tmp_path, rate_limits=limits), clock=clock)
    yield server
    await server.stop()


def _login(user: str, password: str = "wrong") -> dict[str, Any]:
    return {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": user},
        "password": password,
    }


async def test_who_asks_too_often_waits_and_comes_back(limited: Server, clock: FakeClock) -> None:
    """429 with `Retry-After` and `retry_after_ms`; refusals cost nothing more; after that time all is well again."""
    alice = await limited.register("alice")
    await clock.advance(60)
    room_id = await alice.create_room()
    send = path("rooms", room_id, "send", "m.room.message")
    for number in range(3):
        (await alice.put(f"{send}/{number}", {"body": "x"})).ok()
    for _ in range(5):
        refused = await alice.put(f"{send}/late", {"body": "x"})
        wait = refused.error(429, "M_LIMIT_EXCEEDED")["retry_after_ms"]
        assert 0 < wait <= 2000 and int(refused.headers["retry-after"]) == -(-wait // 1000)
        assert refused.headers["access-control-allow-origin"] == "*"
        assert "Retry-After" in refused.headers["access-control-expose-headers"]
    assert (await alice.get("account/whoami")).status == 200
    await clock.advance(wait / 1000)
    (await alice.put(f"{send}/late", {"body": "x"})).ok()
    (await alice.put(f"{send}/later", {"body": "x"})).error(429, "M_LIMIT_EXCEEDED")


async def test_guessing_is_slow_from_one_address_and_for_one_account(
    limited: Server, clock: FakeClock
) -> None:
    """An address that guesses waits, whatever names it tries; so does an account that many addresses guess at."""
    alice = await limited.register("alice")
    await clock.advance(60)

    async def attempt(user: str, address: str, password: str = "wrong") -> tuple[int, str | None]:
        target = "/_matrix/client/v3/login"
        return found(
            await call(limited.app.asgi, "POST", target, {}, _login(user, password), client=(address, 1))
        )

    assert [(await attempt(f"user{n}", "192.0.2.1"))[0] for n in range(4)] == [403, 403, 403, 429]
    assert [(await attempt("@alice:example.org", f"192.0.2.{n}"))[0] for n in range(10, 14)] == [
        403,
        403,
        403,
        429,
    ]
    assert (await attempt("bob", "192.0.2.99"))[0] == 403
    assert (await attempt("ALICE", "192.0.2.77"))[0] == 429
    assert (await alice.get("account/whoami")).status == 200
    await clock.advance(60)
    assert await attempt("alice", "192.0.2.1", PASSWORD) == (200, None)


async def test_registering_and_nonces_are_limited_too(limited: Server) -> None:
    """By address, for whoever has no token yet."""
    for target in ("/_synapse/admin/v1/register", "register/available?username=x"):
        statuses = []
        for _ in range(8):
            statuses.append((await limited.anonymous.get(target)).status)
        assert 429 in statuses, target


async def test_a_wrong_proof_is_a_guess_too(limited: Server, clock: FakeClock) -> None:
    """Whoever has a token cannot guess the password by the endpoints that ask for it again."""
    alice = await limited.register("alice")
    for method, target, body in (
        ("POST", "account/password", {"new_password": "long enough"}),
        ("POST", "account/deactivate", {}),
        ("DELETE", path("devices", alice.device_id), {}),
        ("POST", "delete_devices", {"devices": []}),
        ("POST", "/_matrix/client/v1/login/get_token", {}),
    ):
        await clock.advance(600)
        auth = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": "alice"},
            "password": "guess",
        }
        statuses = [(await alice.request(method, target, body | {"auth": auth})).status for _ in range(8)]
        assert statuses[0] == 401 and 429 in statuses, (target, statuses)


async def test_unknown_users_take_as_long_as_known_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed login costs one look at a hash, whether the account is there, deactivated, or of another server."""
    server = await Server.start(test_config(tmp_path, passwords=Passwords(hash_cost="default")))
    await server.register("alice")
    costs: list[list[str]] = []
    verify = passwords._verify

    def noting(password: str, password_hash: str) -> bool:
        costs[-1].append(password_hash.rsplit("$", 2)[0])
        return verify(password, password_hash)

    monkeypatch.setattr(passwords, "_verify", noting)
    for user in ("alice", "nobody", "@alice:elsewhere.org", "not a user id", "admin"):
        costs.append([])
        (await server.anonymous.post("login", _login(user))).error(403, "M_FORBIDDEN")
    assert costs == [costs[0]] * 5
    assert len(costs[0]) == 1
    await server.stop()


async def test_odd_headers_do_no_harm(server: Server, alice: Client) -> None:
    """User agents and addresses of any bytes and length are kept short and shown as text; nothing is a 500."""
    root = await server.admin()
    for header in (
        "User-Agent",
        "X-Forwarded-For",
        "Origin",
        "Content-Type",
        "If-None-Match",
        "Range",
        "Cookie",
    ):
        for value in ("", "\x01\x7f", "é" * 300, "a" * 8000, "' OR 1=1 --", "<script>", "\xff\xfe"):
            answer = await alice.request("GET", "account/whoami", None, {header: value})
            assert answer.status == 200, (header, value)
    devices = (await root.get(f"admin/whois/{alice.user_id}")).ok()["devices"]
    connections = devices[alice.device_id]["sessions"][0]["connections"]
    assert all(len(seen["user_agent"]) <= 256 and seen["ip"] == "127.0.0.1" for seen in connections)


async def test_one_user_cannot_flood_whois(server: Server, alice: Client) -> None:
    """However many clients somebody makes up, what is shown of them is bounded, and the newest are there."""
    root = await server.admin()
    await asyncio.gather(
        *(alice.request("GET", "account/whoami", None, {"User-Agent": f"bot/{n}"}) for n in range(1500))
    )
    answer = await root.get(f"admin/whois/{alice.user_id}")
    connections = answer.ok()["devices"][alice.device_id]["sessions"][0]["connections"]
    assert len(connections) <= 1000
    await server.app.services.accounts.last_seen.flush()
    shown = (await root.get(f"admin/whois/{alice.user_id}")).ok()["devices"][alice.device_id]["sessions"][0]
    assert len(shown["connections"]) <= 1000
    assert connections[0]["last_seen"] >= connections[-1]["last_seen"]


async def test_the_owner_at_the_local_socket_has_no_limit(tmp_path: Path, clock: FakeClock) -> None:
    """Who administrates by the socket in the data folder is never told to wait; others are."""
    limits = RateLimits(enabled=True, read=SLOW)
    server = await Server.start(test_config(tmp_path, rate_limits=limits), clock=clock)
    try:
        for _ in range(10):
            answer = await call(
                server.app.asgi, "GET", "/_chamberlain/admin/v1/users", {}, state={"local_admin": True}
            )
            assert answer.status == 200
        root = await server.admin()
        answers = [await root.get("/_chamberlain/admin/v1/users") for _ in range(5)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    finally:
        await server.stop()
