"""Logging in and out, passwords, devices and the end of an account, as other servers' suites check them."""

import pytest

from tests.api.conformance.table import PASSWORD, check, found, proof
from tests.support.server import Client, Server, path


def _login(user: object, password: object = PASSWORD, **extra: object) -> dict[str, object]:
    identifier = {"type": "m.id.user", "user": user}
    return {"type": "m.login.password", "identifier": identifier, "password": password, **extra}


async def test_login_answers_what_clients_read(server: Server, alice: Client) -> None:
    """Flows; a full id and a localpart; the device asked for; `home_server`; no two logins with one token."""
    flows = (await server.anonymous.get("login")).ok()["flows"]
    assert {"type": "m.login.password"} in flows
    seen = set()
    for name in ("alice", "@alice:example.org", "ALICE", "@ALICE:example.org"):
        answer = (await server.anonymous.post("login", _login(name, device_id="PHONE"))).ok()
        assert (answer["user_id"], answer["device_id"]) == (alice.user_id, "PHONE")
        assert answer["home_server"] == "example.org"
        assert "refresh_token" not in answer and "expires_in_ms" not in answer
        seen.add(answer["access_token"])
        whoami = (await Client(server, answer["access_token"]).get("account/whoami")).ok()
        assert whoami == {"user_id": alice.user_id, "device_id": "PHONE"}
    assert len(seen) == 4
    assert len((await alice.get("devices")).ok()["devices"]) == 2
    answer = (await server.anonymous.post("login", _login("alice", refresh_token=True))).ok()
    assert answer["refresh_token"] and answer["expires_in_ms"] > 0


async def test_logins_that_are_refused(server: Server, alice: Client) -> None:
    """Wrong and unknown are told apart by nothing; every wrong shape is a 400."""
    wrong = await server.anonymous.post("login", _login("alice", "wrong"))
    unknown = await server.anonymous.post("login", _login("nobody", "wrong"))
    assert (wrong.status, wrong.json) == (unknown.status, unknown.json)
    await check(
        server.anonymous,
        [
            ("POST", "login", _login("alice", "wrong"), 403, "M_FORBIDDEN"),
            ("POST", "login", _login("@alice:elsewhere.org"), 403, "M_FORBIDDEN"),
            ("POST", "login", _login("alice", ""), 403, "M_FORBIDDEN"),
            ("POST", "login", _login("alice", "x" * 5000), 403, "M_FORBIDDEN"),
            ("POST", "login", _login("a\0lice", "\0"), 403, "M_FORBIDDEN"),
            ("POST", "login", _login("alice", 7), 400, "M_BAD_JSON"),
            ("POST", "login", _login(7), 400, "M_BAD_JSON"),
            ("POST", "login", _login({}), 400, "M_BAD_JSON"),
            ("POST", "login", {}, 400, "M_MISSING_PARAM"),
            ("POST", "login", {"type": "m.login.bogus"}, 400, "M_UNKNOWN"),
            ("POST", "login", {"type": 5}, 400, "M_BAD_JSON"),
            ("POST", "login", {"type": "m.login.password", "password": "x"}, 400, "M_MISSING_PARAM"),
            ("POST", "login", {"type": "m.login.token", "token": "nope"}, 403, "M_FORBIDDEN"),
            ("POST", "login", _login("alice", device_id=5), 400, "M_BAD_JSON"),
        ],
    )


async def test_tokens_that_are_no_good(server: Server, alice: Client) -> None:
    """Missing, unknown, empty, of another scheme and logged out ones, at logout and everywhere."""
    other = await server.login("alice")
    (await other.post("logout")).ok()
    for method, target in (
        ("GET", "account/whoami"),
        ("POST", "logout"),
        ("POST", "logout/all"),
        ("GET", "sync"),
    ):
        for token, errcode in (
            (None, "M_MISSING_TOKEN"),
            ("invalidaccesstoken", "M_UNKNOWN_TOKEN"),
            (other.token, "M_UNKNOWN_TOKEN"),
            ("", "M_MISSING_TOKEN"),
            ("é\x7f", "M_UNKNOWN_TOKEN"),
        ):
            answer = await Client(server, token).request(method, target, {} if method == "POST" else None)
            assert found(answer) == (401, errcode), (target, token)
            assert not answer.json.get("soft_logout")
    assert alice.token is not None
    basic = await server.anonymous.request(
        "GET", "account/whoami", None, {"Authorization": f"Basic {alice.token}"}
    )
    basic.error(401, "M_MISSING_TOKEN")
    lower = await server.anonymous.request(
        "GET", "account/whoami", None, {"Authorization": f"bearer {alice.token}"}
    )
    assert lower.ok()["user_id"] == alice.user_id


async def test_logging_out_everywhere(server: Server, alice: Client) -> None:
    """`/logout` ends one device, `/logout/all` all of them and their devices; nobody else's."""
    phone, laptop, bob = (
        await server.login("alice"),
        await server.login("alice"),
        await server.register("bob"),
    )
    assert (await phone.post("logout")).ok() == {}
    assert found(await phone.get("devices")) == (401, "M_UNKNOWN_TOKEN")
    assert (await laptop.get(f"devices/{phone.device_id}")).status == 404
    assert (await laptop.request("POST", "logout/all")).ok() == {}
    for client in (alice, phone, laptop):
        assert found(await client.get("devices")) == (401, "M_UNKNOWN_TOKEN")
    assert (await bob.get("devices")).status == 200
    again = await server.login("alice")
    assert [device["device_id"] for device in (await again.get("devices")).ok()["devices"]] == [
        again.device_id
    ]


async def test_devices(server: Server, alice: Client, bob: Client) -> None:
    """Get, list, rename and delete, with the errors for unknown and foreign devices and without proof."""
    phone = await server.login("alice", device_id="login_device", initial_device_display_name="display")
    shown = (await phone.get("devices/login_device")).ok()
    assert (shown["device_id"], shown["display_name"]) == ("login_device", "display")
    assert (await phone.put("devices/login_device", {"display_name": "new"})).ok() == {}
    assert (await alice.get("devices/login_device")).ok()["display_name"] == "new"
    await check(
        alice,
        [
            ("GET", "devices/unknown", None, 404, "M_NOT_FOUND"),
            ("GET", path("devices", bob.device_id), None, 404, "M_NOT_FOUND"),
            ("PUT", "devices/unknown", {"display_name": "x"}, 404, "M_NOT_FOUND"),
            ("PUT", path("devices", bob.device_id), {"display_name": "x"}, 404, "M_NOT_FOUND"),
            ("PUT", "devices/login_device", {"display_name": 5}, 400, "M_BAD_JSON"),
            ("POST", "delete_devices", {"devices": "login_device"}, 400, "M_BAD_JSON"),
            ("POST", "delete_devices", {}, 400, "M_MISSING_PARAM"),
        ],
    )
    for body in (None, {}, {"auth": {}}):
        answer = await alice.delete("devices/login_device", body)
        assert answer.status == 401 and answer.json["session"] and "errcode" not in answer.json
        assert {"stages": ["m.login.password"]} in answer.json["flows"]
    session = (await alice.delete("devices/login_device")).json["session"]
    for auth, status in (
        (proof("alice", "wrong", session), 401),
        (proof("bob", PASSWORD, session), 403),
        (proof("nobody", PASSWORD, session), 403),
    ):
        answer = await alice.delete("devices/login_device", {"auth": auth})
        assert found(answer) == (status, "M_FORBIDDEN")
    assert (await phone.get("devices/login_device")).status == 200
    (await alice.delete("devices/login_device", {"auth": proof("alice", PASSWORD, session)})).ok()
    assert found(await phone.get("account/whoami")) == (401, "M_UNKNOWN_TOKEN")
    assert (await alice.get("devices/login_device")).status == 404
    session = (await alice.delete("devices/login_device")).json["session"]
    (await alice.delete("devices/login_device", {"auth": proof("alice", PASSWORD, session)})).ok()
    assert (await bob.get("account/whoami")).status == 200


async def test_changing_a_password(server: Server, alice: Client) -> None:
    """A wrong proof changes nothing; the new password works and the old does not; others are logged out or stay."""
    phone = await server.login("alice")
    bad = await alice.post(
        "account/password", {"new_password": "another password", "auth": proof("alice", "wrong")}
    )
    bad.error(401, "M_FORBIDDEN")
    assert (await phone.get("account/whoami")).status == 200
    kept = {"new_password": "another password", "logout_devices": False, "auth": proof("alice")}
    assert (await alice.post("account/password", kept)).ok() == {}
    assert (await phone.get("account/whoami")).status == 200
    (await server.anonymous.post("login", _login("alice"))).error(403, "M_FORBIDDEN")
    changed = {"new_password": "third password", "auth": proof("alice", "another password")}
    assert (await alice.post("account/password", changed)).ok() == {}
    assert found(await phone.get("account/whoami")) == (401, "M_UNKNOWN_TOKEN")
    assert (await alice.get("account/whoami")).status == 200
    await server.login("alice", "third password")
    await check(
        alice,
        [
            ("POST", "account/password", {"new_password": "short"}, 400, "M_WEAK_PASSWORD"),
            ("POST", "account/password", {"new_password": 5}, 400, "M_BAD_JSON"),
            ("POST", "account/password", {}, 400, "M_MISSING_PARAM"),
        ],
    )
    for token, errcode in ((None, "M_MISSING_TOKEN"), ("nope", "M_UNKNOWN_TOKEN")):
        answer = await Client(server, token).post("account/password", {"new_password": "long enough"})
        assert found(answer) == (401, errcode)


@pytest.mark.parametrize("erase", [False, True])
async def test_deactivating_oneself(server: Server, alice: Client, bob: Client, erase: bool) -> None:
    """Flow first, a wrong password refused; then tokens, password and memberships are gone, and the id for good."""
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    invited = await bob.create_room(invite=[alice.user_id])
    await bob.sync()
    asked = await alice.post("account/deactivate", {"erase": erase})
    assert asked.status == 401 and {"stages": ["m.login.password"]} in asked.json["flows"]
    (await alice.post("account/deactivate", {"auth": proof("alice", "wrong")})).error(401, "M_FORBIDDEN")
    assert (await alice.get("account/whoami")).status == 200
    auth = proof("alice", PASSWORD, asked.json["session"])
    done = (await alice.post("account/deactivate", {"auth": auth, "erase": erase})).ok()
    assert done["id_server_unbind_result"] in ("success", "no-support")
    assert found(await alice.get("sync")) == (401, "M_UNKNOWN_TOKEN")
    assert found(await server.anonymous.post("login", _login("alice"))) in (
        (403, "M_FORBIDDEN"),
        (403, "M_USER_DEACTIVATED"),
    )
    for room in (room_id, invited):
        assert (await bob.state(room, "m.room.member", alice.user_id)).ok()["membership"] == "leave"
    body = {"username": "alice", "password": PASSWORD, "auth": {"type": "m.login.dummy"}}
    (await server.anonymous.post("register", body)).error(400, "M_USER_IN_USE")
    (await server.anonymous.get("register/available?username=alice")).error(400, "M_USER_IN_USE")
    if erase:
        assert (await bob.get(path("profile", alice.user_id))).status in (200, 404)
        assert "displayname" not in (await bob.get(path("profile", alice.user_id))).json
