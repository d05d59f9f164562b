"""Shared-secret registration."""

import asyncio
import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest

from chamberlain.config.registration import Registration
from tests.api.admin.asking import SYNAPSE, calls
from tests.support.asgi import Answer
from tests.support.clock import FakeClock
from tests.support.server import SECRET, Client, Server, test_config

PATH = f"{SYNAPSE}/register"


async def nonce_of(server: Server) -> str:
    """A fresh nonce."""
    return str((await server.anonymous.get(PATH)).ok()["nonce"])


def mac_of(nonce: str, username: str, password: str, role: str, *more: str, secret: str = SECRET) -> str:
    """The MAC as the documentation has it."""
    text = "\0".join((nonce, username, password, role, *more))
    return hmac.new(secret.encode(), text.encode(), hashlib.sha1).hexdigest()


async def register(server: Server, **changes: Any) -> Answer:
    """Register with everything right but the changes; None leaves a key out."""
    nonce = await nonce_of(server)
    body: dict[str, Any] = {"nonce": nonce, "username": "newbie", "password": "päss word"} | changes
    role = "admin" if body.get("admin") is True else "notadmin"
    more = [str(body["user_type"])] if body.get("user_type") else []
    body.setdefault("mac", mac_of(nonce, str(body["username"]), str(body["password"]), role, *more))
    return await server.anonymous.post(PATH, {key: value for key, value in body.items() if value is not None})


async def test_an_account_and_its_first_login(server: Server, root: Client) -> None:
    """The answer has what a login has; the account is an ordinary one, and logged in."""
    answer = (await register(server, username="NewBie", displayname="New B.")).ok()
    client = Client(server, answer["access_token"])

    assert answer["user_id"] == "@newbie:example.org"
    assert answer["home_server"] == "example.org"
    whoami = (await client.get("account/whoami")).ok()
    assert (whoami["user_id"], whoami["device_id"]) == ("@newbie:example.org", answer["device_id"])
    assert (await client.get("profile/@newbie:example.org/displayname")).ok() == {"displayname": "New B."}
    (await client.get(f"{SYNAPSE}/rooms")).error(403, "M_FORBIDDEN")
    assert (await server.login("newbie", "päss word")).user_id == "@newbie:example.org"
    (call,) = await calls(root, target="NewBie")
    assert (call["outcome"], call["fields"]["actor"]) == ("ok", "shared secret")


async def test_what_else_it_can_be(server: Server, root: Client) -> None:
    """An administrator, of a kind, with a named device, with a refresh token, or not logged in."""
    admin = (await register(server, username="a1", admin=True)).ok()
    assert (await Client(server, admin["access_token"]).get(f"{SYNAPSE}/rooms")).status == 200
    bot = (await register(server, username="a2", user_type="bot", device_id="DEV", refresh_token=True)).ok()
    user = (await root.get(f"/_synapse/admin/v2/users/{bot['user_id']}")).ok()

    assert user["user_type"] == "bot"
    assert bot["device_id"] == "DEV" and bot["refresh_token"] and bot["expires_in_ms"]
    quiet = (await register(server, username="a3", inhibit_login=True)).ok()
    assert quiet == {"user_id": "@a3:example.org", "home_server": "example.org"}


@pytest.mark.parametrize(
    ("changes", "status", "errcode"),
    [
        ({"nonce": None, "mac": "00"}, 400, "M_BAD_JSON"),
        ({"nonce": 7, "mac": "00"}, 400, "M_BAD_JSON"),
        ({"nonce": "made up"}, 400, "M_UNKNOWN"),
        ({"username": None, "mac": "00"}, 400, "M_BAD_JSON"),
        ({"username": "x" * 513}, 400, "M_UNKNOWN"),
        ({"username": "a\0b"}, 400, "M_UNKNOWN"),
        ({"username": 7}, 400, "M_UNKNOWN"),
        ({"password": None, "mac": "00"}, 400, "M_BAD_JSON"),
        ({"password": "x" * 513}, 400, "M_UNKNOWN"),
        ({"password": "a\0b"}, 400, "M_UNKNOWN"),
        ({"user_type": "emperor"}, 400, "M_UNKNOWN"),
        ({"user_type": ["bot"]}, 400, "M_UNKNOWN"),
        ({"admin": "yes"}, 400, "M_BAD_JSON"),
        ({"mac": None}, 400, "M_BAD_JSON"),
        ({"mac": "00"}, 403, "M_UNKNOWN"),
        ({"mac": "nö"}, 403, "M_UNKNOWN"),
        ({"username": "not allowed!"}, 400, "M_INVALID_USERNAME"),
        ({"username": "root"}, 400, "M_USER_IN_USE"),
        ({"device_id": 7}, 400, "M_BAD_JSON"),
    ],
)
async def test_what_is_refused(
    server: Server, root: Client, changes: dict[str, Any], status: int, errcode: str
) -> None:
    """Each wrong call says what is wrong, and makes no account."""
    (await register(server, **changes)).error(status, errcode)

    assert (await root.get("/_synapse/admin/v2/users/@newbie:example.org")).status == 404


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"nonce": "a', b'"text"'])
async def test_bodies_that_are_none(server: Server, body: bytes) -> None:
    """No JSON, or JSON that is no object, is a 400."""
    assert (await server.anonymous.request("POST", PATH, body)).status == 400


async def test_a_nonce_is_good_once(server: Server) -> None:
    """Of eight calls with one nonce at once one gets an account; and a failed call uses it up too."""
    nonce = await nonce_of(server)
    bodies = [
        {
            "nonce": nonce,
            "username": f"u{n}",
            "password": "secret",
            "mac": mac_of(nonce, f"u{n}", "secret", "notadmin"),
        }
        for n in range(8)
    ]
    answers = await asyncio.gather(*(server.anonymous.post(PATH, body) for body in bodies))
    assert sorted(answer.status for answer in answers) == [200] + [400] * 7

    nonce = await nonce_of(server)
    body = {"nonce": nonce, "username": "late", "password": "secret", "mac": "00"}
    (await server.anonymous.post(PATH, body)).error(403, "M_UNKNOWN")
    body["mac"] = mac_of(nonce, "late", "secret", "notadmin")
    (await server.anonymous.post(PATH, body)).error(400, "M_UNKNOWN")


async def test_a_mac_is_for_one_role_and_one_secret(server: Server) -> None:
    """What was signed for an ordinary user makes no administrator; another secret makes nobody."""
    nonce = await nonce_of(server)
    ordinary = mac_of(nonce, "newbie", "p", "notadmin")
    body = {"nonce": nonce, "username": "newbie", "password": "p", "admin": True, "mac": ordinary}
    (await server.anonymous.post(PATH, body)).error(403, "M_UNKNOWN")
    nonce = await nonce_of(server)
    wrong = mac_of(nonce, "newbie", "p", "notadmin", secret="guess")
    body = {"nonce": nonce, "username": "newbie", "password": "p", "mac": wrong}
    (await server.anonymous.post(PATH, body)).error(403, "M_UNKNOWN")


async def test_a_nonce_expires_and_holds_over_a_restart(tmp_path: Path) -> None:
    """Within a minute any process takes it; after that none."""
    clock = FakeClock()
    server = await Server.start(test_config(tmp_path), clock=clock)
    kept, stale = await nonce_of(server), await nonce_of(server)
    await server.stop()
    server = await Server.start(test_config(tmp_path), clock=clock)
    body = {"nonce": kept, "username": "a", "password": "p", "mac": mac_of(kept, "a", "p", "notadmin")}
    (await server.anonymous.post(PATH, body)).ok()
    await clock.advance(61)
    body = {"nonce": stale, "username": "b", "password": "p", "mac": mac_of(stale, "b", "p", "notadmin")}

    (await server.anonymous.post(PATH, body)).error(400, "M_UNKNOWN")
    await server.stop()


async def test_without_a_secret_it_is_off(tmp_path: Path) -> None:
    """No secret, no nonce and no account."""
    server = await Server.start(test_config(tmp_path, registration=Registration(enabled=True)))

    (await server.anonymous.get(PATH)).error(400, "M_UNKNOWN")
    body = {"nonce": "n", "username": "a", "password": "p", "mac": mac_of("n", "a", "p", "admin", secret="")}
    (await server.anonymous.post(PATH, body)).error(400, "M_UNKNOWN")
    await server.stop()
