"""Deactivating an account, by its old path and by today's."""

import asyncio

import pytest

from chamberlain.store.threepids import Threepid, add, find_user
from tests.api.admin.asking import NATIVE, OLD, SYNAPSE, at, calls, member
from tests.support.server import Client, Server


@pytest.mark.parametrize("prefix", [OLD, SYNAPSE])
async def test_a_deactivated_account_is_gone(
    server: Server, root: Client, alice: Client, bob: Client, prefix: str
) -> None:
    """Tokens, password, identifiers and memberships end; others see real leave events; the id stays taken."""
    room = await bob.create_room(preset="public_chat")
    await alice.join(room)
    invited = await bob.create_room(invite=[alice.user_id])
    knocked = await bob.create_room(
        initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}]
    )
    (await alice.post(at("/_matrix/client/v3/knock", knocked))).ok()
    phone = await server.login("alice")
    mail = Threepid("email", "alice@example.org", 1, 1)
    await server.app.services.db.write(add, alice.user_id, mail)
    answer = await root.request("POST", at(prefix, "deactivate", alice.user_id), None)

    assert answer.ok() == {"id_server_unbind_result": "success"}
    for device in (alice, phone):
        (await device.get("account/whoami")).error(401, "M_UNKNOWN_TOKEN")
    login = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": "alice"},
        "password": "correct horse battery",
    }
    (await server.anonymous.post("login", login)).error(403, "M_USER_DEACTIVATED")
    for left in (room, invited, knocked):
        assert (await member(bob, left, alice.user_id))["membership"] == "leave"
    assert await server.app.services.db.read(find_user, "email", "alice@example.org") is None
    taken = await server.anonymous.post(
        "register", {"username": "alice", "password": "x" * 12, "auth": {"type": "m.login.dummy"}}
    )
    taken.error(400, "M_USER_IN_USE")


async def test_a_waiting_sync_ends_at_once(root: Client, alice: Client, bob: Client) -> None:
    """Who waits in a long poll is told that the token is gone; others hear who left."""
    room = await bob.create_room(preset="public_chat")
    await alice.join(room)
    for user in (alice, bob, alice):
        await user.sync(set_presence="offline")
    quiet = f"sync?timeout=600000&set_presence=offline&since={alice.since}"
    waiting = asyncio.create_task(alice.get(quiet))
    await asyncio.sleep(0)
    (await root.post(f"{SYNAPSE}/deactivate/{alice.user_id}")).ok()
    async with asyncio.timeout(60):
        ended = await waiting
    heard = (await bob.sync(set_presence="offline"))["rooms"]["join"][room]["timeline"]["events"]

    ended.error(401, "M_UNKNOWN_TOKEN")
    assert [(event["sender"], event["content"]["membership"]) for event in heard] == [
        (alice.user_id, "leave")
    ]


async def test_keys_go_with_the_account(root: Client, alice: Client, bob: Client) -> None:
    """Devices and their keys are gone for others too."""
    keys = {
        "user_id": alice.user_id,
        "device_id": alice.device_id,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
        "keys": {f"curve25519:{alice.device_id}": "YWxpY2U", f"ed25519:{alice.device_id}": "YWxpY2U"},
        "signatures": {alice.user_id: {f"ed25519:{alice.device_id}": "c2ln"}},
    }
    (await alice.post("keys/upload", {"device_keys": keys})).ok()
    query = {"device_keys": {alice.user_id: []}}
    before = (await bob.post("keys/query", query)).ok()["device_keys"][alice.user_id]
    (await root.post(f"{SYNAPSE}/deactivate/{alice.user_id}")).ok()
    after = (await bob.post("keys/query", query)).ok()["device_keys"].get(alice.user_id, {})

    assert list(before) == [alice.device_id]
    assert after == {}


async def test_twice_is_harmless_and_may_erase(root: Client, alice: Client, bob: Client) -> None:
    """A second call answers as the first; with `erase` it also forgets the profile."""
    path = f"{SYNAPSE}/deactivate/{alice.user_id}"
    for body in ({}, {}, {"erase": True}):
        assert (await root.post(path, body)).ok() == {"id_server_unbind_result": "success"}
    user = (await root.get(f"/_synapse/admin/v2/users/{alice.user_id}")).ok()

    assert (user["deactivated"], user["erased"], user["displayname"]) == (True, True, None)
    assert (await bob.get(f"profile/{alice.user_id}/displayname")).status == 404


async def test_what_cannot_be_deactivated(root: Client, alice: Client) -> None:
    """Unknown users 404, others' 400, a body that is none 400; nothing happens to anybody."""
    (await root.post(f"{OLD}/deactivate/@nobody:example.org")).error(404, "M_NOT_FOUND")
    (await root.post(f"{OLD}/deactivate/@x:elsewhere.org")).error(400, "M_INVALID_PARAM")
    (await root.post(f"{OLD}/deactivate/alice")).error(400, "M_INVALID_PARAM")
    path = f"{SYNAPSE}/deactivate/{alice.user_id}"
    (await root.post(path, {"erase": "yes"})).error(400, "M_BAD_JSON")
    (await root.request("POST", path, b"{")).error(400, "M_NOT_JSON")

    assert (await alice.get("account/whoami")).status == 200


async def test_deactivating_oneself_leaves_rooms_too(alice: Client, bob: Client) -> None:
    """`/account/deactivate` is the same operation."""
    room = await bob.create_room(preset="public_chat")
    await alice.join(room)
    auth = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": "alice"},
        "password": "correct horse battery",
    }
    (await alice.post("account/deactivate", {"auth": auth})).ok()

    assert (await member(bob, room, alice.user_id))["membership"] == "leave"
    (await alice.get("account/whoami")).error(401, "M_UNKNOWN_TOKEN")


async def test_a_dry_run_changes_nothing(root: Client, alice: Client, bob: Client) -> None:
    """It tells rooms, rooms that lose their administrator, and what is lost; then everything is as before."""
    own = await alice.create_room()
    shared = await bob.create_room(preset="public_chat")
    await alice.join(shared)
    body = {"dry_run": True, "erase": True, "reason": "ticket 7"}
    plan = (await root.post(f"{NATIVE}/users/{alice.user_id}/deactivate", body)).ok()

    assert set(plan["rooms"]) == {own, shared}
    assert plan["rooms_without_admin"] == [own]
    assert len(plan["cannot_be_undone"]) == 2
    assert (await alice.get("account/whoami")).status == 200
    assert (await member(bob, shared, alice.user_id))["membership"] == "join"
    assert (await root.get(f"{NATIVE}/jobs")).ok()["jobs"] == []
    (call,) = await calls(root, operation="users.deactivate")
    assert (call["dry_run"], call["outcome"], call["fields"]["reason"]) == (True, "ok", "ticket 7")


async def test_a_crash_before_the_end_is_made_good(
    server: Server, root: Client, alice: Client, bob: Client
) -> None:
    """A job that was only scheduled when the server died ends the account, and leaves the rooms."""
    room = await bob.create_room(preset="public_chat")
    await alice.join(room)
    admin = server.app.services.admin
    job = await admin.jobs.start("deactivate", alice.user_id, root.user_id, {"erase": False})
    await admin.jobs.wait(job.job_id)

    assert (await member(bob, room, alice.user_id))["membership"] == "leave"
    (await alice.get("account/whoami")).error(401, "M_UNKNOWN_TOKEN")


async def test_many_calls_at_once_are_one(root: Client, alice: Client) -> None:
    """Calls that race all succeed, with one job at a time."""
    for _ in range(5):
        await alice.create_room()
    path = f"{SYNAPSE}/deactivate/{alice.user_id}"
    answers = await asyncio.gather(*(root.post(path) for _ in range(6)))
    jobs = (await root.get(f"{NATIVE}/jobs?subject={alice.user_id}")).ok()["jobs"]

    assert {answer.status for answer in answers} == {200}
    assert sum(job["done"] for job in jobs) == 5
