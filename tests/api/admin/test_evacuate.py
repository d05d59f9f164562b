"""Evacuating rooms and users, by the old GET and by POST."""

import asyncio
from pathlib import Path

import pytest

from chamberlain.admin.leaving import EVACUATE_ROOM
from chamberlain.config.admin import Admin as AdminSettings
from chamberlain.matrix.events import Draft
from chamberlain.store.tx import Write
from tests.api.admin.asking import DENDRITE, NATIVE, at, calls, member
from tests.support.server import Client, Server, test_config


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_everyone_of_ours_leaves(
    server: Server, root: Client, alice: Client, bob: Client, method: str
) -> None:
    """Members, invited and knocking users leave with real events; banned ones stay banned."""
    rule = [{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}]
    room = await alice.create_room(preset="public_chat", initial_state=rule)
    others = {name: await server.register(name) for name in ("carol", "dave", "erin")}
    for user in (bob, others["carol"]):
        await alice.invite(room, user)
    await bob.join(room)
    (await others["dave"].post(at("/_matrix/client/v3/knock", room))).ok()
    ban = {"user_id": others["erin"].user_id}
    (await alice.post(f"{at('/_matrix/client/v3/rooms', room)}/ban", ban)).ok()
    answer = await root.request(method, at(DENDRITE, "evacuateRoom", room), None)

    gone = [alice, bob, others["carol"], others["dave"]]
    assert sorted(answer.ok()["affected"]) == sorted(user.user_id for user in gone)
    assert "failed" not in answer.json
    assert answer.headers["cache-control"] == "no-store"
    for user in (*gone, others["erin"]):
        event = await server.app.services.rooms.heads.current(room, "m.room.member", user.user_id)
        assert event is not None
        assert event.content["membership"] == ("leave" if user in gone else "ban")
    for user in (alice, bob):
        assert room not in (await user.get("joined_rooms")).ok()["joined_rooms"]
    again = (await root.request(method, at(DENDRITE, "evacuateRoom", room), None)).ok()
    assert again == {"affected": []}


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_user_leaves_every_room(root: Client, alice: Client, bob: Client, method: str) -> None:
    """Joined rooms and invitations; the answer lists just those, and a second call nothing."""
    joined = await bob.create_room(preset="public_chat")
    await alice.join(joined)
    invited = await bob.create_room(invite=[alice.user_id])
    left = await bob.create_room(preset="public_chat")
    await alice.join(left)
    await alice.leave(left)
    path = at(DENDRITE, "evacuateUser", alice.user_id)
    answer = (await root.request(method, path, None)).ok()

    assert sorted(answer["affected"]) == sorted([joined, invited])
    for room in (joined, invited):
        assert (await member(bob, room, alice.user_id))["membership"] == "leave"
    assert (await root.request(method, path, None)).ok() == {"affected": []}
    await alice.join(joined)
    assert (await alice.get("account/whoami")).status == 200


async def test_what_cannot_be_evacuated(root: Client) -> None:
    """Unknown rooms and users are 404, others' users and malformed ids 400, a HEAD runs nothing."""
    for method in ("GET", "POST"):
        for part, status, code in (
            ("evacuateRoom/!nowhere:example.org", 404, "M_NOT_FOUND"),
            ("evacuateRoom/nonsense", 400, "M_INVALID_PARAM"),
            ("evacuateUser/@nobody:example.org", 404, "M_NOT_FOUND"),
            ("evacuateUser/@x:elsewhere.org", 400, "M_INVALID_PARAM"),
            ("evacuateUser/alice", 400, "M_INVALID_PARAM"),
        ):
            (await root.request(method, f"{DENDRITE}/{part}")).error(status, code)
    assert (await root.request("HEAD", f"{DENDRITE}/evacuateUser/{root.user_id}")).status == 405


async def test_what_fails_is_told_apart(server: Server, root: Client, alice: Client, bob: Client) -> None:
    """A room that cannot be left is not among those affected, and the cause is told; the others are left."""
    good = await bob.create_room(preset="public_chat")
    await alice.join(good)
    lost = "!elsewhere:remote.example"

    async def be_invited(tx: Write) -> None:
        await tx.run(
            "INSERT INTO memberships (room_id, user_id, membership, local, event_id, sender, position, forgotten)"
            " VALUES (:room_id, :user_id, 'invite', :yes, '$x', '@x:remote.example', 1, :no)",
            room_id=lost,
            user_id=alice.user_id,
            yes=True,
            no=False,
        )

    await server.app.services.db.write(be_invited)
    answer = (await root.post(at(DENDRITE, "evacuateUser", alice.user_id))).ok()

    assert answer["affected"] == [good]
    assert list(answer["failed"]) == [lost]
    assert answer["failed"][lost]


async def test_the_get_forms_can_be_switched_off(tmp_path: Path) -> None:
    """With the setting off, GET is refused and POST works."""
    server = await Server.start(test_config(tmp_path, admin=AdminSettings(legacy_get_evacuate=False)))
    root = await server.admin()
    path = at(DENDRITE, "evacuateUser", root.user_id)

    (await root.get(path)).error(405, "M_UNRECOGNIZED")
    assert (await root.post(path)).ok() == {"affected": []}
    await server.stop()


async def fill(server: Server, alice: Client, room: str, names: list[str]) -> list[str]:
    """Have users joined to the room, by the pipeline's front door for many."""
    services = server.app.services
    made = await asyncio.gather(*(services.accounts.registration.register(name, None) for name in names))
    users = [registered.user_id for registered in made]
    await join_all(server, room, users)
    return users


async def join_all(server: Server, room: str, users: list[str]) -> None:
    """Have the users in the room."""
    services = server.app.services
    drafts = [
        Draft(
            room_id=room,
            type="m.room.member",
            sender=user,
            content={"membership": "join"},
            state_key=user,
            origin_server_ts=services.clock.now(),
        )
        for user in users
    ]
    results = await services.rooms.submit.submit_many(drafts)
    assert not [result for result in results if isinstance(result, Exception)]


async def test_a_big_room_in_batches_and_once_for_all_who_ask(
    server: Server, root: Client, alice: Client
) -> None:
    """Calls that come while it runs attach to the same job and give the same answer."""
    room = await alice.create_room(preset="public_chat")
    users = await fill(server, alice, room, [f"u{n}" for n in range(450)])
    path = at(DENDRITE, "evacuateRoom", room)
    answers = await asyncio.gather(root.post(path), root.get(path), root.post(path))
    jobs = (await root.get(f"{NATIVE}/jobs?kind={EVACUATE_ROOM}")).ok()["jobs"]

    assert len(jobs) == 1
    for answer in answers:
        assert sorted(answer.ok()["affected"]) == sorted([alice.user_id, *users])
    assert (jobs[0]["total"], jobs[0]["done"], jobs[0]["failed"]) == (451, 451, 0)
    assert {call["job_id"] for call in await calls(root, operation="rooms.evacuate")} == {jobs[0]["job_id"]}


async def test_ten_thousand_members(server: Server, root: Client, alice: Client) -> None:
    """A big room empties in one call, which lists everybody once."""
    room = await alice.create_room(preset="public_chat")
    users = [f"@u{n}:example.org" for n in range(10_000)]
    await join_all(server, room, users)
    answer = (await root.post(at(DENDRITE, "evacuateRoom", room))).ok()

    assert sorted(answer["affected"]) == sorted([alice.user_id, *users])
    assert "failed" not in answer
    assert (await root.get(at("/_synapse/admin/v1/rooms", room))).ok()["joined_members"] == 0


async def test_it_goes_on_after_a_restart_and_counts_each_once(tmp_path: Path) -> None:
    """Cut off in the middle, the job ends on the next start; every user is told once, as affected."""
    server = await Server.start(test_config(tmp_path))
    root, alice = await server.admin(), await server.register("alice")
    room = await alice.create_room(preset="public_chat")
    users = await fill(server, alice, room, [f"u{n}" for n in range(450)])
    jobs = server.app.services.admin.jobs
    started = (await root.post(f"{NATIVE}/rooms/{room}/evacuate")).ok()
    while (await jobs.get(started["job_id"])).done == 0:
        await asyncio.sleep(0)
    await server.stop()
    server = await Server.start(test_config(tmp_path))
    job = await server.app.services.admin.jobs.wait(started["job_id"])
    root.server = server
    page = (await root.get(f"{NATIVE}/jobs/{job.job_id}?item_state=done&limit=1000")).ok()

    assert (job.state, job.total, job.done) == ("complete", 451, 451)
    assert [item["item"] for item in page["items"]] == sorted([alice.user_id, *users])
    assert len({item["detail"] for item in page["items"]}) == 451
    await server.stop()


async def test_a_dry_run_lists_who_would_leave(root: Client, alice: Client, bob: Client) -> None:
    """Nothing happens, and the rooms that would lose their administrator are told."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    plan = (await root.post(f"{NATIVE}/rooms/{room}/evacuate", {"dry_run": True})).ok()

    assert plan["users"] == [alice.user_id, bob.user_id]
    assert plan["rooms_without_admin"] == [room]
    assert (await member(alice, room, bob.user_id))["membership"] == "join"
    levels = {"users": {alice.user_id: 100, bob.user_id: 100}}
    await alice.set_state(room, "m.room.power_levels", levels)
    body = {"dry_run": True}
    assert (await root.post(f"{NATIVE}/users/{bob.user_id}/evacuate", body)).ok()["rooms_without_admin"] == []
    (await root.post(f"{NATIVE}/rooms/!nowhere:example.org/evacuate", body)).error(404, "M_NOT_FOUND")


async def test_waiting_for_the_job(root: Client, alice: Client) -> None:
    """The native call answers at once with the job, or with `wait` when it is finished."""
    room = await alice.create_room()
    started = (await root.post(f"{NATIVE}/rooms/{room}/evacuate", {"wait": True})).ok()
    found = (await root.get(f"{NATIVE}/jobs/{started['job_id']}")).ok()

    assert found["job"]["state"] == "complete"
    assert [(item["item"], item["state"]) for item in found["items"]] == [(alice.user_id, "done")]
    (await root.get(f"{NATIVE}/jobs/nothing")).error(404, "M_NOT_FOUND")
    (await root.get(f"{NATIVE}/jobs?after=nothing")).error(400, "M_INVALID_PARAM")
    cancelled = (await root.post(f"{NATIVE}/jobs/{started['job_id']}/cancel")).ok()
    assert cancelled["job"]["state"] == "complete"
    (await root.post(f"{NATIVE}/jobs/nothing/cancel")).error(404, "M_NOT_FOUND")
