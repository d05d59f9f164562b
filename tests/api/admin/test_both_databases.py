"""The operations once through, with the whole server on each database."""

import asyncio
from pathlib import Path

from chamberlain.admin.leaving import EVACUATE_ROOM
from tests.api.admin.asking import DENDRITE, NATIVE, OLD, SYNAPSE, at, calls
from tests.support.server import Server, path, test_config, until


async def test_once_through(tmp_path: Path, database_url: str) -> None:
    """Register, look, tell, evacuate, end, verify: each works, and each is written down once."""
    server = await Server.start(test_config(tmp_path, database_url))
    root, alice, bob = await server.admin(), await server.register("alice"), await server.register("bob")
    room = await alice.create_room(name="Meeting", preset="public_chat")
    await bob.join(room)
    assert (await root.get(f"{OLD}/whois/{alice.user_id}")).ok()["devices"][alice.device_id]
    assert (await root.get(f"{SYNAPSE}/rooms?search_term=meet&order_by=size")).ok()["total_rooms"] == 1
    assert (await root.get("/_synapse/admin/v2/users?name=ali&order_by=last_seen_ts&dir=b")).ok()[
        "total"
    ] == 1
    notice = {"user_id": bob.user_id, "content": {"msgtype": "m.text", "body": "hello"}}
    sent = [await root.put(f"{SYNAPSE}/send_server_notice/t", notice) for _ in range(2)]
    assert sent[0].ok() == sent[1].ok()
    affected = (await root.get(at(DENDRITE, "evacuateRoom", room))).ok()["affected"]
    assert affected == [alice.user_id, bob.user_id]
    body = {"password": "a new password"}
    assert (await root.post(f"{DENDRITE}/resetPassword/alice", body)).ok() == {"password_updated": True}
    (await root.post(f"{OLD}/deactivate/{bob.user_id}")).ok()
    (await bob.get("account/whoami")).error(401, "M_UNKNOWN_TOKEN")
    (await root.put(f"{NATIVE}/users/{alice.user_id}/suspended", {"suspended": True})).ok()

    operations = [call["operation"] for call in await calls(root, actor=root.user_id)]
    assert operations == [
        "users.set_suspended",
        "users.deactivate",
        "users.reset_password",
        "rooms.evacuate",
        "notices.send",
        "notices.send",
        "users.whois",
    ]
    assert (await root.get(f"{NATIVE}/audit/verify")).ok()["ok"]
    jobs = (await root.get(f"{NATIVE}/jobs")).ok()["jobs"]
    assert [(job["kind"], job["state"], job["done"]) for job in jobs] == [
        ("deactivate", "complete", 1),
        (EVACUATE_ROOM, "complete", 2),
    ]
    await server.stop()


async def test_two_workers(tmp_path: Path, database_url: str) -> None:
    """On PostgreSQL any worker gives the nonce, takes the registration, runs the job and answers for it."""
    if database_url.startswith("sqlite"):
        return
    from chamberlain.config.cluster import Cluster

    config = test_config(tmp_path, database_url, cluster=Cluster(workers=2))
    one, two = await Server.start(config), await Server.start(config)
    root = await one.admin()
    alice = await one.register("alice")
    room = await alice.create_room(preset="public_chat")
    root.server = two
    path = at(DENDRITE, "evacuateRoom", room)
    first, second = await asyncio.gather(root.post(path), root.post(path))
    notice = {"user_id": alice.user_id, "content": {"msgtype": "m.text", "body": "hello"}}
    sent = []
    for server in (one, two):
        root.server = server
        sent.append((await root.put(f"{SYNAPSE}/send_server_notice/t", notice)).ok())

    assert first.ok()["affected"] == second.ok()["affected"] == [alice.user_id]
    assert sent[0] == sent[1]
    assert (await root.get(f"{NATIVE}/audit/verify")).ok()["ok"]
    await one.stop()
    await two.stop()


async def test_every_worker_forgets_a_deleted_room(tmp_path: Path, database_url: str) -> None:
    """Whoever is asked knows nothing of it, and tells its members that they are out."""
    from chamberlain.config.cluster import Cluster

    shared = not database_url.startswith("sqlite")
    config = test_config(tmp_path, database_url, cluster=Cluster(workers=2 if shared else 1))
    one = await Server.start(config)
    two = await Server.start(config) if shared else one
    root, alice, bob = await one.admin(), await one.register("alice"), await one.register("bob")
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    bob.server = two
    await alice.sync()
    await bob.sync()
    await bob.say(room, "hello")
    (await root.delete(at(f"{SYNAPSE}/rooms", room), {})).ok()
    root.server = two

    async def is_unknown() -> bool:
        return (await root.get(at(f"{SYNAPSE}/rooms", room))).status == 404

    await until(is_unknown)
    for client in (alice, bob):
        left = await client.sync_until(lambda answer: "leave" in answer.get("rooms", {}))
        assert list(left["rooms"]["leave"]) == [room]
        assert (await client.put(path("rooms", room, "send", "m.room.message", "t"), {})).status == 403
        (await client.get(path("rooms", room, "state"))).error(403, "M_FORBIDDEN")
        assert "rooms" not in (await client.get("sync")).ok()
    await two.stop()
    if shared:
        await one.stop()
