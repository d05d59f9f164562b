"""Deleting rooms: everybody leaves, nothing is left, and clients hear of it; by every path."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from chamberlain.admin.deletion import CLOSING, DELETE_ROOM, SWEEPING
from chamberlain.store import purged
from chamberlain.store.tx import Read, Write
from tests.api.admin.asking import DENDRITE, NATIVE, SYNAPSE, at, calls
from tests.api.admin.test_evacuate import fill
from tests.support.server import Client, Server, path, test_config, until

V2 = "/_synapse/admin/v2"
UNKNOWN = "!nowhere:example.org"


async def rows_of(tx: Read, room_id: str) -> int:
    """How many rows there are of a room, in the tables that matter most."""
    found: int = await tx.value(
        "SELECT (SELECT COUNT(*) FROM events WHERE room_id = :room_id)"
        " + (SELECT COUNT(*) FROM memberships WHERE room_id = :room_id)"
        " + (SELECT COUNT(*) FROM rooms WHERE room_id = :room_id)"
        " + (SELECT COUNT(*) FROM state_lines WHERE room_id = :room_id)"
        " + (SELECT COUNT(*) FROM room_aliases WHERE room_id = :room_id)"
        " + (SELECT COUNT(*) FROM receipts WHERE room_id = :room_id)",
        room_id=room_id,
    )
    return found


async def lively_room(alice: Client, bob: Client) -> str:
    """A room with all kinds of things in it."""
    room = await alice.create_room(preset="public_chat", name="Salon", room_alias_name="salon")
    await bob.join(room)
    event = await alice.say(room, f"hello {bob.user_id}")
    (await bob.post(path("rooms", room, "receipt", "m.read", event))).ok()
    (await bob.put(path("user", bob.user_id, "rooms", room, "tags", "u.work"), {})).ok()
    (await bob.post(path("rooms", room, "report", event), {"reason": "rude"})).ok()
    await alice.set_state(room, "m.room.topic", {"topic": "Talk"})
    return room


async def delete(root: Client, room: str, **wanted: Any) -> dict[str, Any]:
    """Delete a room by the native path; gives the job with its items."""
    started = (await root.post(at(f"{NATIVE}/rooms", room, "delete"), {"wait": True, **wanted})).ok()
    found: dict[str, Any] = (await root.get(f"{NATIVE}/jobs/{started['job_id']}?limit=1000")).ok()
    return found


async def assert_gone(server: Server, root: Client, user: Client, room: str) -> None:
    """Nothing of the room is left, and whatever is asked of it is answered cleanly."""
    assert await server.app.services.db.read(rows_of, room) == 0
    for target in (
        path("rooms", room, "state"),
        path("rooms", room, "members"),
        path("rooms", room, "messages", dir="b"),
        path("rooms", room, "joined_members"),
        path("rooms", room, "aliases"),
    ):
        assert (await user.get(target)).status in (403, 404)
    assert (await user.post(path("join", room))).status == 404
    (await user.get("/_matrix/client/v3/directory/room/%23salon:example.org")).error(404, "M_NOT_FOUND")
    (await root.get(at(f"{SYNAPSE}/rooms", room))).error(404, "M_NOT_FOUND")
    assert room not in (await user.get("joined_rooms")).ok()["joined_rooms"]
    assert room not in str((await user.get("sync")).ok().get("rooms"))


async def test_nothing_is_left_of_a_room(server: Server, root: Client, alice: Client, bob: Client) -> None:
    """Clients that wait and clients that come later are told that they are out; the rest goes on as it was."""
    room, other = await lively_room(alice, bob), await alice.create_room(name="Other")
    await alice.sync()
    await bob.sync()
    before = bob.since
    found = await delete(root, room)

    job, items = found["job"], {item["item"]: item for item in found["items"]}
    assert (job["kind"], job["state"], job["failed"], job["done"]) == (
        DELETE_ROOM,
        "complete",
        0,
        job["total"],
    )
    assert list(items)[:3] == [alice.user_id, bob.user_id, "#salon:example.org"]
    assert items[alice.user_id]["detail"].startswith("$")
    assert int(items["events"]["detail"]) > 10 and items["reports"]["detail"] == "1"
    assert items["staged_pdus"]["state"] == "skipped"
    await assert_gone(server, root, alice, room)
    for client in (alice, bob):
        left = (await client.sync())["rooms"]["leave"][room]
        assert left["timeline"]["events"] == left["state"]["events"] == []
        assert "rooms" not in await client.sync()
    bob.since = before
    assert room in (await bob.sync(filter='{"room":{"include_leave":true}}'))["rooms"]["leave"]
    assert (await alice.get(path("rooms", other, "state", "m.room.name", ""))).ok() == {"name": "Other"}
    (await root.post(at(f"{NATIVE}/rooms", room, "delete"))).error(404, "M_NOT_FOUND")


async def test_a_poll_that_waits_hears_of_it(root: Client, alice: Client) -> None:
    """By the leave, before anything is deleted."""
    room = await alice.create_room()
    await alice.sync()
    poll = asyncio.create_task(alice.sync(timeout_ms=20_000))
    await delete(root, room)

    answer = await poll
    assert room in answer["rooms"]["leave"]
    assert room not in answer["rooms"].get("join", {})


async def test_the_members_are_brought_into_another_room(
    server: Server, root: Client, alice: Client, bob: Client
) -> None:
    """Those who were joined, not the invited; its maker alone may talk there; the aliases name it from then on."""
    room = await lively_room(alice, bob)
    carol, mod = await server.register("carol"), await server.register("mod")
    await alice.invite(room, carol)
    wanted = {"new_room_user_id": mod.user_id, "room_name": "Sorry", "message": "It is closed."}
    answer = (await root.delete(at(f"{SYNAPSE}/rooms", room), wanted)).ok()

    new = answer["new_room_id"]
    assert sorted(answer["kicked_users"]) == [alice.user_id, bob.user_id, carol.user_id]
    assert (answer["failed_to_kick_users"], answer["local_aliases"]) == ([], ["#salon:example.org"])
    members = (await mod.get(path("rooms", new, "joined_members"))).ok()["joined"]
    assert sorted(members) == [alice.user_id, bob.user_id, mod.user_id]
    assert (await alice.state(new, "m.room.name")).ok() == {"name": "Sorry"}
    said = (await alice.get(path("rooms", new, "messages", dir="b"))).ok()["chunk"]
    assert [e["content"]["body"] for e in said if e["type"] == "m.room.message"] == ["It is closed."]
    assert (await alice.put(path("rooms", new, "send", "m.room.message", "t"), {})).status == 403
    found = (await alice.get("/_matrix/client/v3/directory/room/%23salon:example.org")).ok()
    assert found["room_id"] == new
    assert await server.app.services.db.read(rows_of, room) == 0


async def test_shutting_down_without_purging(
    server: Server, root: Client, alice: Client, bob: Client
) -> None:
    """Everybody is out, what was said stays."""
    room = await lively_room(alice, bob)
    answer = (await root.delete(at(f"{SYNAPSE}/rooms", room), {"purge": False})).ok()

    assert answer == {
        "kicked_users": [alice.user_id, bob.user_id],
        "failed_to_kick_users": [],
        "local_aliases": [],
        "new_room_id": None,
    }
    assert (await root.get(at(f"{SYNAPSE}/rooms", room))).ok()["joined_members"] == 0
    assert (await alice.get(path("rooms", room, "messages", dir="b"))).ok()["chunk"]


async def test_whoever_cannot_leave_keeps_the_room(
    server: Server, root: Client, alice: Client, bob: Client
) -> None:
    """The room is not purged, and goes on as before; unless it is forced, then they are out all the same."""
    room = await lively_room(alice, bob)
    stuck = "@stuck:example.org"
    await server.app.services.db.write(be_joined, room, stuck)
    answer = await root.delete(at(f"{SYNAPSE}/rooms", room), {})

    answer.error(400, "M_UNKNOWN")
    assert not await server.app.services.db.read(purged.is_under_way, room)
    await bob.join(room)
    await bob.sync()
    status = (await root.get(at(f"{V2}/rooms", room, "delete_status"))).ok()["results"][0]
    assert (status["status"], status["shutdown_room"]["failed_to_kick_users"]) == ("failed", [stuck])
    assert status["error"]
    answer = (await root.delete(at(f"{SYNAPSE}/rooms", room), {"force_purge": True})).ok()
    assert (answer["kicked_users"], answer["failed_to_kick_users"]) == ([bob.user_id], [stuck])
    assert room in (await bob.sync())["rooms"]["leave"]
    await assert_gone(server, root, bob, room)


async def be_joined(tx: Write, room_id: str, user_id: str) -> None:
    """Have a membership of which the room's state does not know."""
    await tx.run(
        "INSERT INTO memberships (room_id, user_id, membership, local, event_id, sender, position, forgotten)"
        " VALUES (:room_id, :user_id, 'join', TRUE, '$x', :user_id, 1, FALSE)",
        room_id=room_id,
        user_id=user_id,
    )


async def test_in_the_background(server: Server, root: Client, alice: Client, bob: Client) -> None:
    """The answer names the deletion, which can be looked at by its id and by the room."""
    room = await lively_room(alice, bob)
    (await root.get(at(f"{V2}/rooms", room, "delete_status"))).error(404, "M_NOT_FOUND")
    begun = (await root.delete(at(f"{V2}/rooms", room), {})).ok()["delete_id"]
    target = at(f"{V2}/rooms/delete_status", begun)

    async def is_complete() -> bool:
        return (await root.get(target)).ok()["status"] == "complete"

    await until(is_complete)
    shown = (await root.get(target)).ok()
    assert shown == {
        "delete_id": begun,
        "room_id": room,
        "status": "complete",
        "shutdown_room": {
            "kicked_users": [alice.user_id, bob.user_id],
            "failed_to_kick_users": [],
            "local_aliases": [],
            "new_room_id": None,
        },
    }
    assert (await root.get(at(f"{V2}/rooms", room, "delete_status"))).ok() == {"results": [shown]}
    await assert_gone(server, root, alice, room)
    (await root.get(at(f"{V2}/rooms/delete_status", "nothing"))).error(404, "M_NOT_FOUND")
    other = await alice.create_room()
    evacuated = (await root.post(at(f"{NATIVE}/rooms", other, "evacuate"))).ok()["job_id"]
    (await root.get(at(f"{V2}/rooms/delete_status", evacuated))).error(404, "M_NOT_FOUND")
    # Traces of a room that is not known are deleted, too.
    begun = (await root.delete(at(f"{V2}/rooms", UNKNOWN), {})).ok()["delete_id"]
    target = at(f"{V2}/rooms/delete_status", begun)
    await until(is_complete)


async def test_one_deletion_at_a_time(server: Server, root: Client, alice: Client) -> None:
    """A second one in the background is refused while the first is under way; the others attach to it."""
    room = await alice.create_room(preset="public_chat")
    await fill(server, alice, room, [f"u{n}" for n in range(250)])
    begun = (await root.delete(at(f"{V2}/rooms", room), {})).ok()["delete_id"]
    second, third = await asyncio.gather(
        root.delete(at(f"{V2}/rooms", room), {}), root.post(at(f"{SYNAPSE}/rooms", room, "delete"), {})
    )

    second.error(400, "M_UNKNOWN")
    assert len(third.ok()["kicked_users"]) == 251
    jobs = (await root.get(f"{NATIVE}/jobs?kind={DELETE_ROOM}")).ok()["jobs"]
    assert [job["job_id"] for job in jobs] == [begun]


async def test_by_dendrites_path(server: Server, root: Client, alice: Client, bob: Client) -> None:
    """It answers with nothing when the room is gone."""
    room = await lively_room(alice, bob)
    answer = await root.post(at(DENDRITE, "purgeRoom", room))

    assert answer.ok() == {}
    assert answer.headers["cache-control"] == "no-store"
    await assert_gone(server, root, alice, room)
    (await root.post(at(DENDRITE, "purgeRoom", room))).error(404, "M_NOT_FOUND")
    (await root.post(at(DENDRITE, "purgeRoom", "nonsense"))).error(400, "M_INVALID_PARAM")


async def test_what_cannot_be_deleted(server: Server, root: Client, alice: Client, bob: Client) -> None:
    """Rooms that are none, and replacements by users who are none; nothing happens then."""
    room = await alice.create_room()
    for user, status, code in (
        ("@x:elsewhere.org", 400, "M_INVALID_PARAM"),
        ("@nobody:example.org", 404, "M_NOT_FOUND"),
        ("alice", 400, "M_INVALID_PARAM"),
    ):
        for target in (at(f"{SYNAPSE}/rooms", room), at(f"{V2}/rooms", room)):
            (await root.delete(target, {"new_room_user_id": user})).error(status, code)
    for prefix in (SYNAPSE, V2):
        (await root.delete(at(f"{prefix}/rooms", "nonsense"), {})).error(400, "M_INVALID_PARAM")
    (await root.delete(at(f"{SYNAPSE}/rooms", UNKNOWN), {})).error(404, "M_NOT_FOUND")
    (await bob.delete(at(f"{SYNAPSE}/rooms", room), {})).error(403, "M_FORBIDDEN")
    assert (await alice.get(path("rooms", room, "state"))).status == 200
    assert not (await root.get(f"{NATIVE}/jobs")).ok()["jobs"]


async def test_a_dry_run_counts(server: Server, root: Client, alice: Client, bob: Client) -> None:
    """And changes nothing, not even the block."""
    room = await lively_room(alice, bob)
    before = await server.app.services.db.read(rows_of, room)
    plan = (await root.post(at(f"{NATIVE}/rooms", room, "delete"), {"dry_run": True, "block": True})).ok()

    assert plan["users"] == [alice.user_id, bob.user_id]
    assert plan["rooms_without_admin"] == [room] and len(plan["cannot_be_undone"]) == 2
    assert "2 memberships and 1 aliases" in plan["note"]
    assert await server.app.services.db.read(rows_of, room) == before
    assert not (await root.get(at(f"{SYNAPSE}/rooms", room, "block"))).ok()["block"]
    assert not (await root.get(f"{NATIVE}/jobs")).ok()["jobs"]
    (await root.post(at(f"{NATIVE}/rooms", UNKNOWN, "delete"), {"dry_run": True})).error(404, "M_NOT_FOUND")


async def test_blocked_rooms(server: Server, root: Client, alice: Client, bob: Client) -> None:
    """Nobody comes into one, whatever way; who is in it stays; it can be undone."""
    room = await alice.create_room(preset="public_chat")
    target = at(f"{SYNAPSE}/rooms", room, "block")
    assert (await root.get(target)).ok() == {"block": False}
    assert (await root.put(target, {"block": True})).ok() == {"block": True}

    assert (await root.get(target)).ok() == {"block": True, "user_id": root.user_id}
    (await bob.post(path("join", room))).error(403, "M_FORBIDDEN")
    (await bob.post(path("knock", room))).error(403, "M_FORBIDDEN")
    (await alice.post(path("rooms", room, "invite"), {"user_id": bob.user_id})).error(403, "M_FORBIDDEN")
    await alice.say(room, "still here")
    listed = (await root.get(f"{NATIVE}/blocked-rooms")).ok()["rooms"]
    assert [(one["room_id"], one["blocked_by"]) for one in listed] == [(room, root.user_id)]
    assert (await root.put(target, {"block": False})).ok() == {"block": False}
    await bob.join(room)
    (await root.put(target, {})).error(400, "M_MISSING_PARAM")
    (await root.put(at(f"{SYNAPSE}/rooms", "nonsense", "block"), {"block": True})).error(
        400, "M_INVALID_PARAM"
    )
    assert [call["operation"] for call in await calls(root, target=room)] == ["rooms.set_block"] * 2


async def test_a_room_is_blocked_with_its_deletion(root: Client, alice: Client, bob: Client) -> None:
    """Also one that this server does not know."""
    room = await alice.create_room(preset="public_chat")
    for one in (room, UNKNOWN):
        answer = (await root.delete(at(f"{SYNAPSE}/rooms", one), {"block": True})).ok()
        assert answer["kicked_users"] == ([alice.user_id] if one == room else [])
        assert (await root.get(at(f"{SYNAPSE}/rooms", one, "block"))).ok()["block"]
        (await bob.post(path("join", one))).error(403, "M_FORBIDDEN")


@pytest.mark.parametrize("stopped_at", [CLOSING, "state", "events", SWEEPING])
async def test_it_goes_on_after_a_restart(tmp_path: Path, stopped_at: str) -> None:
    """Wherever it was cut off."""
    server = await Server.start(test_config(tmp_path))
    root, alice, bob = await server.admin(), await server.register("alice"), await server.register("bob")
    room = await lively_room(alice, bob)
    reached, never = asyncio.Event(), asyncio.Event()
    kind = server.app.services.admin.jobs._kinds[DELETE_ROOM]
    work = kind.work

    async def hang(job: Any, items: Any) -> Any:
        settled = await work(job, items)
        if items[0].item == stopped_at:
            reached.set()
            await never.wait()
        return settled

    kind.work = hang  # type: ignore[method-assign]
    started = (await root.post(at(f"{NATIVE}/rooms", room, "delete"))).ok()["job_id"]
    await reached.wait()
    await server.stop()
    server = await Server.start(test_config(tmp_path))
    for client in (root, alice):
        client.server = server
    job = await server.app.services.admin.jobs.wait(started)

    assert (job.state, job.failed, job.done) == ("complete", 0, job.total)
    assert not await server.app.services.db.read(purged.is_under_way, room)
    await assert_gone(server, root, alice, room)
    await server.stop()


async def test_a_cancelled_deletion_can_be_taken_up_again(
    server: Server, root: Client, alice: Client, bob: Client
) -> None:
    """It ends with the step in hand; the room is closed, and nobody comes in until the rest is gone."""
    room = await lively_room(alice, bob)
    jobs = server.app.services.admin.jobs
    kind = jobs._kinds[DELETE_ROOM]
    work = kind.work

    async def cancel(job: Any, items: Any) -> Any:
        if items[0].item == CLOSING:
            await jobs.cancel(job.job_id)
        return await work(job, items)

    kind.work = cancel  # type: ignore[method-assign]
    found = await delete(root, room)
    kind.work = work  # type: ignore[method-assign]

    assert found["job"]["state"] == "cancelled"
    assert await server.app.services.db.read(purged.is_under_way, room)
    assert (await bob.get(path("rooms", room, "joined_members"))).status in (403, 404)
    assert (await delete(root, room))["job"]["state"] == "complete"
    await assert_gone(server, root, alice, room)
