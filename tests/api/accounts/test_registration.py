"""Making accounts."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chamberlain.config.passwords import Passwords
from chamberlain.config.registration import Registration
from tests.support.asgi import Answer
from tests.support.server import Client, Server, test_config

PASSWORD = "correct horse battery"
DUMMY = {"type": "m.login.dummy"}


@pytest.fixture
async def by_token(tmp_path: Path) -> AsyncIterator[Server]:
    """A server that asks for a registration token, and for good passwords."""
    config = test_config(
        tmp_path,
        registration=Registration(enabled=True, require_token=True, guests=True),
        passwords=Passwords(hash_cost="lowest", require_digit=True, require_uppercase=True),
    )
    running = await Server.start(config)
    yield running
    await running.stop()


async def ask(server: Server, name: str | None, auth: object = None, **extra: object) -> Answer:
    """Try to register."""
    body = {"username": name, "password": PASSWORD, "auth": auth, **extra}
    return await server.anonymous.post(
        "register", {key: value for key, value in body.items() if value is not None}
    )


async def test_registering_asks_for_proof_first(server: Server) -> None:
    """The first answer says what to do; doing it gives an account that is logged in and can log in again."""
    first = await ask(server, "alice")
    assert first.status == 401
    assert first.json["flows"] == [{"stages": ["m.login.dummy"]}]
    assert "errcode" not in first.json

    made = (await ask(server, "alice", {**DUMMY, "session": first.json["session"]})).ok()

    assert made["user_id"] == "@alice:example.org"
    who = (await Client(server, made["access_token"]).get("account/whoami")).ok()
    assert who == {"user_id": "@alice:example.org", "device_id": made["device_id"]}
    assert (await server.login("alice")).user_id == "@alice:example.org"
    assert (await server.anonymous.get("profile/@alice:example.org")).ok() == {"displayname": "alice"}


async def test_a_name_is_taken_once(server: Server) -> None:
    """A taken name is refused before any proof is asked for, in any case, and is not available."""
    await server.register("alice")

    (await ask(server, "alice")).error(400, "M_USER_IN_USE")
    (await ask(server, "ALICE", DUMMY)).error(400, "M_USER_IN_USE")
    (await server.anonymous.get("register/available?username=alice")).error(400, "M_USER_IN_USE")
    assert (await server.anonymous.get("register/available?username=bob")).ok() == {"available": True}


@pytest.mark.parametrize("name", ["", "a b", "ä", "@alice", "alice:example.org", "_bridge", "a" * 250])
async def test_names_that_cannot_be(server: Server, name: str) -> None:
    """A name that is no localpart of a new account is refused, by both endpoints."""
    (await server.anonymous.post("register", {"username": name, "password": PASSWORD})).error(
        400, "M_INVALID_USERNAME"
    )
    from urllib.parse import quote

    (await server.anonymous.get(f"register/available?username={quote(name)}")).error(
        400, "M_INVALID_USERNAME"
    )


async def test_names_of_application_services_are_exclusive(server: Server) -> None:
    """A name in the namespace of an application service is refused."""
    server.app.services.accounts.registration.is_exclusive = lambda user_id: "irc" in user_id

    (await ask(server, "irc.joe", DUMMY)).error(400, "M_EXCLUSIVE")
    (await server.anonymous.get("register/available?username=irc.joe")).error(400, "M_EXCLUSIVE")


async def test_eight_at_once_want_one_name(server: Server) -> None:
    """Of eight who register one name at once, one gets it."""
    answers = await asyncio.gather(*(ask(server, "alice", DUMMY) for _ in range(8)))

    assert sorted(answer.status for answer in answers) == [200] + [400] * 7
    assert {answer.json.get("errcode") for answer in answers} == {None, "M_USER_IN_USE"}


async def test_without_a_name_one_is_drawn(server: Server) -> None:
    """Whoever names none gets a name."""
    made = (await ask(server, None, DUMMY)).ok()

    assert made["user_id"].startswith("@") and made["user_id"].endswith(":example.org")


async def test_without_a_login(server: Server) -> None:
    """With inhibit_login there is an account, and no token or device."""
    made = (await ask(server, "alice", DUMMY, inhibit_login=True)).ok()

    assert made == {"user_id": "@alice:example.org", "home_server": "example.org"}
    alice = await server.login("alice")
    assert [d["device_id"] for d in (await alice.get("devices")).ok()["devices"]] == [alice.device_id]


async def test_weak_passwords_are_refused_with_what_they_lack(by_token: Server) -> None:
    """Before any proof is asked for, a password must keep to the policy."""
    for password in ("Sh0rt", "nouppercase1", "NoDigitAtAll"):
        answer = await by_token.anonymous.post("register", {"username": "alice", "password": password})
        answer.error(400, "M_WEAK_PASSWORD")


async def test_a_password_is_needed_in_the_end(server: Server) -> None:
    """Asking for the flows needs no password, making an account does; the session is not lost by it."""
    first = await server.anonymous.post("register", {})
    assert first.status == 401
    auth = {**DUMMY, "session": first.json["session"]}

    (await server.anonymous.post("register", {"username": "alice", "auth": auth})).error(
        400, "M_MISSING_PARAM"
    )
    (await ask(server, "alice", auth)).ok()


@pytest.mark.parametrize(
    "auth",
    [
        7,
        "text",
        [],
        {"type": 7},
        {"type": "m.login.dummy", "session": 7},
    ],
)
async def test_an_auth_of_the_wrong_shape(server: Server, auth: object) -> None:
    """What is no auth object is a bad request."""
    (await ask(server, "alice", auth)).error(400, "M_BAD_JSON")


@pytest.mark.parametrize("session", ["", "nonsense", "ä", "A" * 5000])
async def test_a_session_that_was_never_given(server: Server, session: str) -> None:
    """An unknown session leads to a new one that works."""
    answer = await ask(server, "alice", {**DUMMY, "session": session})
    answer.error(401, "M_FORBIDDEN")

    (await ask(server, "alice", {**DUMMY, "session": answer.json["session"]})).ok()


async def test_a_session_is_good_for_one_account(server: Server) -> None:
    """Of eight who use one session at once, one makes an account; the others are given a new session."""
    session = (await ask(server, "alice")).json["session"]
    auth = {**DUMMY, "session": session}
    answers = await asyncio.gather(*(ask(server, f"user{n}", auth) for n in range(8)))

    assert sorted(answer.status for answer in answers) == [200] + [401] * 7
    again = await ask(server, "zoe", auth)
    again.error(401, "M_FORBIDDEN")
    assert again.json["session"] != session


async def test_closed_registration(tmp_path: Path) -> None:
    """Where registration is closed, nobody registers, and nothing is told of names or tokens."""
    server = await Server.start(test_config(tmp_path, registration=Registration()))
    try:
        (await ask(server, "alice", DUMMY)).error(403, "M_FORBIDDEN")
        (await server.anonymous.get("register/available?username=alice")).error(403, "M_FORBIDDEN")
        target = "/_matrix/client/v1/register/m.login.registration_token/validity?token=x"
        (await server.anonymous.get(target)).error(403, "M_FORBIDDEN")
        (await server.anonymous.post("register?kind=guest")).error(403, "M_GUEST_ACCESS_FORBIDDEN")
    finally:
        await server.stop()


async def test_the_last_use_of_a_token_has_one_winner(by_token: Server) -> None:
    """Eight people with one token of one use: one account, one use counted."""
    tokens = by_token.app.services.accounts.registration_tokens
    await tokens.create("good", uses_allowed=1)
    body = {"password": "Correct horse 1", "auth": {"type": "m.login.registration_token", "token": "good"}}
    answers = await asyncio.gather(
        *(by_token.anonymous.post("register", {"username": f"user{n}", **body}) for n in range(8))
    )

    assert sorted(answer.status for answer in answers) == [200] + [401] * 7
    assert {answer.json.get("errcode") for answer in answers} == {None, "M_UNAUTHORIZED"}
    counted = await tokens.get("good")
    assert (counted.completed, counted.pending) == (1, 0)
    target = "/_matrix/client/v1/register/m.login.registration_token/validity?token=good"
    assert (await by_token.anonymous.get(target)).ok() == {"valid": False}


async def test_a_token_is_asked_for_and_checked(by_token: Server) -> None:
    """Without the token there is no account; a dummy does not do."""
    tokens = by_token.app.services.accounts.registration_tokens
    await tokens.create("good")
    first = await by_token.anonymous.post("register", {"username": "alice", "password": "Correct horse 1"})
    assert first.json["flows"] == [{"stages": ["m.login.registration_token"]}]

    async def with_auth(**auth: object) -> Answer:
        given = {"session": first.json["session"], **auth}
        body = {"username": "alice", "password": "Correct horse 1", "auth": given}
        return await by_token.anonymous.post("register", body)

    (await with_auth(type="m.login.dummy")).error(401, "M_UNRECOGNIZED")
    (await with_auth(type="m.login.registration_token", token="bad")).error(401, "M_UNAUTHORIZED")
    (await with_auth(type="m.login.registration_token", token=7)).error(400, "M_BAD_JSON")
    (await with_auth(type="m.login.registration_token")).error(400, "M_MISSING_PARAM")
    (await with_auth(type="m.login.registration_token", token="good")).ok()
    assert (await tokens.get("good")).completed == 1


async def test_guests(by_token: Server) -> None:
    """A guest has an account without a password, may do little, and can become a full user."""
    made = (await by_token.anonymous.post("register?kind=guest", {"username": "ignored"})).ok()
    guest = Client(by_token, made["access_token"], made["user_id"], made["device_id"])
    assert "ignored" not in guest.user_id
    assert (await guest.get("account/whoami")).ok()["is_guest"] is True
    (await guest.get("account/3pid")).error(403, "M_GUEST_ACCESS_FORBIDDEN")
    (await guest.put(f"profile/{guest.user_id}/displayname", {"displayname": "G"})).ok()
    (await guest.put(f"profile/{guest.user_id}/avatar_url", {"avatar_url": "mxc://a/b"})).error(
        403, "M_GUEST_ACCESS_FORBIDDEN"
    )

    await by_token.app.services.accounts.registration_tokens.create("good")
    body = {
        "username": guest.user_id[1:].partition(":")[0],
        "password": "Correct horse 1",
        "guest_access_token": guest.token,
        "auth": {"type": "m.login.registration_token", "token": "good"},
    }
    full = (await by_token.anonymous.post("register", body)).ok()

    assert full["user_id"] == guest.user_id
    assert "is_guest" not in (await Client(by_token, full["access_token"]).get("account/whoami")).ok()
    (await by_token.anonymous.post("register", {**body, "username": "root"})).error(400, "M_USER_IN_USE")


async def test_the_first_administrator_is_made_once(tmp_path: Path) -> None:
    """A start without accounts makes an administrator; a second start makes none, and keeps the password."""
    server = await Server.start(test_config(tmp_path))
    first = server.app.first_admin
    assert first is not None
    user_id, password = first
    admin = await server.login(user_id, password)
    requester = await server.app.services.accounts.tokens.identify(str(admin.token))
    await server.stop()
    again = await Server.start(test_config(tmp_path))

    assert requester.is_admin
    assert again.app.first_admin is None
    await again.login(user_id, password)
    await again.stop()
