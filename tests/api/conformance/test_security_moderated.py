"""What locked and suspended accounts reach, and how what they wait for ends (client-server API, Account locking)."""

import asyncio
from typing import Any

import pytest

from chamberlain.http import registry
from chamberlain.http.endpoint import Auth
from tests.api.conformance.table import PASSWORD, check, found, proof
from tests.support.server import Client, Server, path
from tests.support.surface import Parts

SPEC = "/_matrix/client/v1/admin"
SYNAPSE = "/_synapse/admin/v1"


async def test_a_locked_account_reaches_nothing(server: Server, alice: Client) -> None:
    """401 M_USER_LOCKED with a soft logout at each endpoint that asks for a token; afterwards all is as before."""
    root = await server.admin()
    room_id = await alice.create_room()
    (await root.put(f"{SPEC}/lock/{alice.user_id}", {"locked": True})).ok()
    names = {"user_id": alice.user_id, "room_id": room_id, "device_id": alice.device_id}
    wrong = []
    asked = 0
    for endpoint in registry.load():
        if endpoint.auth in (Auth.NONE, Auth.SIGNED_REQUEST) or endpoint.allow_locked:
            continue
        parts = Parts(endpoint, names)
        answer = await alice.request(endpoint.method, parts.target, parts.body)
        asked += 1
        if found(answer) != (401, "M_USER_LOCKED") or answer.json.get("soft_logout") is not True:
            wrong.append(f"{endpoint.method} {endpoint.path}: {found(answer)}")
    assert not wrong and asked > 100, "\n".join(wrong)
    login = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": "alice"},
        "password": PASSWORD,
    }
    assert found(await server.anonymous.post("login", login)) in (
        (401, "M_USER_LOCKED"),
        (403, "M_USER_LOCKED"),
    )
    (await root.put(f"{SPEC}/lock/{alice.user_id}", {"locked": False})).ok()
    assert (await alice.get("joined_rooms")).ok()["joined_rooms"] == [room_id]
    (await root.put(f"{SPEC}/lock/{alice.user_id}", {"locked": True})).ok()
    assert (await alice.post("logout")).ok() == {}


async def test_what_a_suspended_account_may_not(server: Server, alice: Client, bob: Client) -> None:
    """It reaches nobody: no joins, knocks, invitations, messages, state, profile changes, others' redactions."""
    root = await server.admin()
    room_id = await alice.create_room(preset="public_chat")
    public = await bob.create_room(preset="public_chat")
    knockable = await bob.create_room(
        initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}]
    )
    invited = await bob.create_room(invite=[alice.user_id])
    await bob.join(room_id)
    (bobs, own) = (await bob.say(room_id, "mine"), await alice.say(room_id, "own"))
    (await root.put(f"{SPEC}/suspend/{alice.user_id}", {"suspended": True})).ok()
    room = path("rooms", room_id)
    me = path("profile", alice.user_id)
    suspended = (403, "M_USER_SUSPENDED")
    rows: list[Any] = [
        ("POST", path("join", public), {}),
        ("POST", f"{path('rooms', public)}/join", {}),
        ("POST", f"{path('rooms', invited)}/join", {}),
        ("POST", path("knock", knockable), {}),
        ("POST", "createRoom", {}),
        ("POST", f"{room}/invite", {"user_id": bob.user_id}),
        ("POST", f"{room}/kick", {"user_id": bob.user_id}),
        ("POST", f"{room}/ban", {"user_id": bob.user_id}),
        ("POST", f"{room}/unban", {"user_id": bob.user_id}),
        ("POST", f"{room}/upgrade", {"new_version": "11"}),
        ("PUT", f"{room}/send/m.room.message/1", {"msgtype": "m.text", "body": "x"}),
        ("PUT", f"{room}/send/m.reaction/2", {}),
        ("PUT", f"{room}/state/m.room.name/", {"name": "x"}),
        ("PUT", f"{room}/state/m.room.member/{alice.user_id}", {"membership": "join", "displayname": "x"}),
        ("PUT", f"{room}/redact/{bobs}/3", {}),
        ("PUT", f"{room}/send/m.room.redaction/4", {"redacts": bobs}),
        ("PUT", f"{me}/displayname", {"displayname": "x"}),
        ("PUT", f"{me}/avatar_url", {"avatar_url": "mxc://a/b"}),
        ("DELETE", f"{me}/displayname", None),
        ("PUT", "directory/room/%23new:example.org", {"room_id": room_id}),
        (
            "PUT",
            path("directory/list/room").replace("%2F", "/") + "/" + path(room_id),
            {"visibility": "public"},
        ),
        ("POST", "/_matrix/media/v3/upload", b"bytes"),
    ]
    await check(alice, [(*row, *suspended) for row in rows])
    await check(
        alice,
        [
            ("GET", "sync", None, 200, None),
            ("GET", f"{room}/messages?dir=b", None, 200, None),
            ("PUT", f"{room}/redact/{own}/5", {}, 200, None),
            ("POST", f"{room}/receipt/m.read/{bobs}", {}, 200, None),
            ("PUT", "sendToDevice/m.test/6", {"messages": {}}, 200, None),
            ("PUT", f"{path('user', alice.user_id)}/account_data/x", {}, 200, None),
            ("POST", "keys/query", {"device_keys": {}}, 200, None),
            ("POST", f"{path('rooms', invited)}/leave", {}, 200, None),
            ("POST", f"{room}/leave", {}, 200, None),
            ("POST", f"{room}/forget", {}, 200, None),
        ],
    )
    assert (await server.login("alice")).user_id == alice.user_id
    (await alice.post("account/deactivate", {"auth": proof("alice")})).ok()


async def _another_device(phone: Client, root: Client) -> None:
    (await phone.post("logout/all")).ok()


async def _deleted_device(phone: Client, root: Client) -> None:
    (await phone.delete("devices/WAITS", {"auth": proof("alice")})).ok()


async def _new_password(phone: Client, root: Client) -> None:
    (await phone.post("account/password", {"new_password": "a new password", "auth": proof("alice")})).ok()


async def _reset(phone: Client, root: Client) -> None:
    (await root.post(f"{SYNAPSE}/reset_password/{phone.user_id}", {"new_password": "a new password"})).ok()


async def _bare_localpart(phone: Client, root: Client) -> None:
    (await root.post("/_dendrite/admin/resetPassword/alice", {"password": "a new password"})).ok()


async def _logged_in_again(phone: Client, root: Client) -> None:
    await phone.server.login("alice", device_id="WAITS")


async def _deactivated(phone: Client, root: Client) -> None:
    (await root.post(f"/_matrix/client/r0/admin/deactivate/{phone.user_id}")).ok()


async def _locked(phone: Client, root: Client) -> None:
    (await root.put(f"{SPEC}/lock/{phone.user_id}", {"locked": True})).ok()


@pytest.mark.parametrize(
    "end",
    [
        _another_device,
        _deleted_device,
        _new_password,
        _reset,
        _bare_localpart,
        _logged_in_again,
        _deactivated,
        _locked,
    ],
)
async def test_a_long_poll_ends_with_its_token(server: Server, end: Any) -> None:
    """Whoever waits with a token that dies is told so at once, with 401; the token is no good afterwards."""
    root = await server.admin()
    alice = await server.register("alice", device_id="WAITS")
    phone = await server.login("alice")
    await alice.create_room()
    await alice.sync()
    waiting = asyncio.create_task(alice.get(f"sync?since={alice.since}&timeout=600000"))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not waiting.done()
    await end(phone, root)
    async with asyncio.timeout(60):
        answer = await waiting
    errcode = "M_USER_LOCKED" if end is _locked else "M_UNKNOWN_TOKEN"
    answer.error(401, errcode)
    (await alice.get("account/whoami")).error(401, errcode)
