"""Logging in and out, refreshing tokens, changing the password."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from chamberlain.accounts.tokens import LOGIN_TOKEN_MS, REFRESHABLE_MS
from chamberlain.store.tx import Write
from tests.support.asgi import Answer
from tests.support.clock import FakeClock
from tests.support.rows import insert
from tests.support.server import Client, Server, test_config

PASSWORD = "correct horse battery"
GET_TOKEN = "/_matrix/client/v1/login/get_token"


async def log_in(server: Server, **body: object) -> Answer:
    """Try to log in with a password."""
    return await server.anonymous.post("login", {"type": "m.login.password", "password": PASSWORD, **body})


def with_password(client: Client, session: str | None = None, password: str = PASSWORD) -> dict[str, Any]:
    """What proves that it is this user."""
    auth = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": client.user_id},
        "password": password,
    }
    return auth if session is None else {**auth, "session": session}


async def test_the_ways_to_log_in(server: Server) -> None:
    """The flows are a password, and a token that can be had from a device that is logged in."""
    flows = (await server.anonymous.get("login")).ok()["flows"]

    assert flows == [{"type": "m.login.password"}, {"type": "m.login.token", "get_login_token": True}]


@pytest.mark.parametrize(
    "who",
    [
        {"identifier": {"type": "m.id.user", "user": "alice"}},
        {"identifier": {"type": "m.id.user", "user": "@alice:example.org"}},
        {"identifier": {"type": "m.id.user", "user": "Alice"}},
        {"user": "alice"},
        {"user": "@alice:example.org"},
        {"identifier": {"type": "m.id.thirdparty", "medium": "email", "address": "Alice@Example.org"}},
        {"medium": "email", "address": "alice@example.org"},
    ],
)
async def test_every_way_to_say_who_one_is(server: Server, alice: Client, who: dict[str, object]) -> None:
    """A user is found by id, localpart in any case, and e-mail address, in today's and in older requests."""
    await server.app.services.accounts.threepids.add(alice.user_id, "email", "alice@example.org")

    answer = (await log_in(server, **who)).ok()

    assert answer["user_id"] == alice.user_id
    assert answer["device_id"] != alice.device_id
    assert (await Client(server, answer["access_token"]).get("account/whoami")).ok()[
        "user_id"
    ] == alice.user_id


@pytest.mark.parametrize(
    ("body", "status", "errcode"),
    [
        ({"user": "alice", "password": "wrong"}, 403, "M_FORBIDDEN"),
        ({"user": "nobody"}, 403, "M_FORBIDDEN"),
        ({"user": "@alice:elsewhere.org"}, 403, "M_FORBIDDEN"),
        ({"user": "alice", "password": "x" * 10_000}, 403, "M_FORBIDDEN"),
        ({"user": "a" * 10_000}, 403, "M_FORBIDDEN"),
        ({"user": "\x00"}, 403, "M_FORBIDDEN"),
        ({"user": "alice", "password": None}, 400, "M_MISSING_PARAM"),
        ({"user": "alice", "password": 123}, 400, "M_BAD_JSON"),
        ({"user": 7}, 400, "M_BAD_JSON"),
        ({"identifier": 7}, 400, "M_BAD_JSON"),
        ({"identifier": {}}, 400, "M_UNKNOWN"),
        ({"identifier": {"type": "m.id.user"}}, 400, "M_MISSING_PARAM"),
        ({"identifier": {"type": "m.id.user", "user": []}}, 400, "M_BAD_JSON"),
        ({}, 400, "M_MISSING_PARAM"),
        ({"type": "m.login.odd", "user": "alice"}, 400, "M_UNKNOWN"),
        ({"type": 7, "user": "alice"}, 400, "M_BAD_JSON"),
        ({"user": "alice", "device_id": ""}, 400, "M_INVALID_PARAM"),
        ({"user": "alice", "device_id": "D" * 10_000}, 400, "M_INVALID_PARAM"),
    ],
)
async def test_logins_that_fail(
    server: Server, alice: Client, body: dict[str, object], status: int, errcode: str
) -> None:
    """What is wrong with a login is said with the errcode for it, and not whether the user exists."""
    (await log_in(server, **body)).error(status, errcode)


async def test_logging_in_again_with_a_device_ends_its_old_token(server: Server, alice: Client) -> None:
    """The device keeps its name; only the new token is good."""
    again = (
        await log_in(
            server, user="alice", device_id=alice.device_id, initial_device_display_name="another name"
        )
    ).ok()

    (await alice.get("account/whoami")).error(401, "M_UNKNOWN_TOKEN")
    renewed = Client(server, again["access_token"])
    (device,) = (await renewed.get("devices")).ok()["devices"]
    assert device["device_id"] == alice.device_id
    assert device.get("display_name") != "another name"


async def test_no_device_is_named_like_a_cross_signing_key(server: Server, alice: Client) -> None:
    """A login with the id of one of the user's cross-signing keys is refused, with any other it is not."""

    async def write(tx: Write) -> None:
        await insert(tx, "cross_signing_keys", user_id=alice.user_id, usage="master", public_key="KEY")

    await server.app.services.db.write(write)

    (await log_in(server, user="alice", device_id="KEY")).error(403, "M_FORBIDDEN")
    (await log_in(server, user="alice", device_id="OTHER")).ok()


async def test_deactivating_oneself(server: Server, alice: Client) -> None:
    """The user's password ends the account: tokens and password are no good, the name stays taken."""
    other = await server.login("alice")
    session = (await alice.post("account/deactivate", {"erase": True})).json["session"]
    (await alice.post("account/deactivate", {"erase": "yes"})).error(400, "M_BAD_JSON")
    (await server.anonymous.post("account/deactivate")).error(401, "M_MISSING_TOKEN")
    body = {"erase": True, "auth": with_password(alice, session)}
    assert (await alice.post("account/deactivate", body)).ok() == {"id_server_unbind_result": "success"}

    for client in (alice, other):
        (await client.get("account/whoami")).error(401, "M_UNKNOWN_TOKEN")
    (await log_in(server, user="alice")).error(403, "M_USER_DEACTIVATED")
    (await server.anonymous.get("register/available?username=alice")).error(400, "M_USER_IN_USE")


async def test_logging_out_ends_this_device_only(server: Server, alice: Client) -> None:
    """The token dies, the device is gone for the others to see, and a repeat says that the token is unknown."""
    other = await server.login("alice")
    (await alice.post("logout")).ok()

    (await alice.post("logout")).error(401, "M_UNKNOWN_TOKEN")
    devices = (await other.get("devices")).ok()["devices"]
    assert [device["device_id"] for device in devices] == [other.device_id]


async def test_logging_out_everywhere(server: Server, alice: Client) -> None:
    """Every token of the user dies, a login token and one without a device too; others' stay."""
    bob = await server.register("bob")
    other = await server.login("alice")
    tokens = server.app.services.accounts.tokens
    login_token = await tokens.make_login_token(alice.user_id)
    loose = Client(server, await tokens.issue_without_device(alice.user_id))
    assert (await loose.get("account/whoami")).ok() == {"user_id": alice.user_id}
    (await alice.post("logout/all")).ok()

    for client in (alice, other, loose):
        (await client.get("account/whoami")).error(401, "M_UNKNOWN_TOKEN")
    answer = await server.anonymous.post("login", {"type": "m.login.token", "token": login_token})
    answer.error(403, "M_FORBIDDEN")
    (await bob.get("account/whoami")).ok()


async def test_a_token_without_a_device_can_log_itself_out(server: Server, alice: Client) -> None:
    """Only that token dies."""
    tokens = server.app.services.accounts.tokens
    loose = Client(server, await tokens.issue_without_device(alice.user_id))
    (await loose.post("logout")).ok()

    (await loose.get("account/whoami")).error(401, "M_UNKNOWN_TOKEN")
    (await alice.get("account/whoami")).ok()


async def test_a_locked_user_can_only_log_out(server: Server, alice: Client) -> None:
    """A lock stops everything at once, logins too, and keeps the tokens; it can be lifted."""
    users = server.app.services.accounts.users
    await users.set_locked(alice.user_id, True)

    assert (await alice.get("account/whoami")).error(401, "M_USER_LOCKED")["soft_logout"] is True
    (await log_in(server, user="alice")).error(401, "M_USER_LOCKED")
    (await log_in(server, user="alice", password="wrong")).error(403, "M_FORBIDDEN")
    await users.set_locked(alice.user_id, False)
    (await alice.get("account/whoami")).ok()
    await users.set_locked(alice.user_id, True)
    (await alice.post("logout")).ok()


async def test_a_login_token_logs_in_one_device(server: Server, alice: Client) -> None:
    """A device asks for it with its user's password; of eight that use it at once one is logged in."""
    session = (await alice.post(GET_TOKEN)).json["session"]
    given = (await alice.post(GET_TOKEN, {"auth": with_password(alice, session)})).ok()
    assert given["expires_in_ms"] == LOGIN_TOKEN_MS
    body = {"type": "m.login.token", "token": given["login_token"]}
    answers = await asyncio.gather(*(server.anonymous.post("login", body) for _ in range(8)))

    assert sorted(answer.status for answer in answers) == [200] + [403] * 7
    (answer,) = (answer for answer in answers if answer.status == 200)
    assert answer.json["user_id"] == alice.user_id
    (await server.anonymous.post("login", {"type": "m.login.token"})).error(400, "M_MISSING_PARAM")


async def test_a_session_is_bound_and_good_once(server: Server, alice: Client) -> None:
    """A session of another user or endpoint is refused, a wrong password may be corrected, a used one is over."""
    bob = await server.register("bob")
    session = (await alice.post(GET_TOKEN)).json["session"]

    (await bob.post(GET_TOKEN, {"auth": with_password(bob, session)})).error(401, "M_FORBIDDEN")
    body = {"new_password": "another password", "auth": with_password(alice, session)}
    (await alice.post("account/password", body)).error(401, "M_FORBIDDEN")
    wrong = await alice.post(GET_TOKEN, {"auth": with_password(alice, session, "wrong")})
    assert wrong.error(401, "M_FORBIDDEN")["session"] == session
    (await alice.post(GET_TOKEN, {"auth": with_password(bob, session)})).error(403, "M_FORBIDDEN")
    answers = await asyncio.gather(
        *(alice.post(GET_TOKEN, {"auth": with_password(alice, session)}) for _ in range(8))
    )
    assert sorted(answer.status for answer in answers) == [200] + [401] * 7


async def test_changing_the_password(server: Server, alice: Client) -> None:
    """The new one is good and the old one not; this device stays, the others go, by default."""
    other = await server.login("alice")
    body = {"new_password": "a new password"}
    session = (await alice.post("account/password", body)).json["session"]
    (await alice.post("account/password", {"new_password": "short"})).error(400, "M_WEAK_PASSWORD")
    (await server.anonymous.post("account/password", body)).error(401, "M_MISSING_TOKEN")
    (await alice.post("account/password", {**body, "auth": with_password(alice, session)})).ok()

    (await alice.get("account/whoami")).ok()
    (await other.get("account/whoami")).error(401, "M_UNKNOWN_TOKEN")
    (await log_in(server, user="alice")).error(403, "M_FORBIDDEN")
    await server.login("alice", "a new password")


async def test_changing_the_password_without_logging_out(server: Server, alice: Client) -> None:
    """With logout_devices false every device stays."""
    other = await server.login("alice")
    body = {"new_password": "a new password", "logout_devices": False, "auth": with_password(alice)}
    (await alice.post("account/password", body)).ok()

    (await other.get("account/whoami")).ok()


class Refreshing:
    """A server whose clock stands still until it is moved, and a device with a refresh token."""

    def __init__(self, server: Server, clock: FakeClock, tokens: dict[str, Any]) -> None:
        self.server = server
        self.clock = clock
        self.tokens = tokens

    async def refresh(self, tokens: dict[str, Any]) -> Answer:
        """Use a refresh token."""
        return await self.server.anonymous.post("refresh", {"refresh_token": tokens["refresh_token"]})

    async def whoami(self, tokens: dict[str, Any]) -> Answer:
        """Use an access token."""
        return await Client(self.server, tokens["access_token"]).get("account/whoami")


@pytest.fixture
async def refreshing(tmp_path: Path, clock: FakeClock) -> Any:
    """A device that refreshes its tokens."""
    server = await Server.start(test_config(tmp_path), clock=clock)
    await server.register("alice")
    tokens = (await log_in(server, user="alice", refresh_token=True)).ok()
    yield Refreshing(server, clock, tokens)
    await server.stop()


async def test_refreshing(refreshing: Refreshing) -> None:
    """The token expires softly; the refreshed one is of the same device."""
    first = refreshing.tokens
    assert first["expires_in_ms"] == REFRESHABLE_MS
    device = (await refreshing.whoami(first)).ok()["device_id"]
    await refreshing.clock.advance(REFRESHABLE_MS / 1000)
    answer = await refreshing.whoami(first)
    assert answer.error(401, "M_UNKNOWN_TOKEN")["soft_logout"] is True

    second = (await refreshing.refresh(first)).ok()

    assert (await refreshing.whoami(second)).ok()["device_id"] == device
    assert second["expires_in_ms"] == REFRESHABLE_MS


async def test_a_lost_answer_does_not_lose_the_device(refreshing: Refreshing) -> None:
    """The refresh token stays good until its successors are used; then it, and what it gave before, is not."""
    lost = (await refreshing.refresh(refreshing.tokens)).ok()
    second = (await refreshing.refresh(refreshing.tokens)).ok()
    (await refreshing.whoami(lost)).error(401, "M_UNKNOWN_TOKEN")
    (await refreshing.refresh(lost)).error(401, "M_UNKNOWN_TOKEN")
    (await refreshing.whoami(second)).ok()

    (await refreshing.refresh(refreshing.tokens)).error(401, "M_UNKNOWN_TOKEN")
    (await refreshing.whoami(refreshing.tokens)).error(401, "M_UNKNOWN_TOKEN")
    third = (await refreshing.refresh(second)).ok()
    fourth = (await refreshing.refresh(third)).ok()
    (await refreshing.refresh(second)).error(401, "M_UNKNOWN_TOKEN")
    (await refreshing.whoami(fourth)).ok()


async def test_eight_refreshes_at_once_leave_one_line(refreshing: Refreshing) -> None:
    """Of eight pairs of tokens from one refresh token one is good."""
    answers = await asyncio.gather(*(refreshing.refresh(refreshing.tokens) for _ in range(8)))
    pairs = [answer.ok() for answer in answers]
    good = [pair for pair in pairs if (await refreshing.whoami(pair)).status == 200]
    assert len(good) == 1

    again = await asyncio.gather(*(refreshing.refresh(pair) for pair in pairs))
    assert sorted(answer.status for answer in again) == [200] + [401] * 7


async def test_the_first_uses_of_a_new_token_may_come_at_once(refreshing: Refreshing) -> None:
    """A client that sends eight requests with a fresh token gets eight answers, and keeps the token."""
    second = (await refreshing.refresh(refreshing.tokens)).ok()
    answers = await asyncio.gather(*(refreshing.whoami(second) for _ in range(8)))

    assert [answer.status for answer in answers] == [200] * 8
    (await refreshing.whoami(second)).ok()


async def test_logging_out_ends_the_refresh_token(refreshing: Refreshing) -> None:
    """After a logout nothing can be refreshed."""
    (await Client(refreshing.server, refreshing.tokens["access_token"]).post("logout")).ok()

    (await refreshing.refresh(refreshing.tokens)).error(401, "M_UNKNOWN_TOKEN")


async def test_what_is_not_a_refresh_token(server: Server) -> None:
    """Unknown tokens are unknown, other shapes are bad requests."""
    (await server.anonymous.post("refresh", {"refresh_token": "x"})).error(401, "M_UNKNOWN_TOKEN")
    (await server.anonymous.post("refresh", {})).error(400, "M_MISSING_PARAM")
    (await server.anonymous.post("refresh", {"refresh_token": 7})).error(400, "M_BAD_JSON")


async def test_a_login_token_expires(tmp_path: Path, clock: FakeClock) -> None:
    """After two minutes a login token is good for nothing."""
    server = await Server.start(test_config(tmp_path), clock=clock)
    alice = await server.register("alice")
    given = (await alice.post(GET_TOKEN, {"auth": with_password(alice)})).ok()
    await clock.advance(LOGIN_TOKEN_MS / 1000)

    answer = await server.anonymous.post("login", {"type": "m.login.token", "token": given["login_token"]})
    answer.error(403, "M_FORBIDDEN")
    await server.stop()


async def test_a_password_is_all_that_can_confirm(server: Server) -> None:
    """An account without a password cannot confirm anything, and is told so."""
    accounts = server.app.services.accounts
    await accounts.registration.register("robot", None)
    robot = Client(server, await accounts.tokens.issue_without_device("@robot:example.org"))

    (await robot.post(GET_TOKEN)).error(403, "M_FORBIDDEN")
    (await log_in(server, user="robot")).error(403, "M_FORBIDDEN")
    capabilities = (await robot.get("capabilities")).ok()["capabilities"]
    assert capabilities["m.change_password"] == {"enabled": False}


async def test_a_requester_that_waits_is_told_when_its_token_dies(server: Server, alice: Client) -> None:
    """What waits on behalf of a token hears of its end, and of a lock."""
    accounts = server.app.services.accounts
    requester = await accounts.tokens.identify(str(alice.token))
    await accounts.tokens.recheck(requester)
    await accounts.users.set_locked(alice.user_id, True)
    with pytest.raises(Exception, match="M_USER_LOCKED"):
        await accounts.tokens.recheck(requester)
    (await alice.post("logout")).ok()
    with pytest.raises(Exception, match="M_UNKNOWN_TOKEN"):
        await accounts.tokens.recheck(requester)
