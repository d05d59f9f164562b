"""Registration as clients and test suites of other servers see it (client-server API, Account registration)."""

from pathlib import Path

import pytest

from chamberlain.config.passwords import Passwords
from chamberlain.config.registration import Registration
from tests.api.conformance.table import PASSWORD, check, found
from tests.support.server import Client, Server, test_config

DUMMY = {"type": "m.login.dummy"}


async def test_the_flows_come_first(server: Server) -> None:
    """An empty body, a body with a name only and an `auth` without a type are told the flows, with a session."""
    for body in ({}, {"username": "fresh"}, {"auth": {}}, {"auth": None, "password": PASSWORD}):
        answer = await server.anonymous.post("register", body)
        assert answer.status == 401, body
        assert {"stages": ["m.login.dummy"]} in answer.json["flows"]
        assert isinstance(answer.json["session"], str) and isinstance(answer.json["params"], dict)
        assert "errcode" not in answer.json and "completed" not in answer.json
    assert found(await server.anonymous.get("register/available?username=fresh")) == (200, None)


async def test_an_account_is_as_it_was_asked_for(server: Server) -> None:
    """The name in lower case, the device as asked, the display name of the device, and every name that is allowed."""
    made = await server.register(
        "user-UPPER", device_id="XYZZY", initial_device_display_name="my phone", password="übergeheim ☃ 鍵"
    )
    assert (made.user_id, made.device_id) == ("@user-upper:example.org", "XYZZY")
    device = (await made.get("devices/XYZZY")).ok()
    assert device["display_name"] == "my phone"
    assert (await server.login("user-upper", "übergeheim ☃ 鍵")).user_id == made.user_id
    name = (await made.get("profile/@user-upper:example.org/displayname")).ok()["displayname"]
    assert name.lower() == "user-upper"
    for character in "q3.=_-/+":
        assert (await server.register(f"chr{character}test")).user_id == f"@chr{character}test:example.org"


async def test_names_and_bodies_that_are_refused(server: Server, alice: Client) -> None:
    """Every sign outside the grammar, taken names, bad UTF-8 and bodies that are no objects, each with its errcode."""
    bad = [f"chr{sign}test" for sign in "!\":?\\@[]{|}£é\n'\0 ,;<>"] + [
        "",
        "_bridge",
        "x" * 250,
        "@a:example.org",
    ]
    await check(
        server.anonymous,
        [
            *(
                (
                    "POST",
                    "register",
                    {"username": name, "password": PASSWORD, "auth": DUMMY},
                    400,
                    "M_INVALID_USERNAME",
                )
                for name in bad
            ),
            *(
                (
                    "POST",
                    "register",
                    {"username": name, "password": PASSWORD, "auth": DUMMY},
                    400,
                    "M_USER_IN_USE",
                )
                for name in ("alice", "ALICE", "aLicE")
            ),
            (
                "POST",
                "register",
                b'{"username": "\xa4", "auth": {"type": "m.login.dummy"}}',
                400,
                "M_NOT_JSON",
            ),
            ("POST", "register", b"{", 400, "M_NOT_JSON"),
            ("POST", "register", b"[]", 400, "M_BAD_JSON"),
            ("POST", "register", {"username": 5, "auth": DUMMY}, 400, "M_BAD_JSON"),
            ("POST", "register", {"username": "n1", "password": 5, "auth": DUMMY}, 400, "M_BAD_JSON"),
            ("POST", "register", {"username": "n1", "password": PASSWORD, "auth": 7}, 400, "M_BAD_JSON"),
            ("POST", "register?kind=bogus", {}, 400, "M_INVALID_PARAM"),
            ("POST", "register?kind=guest", {}, 403, "M_GUEST_ACCESS_FORBIDDEN"),
            ("GET", "register/available?username=alice", None, 400, "M_USER_IN_USE"),
            ("GET", "register/available?username=invalid,username", None, 400, "M_INVALID_USERNAME"),
            ("GET", "register/available", None, 400, "M_MISSING_PARAM"),
            ("GET", "register/available?username=n1", None, 200, None),
        ],
    )


async def test_the_device_id_of_a_stranger_is_no_way_in(server: Server, alice: Client) -> None:
    """Two users may have devices of one name; registering with one does nothing to the other's."""
    mallory = await server.register("mallory", device_id=alice.device_id)
    assert mallory.device_id == alice.device_id
    assert (await alice.get("account/whoami")).ok()["user_id"] == alice.user_id
    assert (await mallory.get("account/whoami")).ok()["user_id"] == mallory.user_id


async def test_registering_twice_with_one_session(server: Server) -> None:
    """What a client repeats after a lost answer says that the name is taken, and does not make another account."""
    session = (await server.anonymous.post("register", {"username": "once", "password": PASSWORD})).json[
        "session"
    ]
    body = {"username": "once", "password": PASSWORD, "auth": DUMMY | {"session": session}}
    first = (await server.anonymous.post("register", body)).ok()
    assert set(first) >= {"user_id", "access_token", "device_id", "home_server"}
    (await server.anonymous.post("register", body)).error(400, "M_USER_IN_USE")


async def test_a_token_and_a_policy(tmp_path: Path) -> None:
    """The flow asks for the token, whose validity can be asked for; passwords are weighed."""
    config = test_config(
        tmp_path,
        registration=Registration(enabled=True, require_token=True),
        passwords=Passwords(hash_cost="lowest", minimum_length=12, require_digit=True),
    )
    server = await Server.start(config)
    try:
        await _with_a_token(server)
    finally:
        await server.stop()


async def _with_a_token(server: Server) -> None:
    asked = await server.anonymous.post("register", {"username": "eve", "password": "long enough 123"})
    assert asked.status == 401 and asked.json["flows"] == [{"stages": ["m.login.registration_token"]}]
    validity = "/_matrix/client/v1/register/m.login.registration_token/validity"
    assert (await server.anonymous.get(f"{validity}?token=nope")).ok() == {"valid": False}
    await check(
        server.anonymous,
        [
            ("GET", validity, None, 400, "M_MISSING_PARAM"),
            ("POST", "register", {"username": "eve", "password": "short 1"}, 400, "M_WEAK_PASSWORD"),
            ("POST", "register", {"username": "eve", "password": "no digits at all"}, 400, "M_WEAK_PASSWORD"),
        ],
    )
    auth = {"type": "m.login.registration_token", "token": "nope", "session": asked.json["session"]}
    refused = await server.anonymous.post(
        "register", {"username": "eve", "password": "long enough 123", "auth": auth}
    )
    assert refused.status == 401 and refused.json["errcode"] == "M_UNAUTHORIZED"
    assert refused.json["session"] == asked.json["session"] and refused.json["flows"]


@pytest.mark.parametrize("inhibit", [True, False])
async def test_inhibit_login(server: Server, inhibit: bool) -> None:
    """With it there is neither token nor device in the answer, and the account can log in later all the same."""
    body = {
        "username": "quiet",
        "password": PASSWORD,
        "auth": DUMMY,
        "inhibit_login": inhibit,
        "refresh_token": True,
    }
    answer = (await server.anonymous.post("register", body)).ok()
    assert ("access_token" in answer, "device_id" in answer, "refresh_token" in answer) == (not inhibit,) * 3
    assert answer["user_id"] == "@quiet:example.org"
    assert len((await (await server.login("quiet")).get("devices")).ok()["devices"]) == 1 + (not inhibit)
