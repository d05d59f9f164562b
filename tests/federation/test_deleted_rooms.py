"""Deleting rooms that other servers are in: they hear of it first, and the room can come in anew."""

import asyncio
from typing import Any

import pytest

from chamberlain.admin import deletion
from chamberlain.matrix.remote_errors import Unreachable
from chamberlain.store import purged
from chamberlain.store.tx import Read
from tests.federation.test_joining import join, members, try_join
from tests.support.server import Client, Server, path, until
from tests.support.wire import Passing, Wire

NATIVE = "/_chamberlain/admin/v1"
LONG = 600.0


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is given up because the machine is slow."""
    monkeypatch.setattr(deletion, "PATIENCE_SECONDS", LONG)


async def shared(alice: Client, bob: Client, **options: Any) -> str:
    """A room of `near.test` with a user of each server."""
    room_id = await alice.create_room(preset="public_chat", **options)
    await join(bob, room_id, "near.test")
    return room_id


async def begin(root: Client, room_id: str, **wanted: Any) -> str:
    """Begin to delete a room; gives the job's id."""
    started = (await root.post(f"{NATIVE}/{path('rooms', room_id, 'delete')}", wanted)).ok()
    return str(started["job_id"])


async def item_of(root: Client, job_id: str, name: str) -> dict[str, Any]:
    """How one item of the job stands; before the job has any, as one that waits."""
    items = (await root.get(f"{NATIVE}/jobs/{job_id}?limit=1000")).ok()["items"]
    return next((item for item in items if item["item"] == name), {"state": "waiting", "detail": None})


async def delete(server: Server, root: Client, room_id: str, **wanted: Any) -> str:
    """Delete a room; gives the job's id."""
    job_id = await begin(root, room_id, **wanted)
    job = await server.app.services.admin.jobs.wait(job_id)
    assert (job.state, job.failed) == ("complete", 0)
    return job_id


async def events_in(tx: Read, room_id: str) -> int:
    """How many events there are of a room."""
    count: int = await tx.value("SELECT COUNT(*) FROM events WHERE room_id = :room_id", room_id=room_id)
    return count


async def until_member(client: Client, room_id: str, user: Client, membership: str) -> None:
    """Return when the client sees another user as this."""

    async def is_seen() -> bool:
        return (await members(client, room_id)).get(user.user_id) == membership

    await until(is_seen, seconds=60)


async def until_said(client: Client, room_id: str, body: str) -> None:
    """Return when the client sees a message."""

    async def is_seen() -> bool:
        found = (await client.get(path("rooms", room_id, "messages", dir="b", limit="50"))).ok()["chunk"]
        return any(event["content"].get("body") == body for event in found)

    await until(is_seen, seconds=60)


@pytest.mark.parametrize("version", ["6", "10", "12"])
async def test_the_other_server_sees_the_leaves_and_the_room_comes_in_anew(
    near: Server, alice: Client, bob: Client, version: str
) -> None:
    """All of ours leave by events of their own; whoever joins again afterwards has the room as it then is."""
    root, carol = await near.admin(), await near.register("carol")
    room_id = await shared(alice, bob, name="Before", room_version=version)
    levels = (await alice.state(room_id, "m.room.power_levels")).ok()
    levels.setdefault("users", {})[bob.user_id] = 100
    await alice.set_state(room_id, "m.room.power_levels", levels)
    await carol.join(room_id)
    await alice.say(room_id, "before")
    await until_said(bob, room_id, "before")
    await alice.sync()
    job_id = await delete(near, root, room_id)

    assert (await item_of(root, job_id, deletion.CLOSING))["detail"] is None
    for user in (alice, carol):
        await until_member(bob, room_id, user, "leave")
    assert await near.app.services.db.read(events_in, room_id) == 0
    assert room_id in (await alice.sync())["rooms"]["leave"]
    # What the other server tells of the room meanwhile is nothing to this one.
    await bob.set_state(room_id, "m.room.name", {"name": "After"})
    (await alice.get(path("rooms", room_id, "state"))).error(403, "M_FORBIDDEN")

    await join(alice, room_id, "far.test")
    assert (await alice.state(room_id, "m.room.name")).ok() == {"name": "After"}
    both = {alice.user_id: "join", bob.user_id: "join", carol.user_id: "leave"}
    assert await members(alice, room_id) == both
    await until_member(bob, room_id, alice, "join")
    assert room_id in (await alice.sync())["rooms"]["join"]
    for speaker, listener in ((alice, bob), (bob, alice)):
        await speaker.say(room_id, f"again {speaker.user_id}")
        await until_said(listener, room_id, f"again {speaker.user_id}")
    # And it can be deleted once more.
    await delete(near, root, room_id)
    await until_member(bob, room_id, alice, "leave")
    assert await near.app.services.db.read(events_in, room_id) == 0


async def test_nothing_is_deleted_before_the_leaves_are_sent(
    near: Server, alice: Client, bob: Client, wire: Wire
) -> None:
    """As long as the other server has not taken them, the events stay."""
    root = await near.admin()
    room_id = await shared(alice, bob)
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def hold(passing: Passing) -> None:
        if "/send/" in passing.target and alice.user_id.encode() in (passing.body or b""):
            asked.set()
            await go_on.wait()

    wire.before = hold
    job_id = await begin(root, room_id)
    await asked.wait()

    async def is_waiting() -> bool:
        return (await item_of(root, job_id, deletion.CLOSING))["detail"] == "waiting for 1 servers"

    await until(is_waiting, seconds=60)
    assert await near.app.services.db.read(events_in, room_id) > 5
    assert (await item_of(root, job_id, deletion.CLOSING))["state"] != "done"
    go_on.set()
    job = await near.app.services.admin.jobs.wait(job_id)
    assert (job.state, job.failed) == ("complete", 0)
    assert (await item_of(root, job_id, deletion.CLOSING))["detail"] is None
    await until_member(bob, room_id, alice, "leave")


async def test_a_server_that_is_away_is_not_waited_for_for_ever(
    near: Server, alice: Client, bob: Client, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outcome says that it was not told; it keeps its room, and the room can come in anew."""
    monkeypatch.setattr(deletion, "PATIENCE_SECONDS", 0.2)
    root = await near.admin()
    room_id = await shared(alice, bob)

    async def lose(passing: Passing) -> None:
        if passing.origin == "near.test":
            raise Unreachable(passing.destination, "lost")

    wire.before = lose
    job_id = await delete(near, root, room_id)

    assert (await item_of(root, job_id, deletion.CLOSING))["detail"] == "not told: far.test"
    assert await near.app.services.db.read(events_in, room_id) == 0
    assert (await members(bob, room_id))[alice.user_id] == "join"
    wire.before = None
    await bob.say(room_id, "hello?")
    (await try_join(alice, room_id, "far.test")).ok()
    await until_said(alice, room_id, "hello?")


async def test_servers_that_are_not_talked_to_are_not_waited_for(
    near: Server, alice: Client, bob: Client
) -> None:
    """They are never told anything."""
    root = await near.admin()
    room_id = await shared(alice, bob)
    (await root.put(f"{NATIVE}/server-rules/far.test", {"rule": "deny"})).ok()
    job_id = await delete(near, root, room_id)
    assert (await item_of(root, job_id, deletion.CLOSING))["detail"] is None


async def test_who_comes_in_meanwhile_leaves_too(
    near: Server, far: Server, alice: Client, bob: Client, wire: Wire
) -> None:
    """By a join that was under way when the deletion began: it comes to its end, and then they leave."""
    root = await far.admin()
    room_id = await alice.create_room(preset="public_chat")
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def hold(passing: Passing) -> None:
        if "/send_join/" in passing.target:
            asked.set()
            await go_on.wait()

    wire.after = hold
    joining = asyncio.create_task(try_join(bob, room_id, "near.test"))
    try:
        await asked.wait()
        job_id = await begin(root, room_id, even_unknown=True)

        async def is_waiting() -> bool:
            return (await item_of(root, job_id, deletion.CLOSING))["detail"] is not None

        await until(is_waiting, seconds=60)
    finally:
        go_on.set()
        await joining
    job = await far.app.services.admin.jobs.wait(job_id)
    assert (job.state, job.failed, joining.result().status) == ("complete", 0, 200)
    await until_member(alice, room_id, bob, "leave")
    assert await far.app.services.db.read(events_in, room_id) == 0
    await join(bob, room_id, "near.test")
    await until_member(alice, room_id, bob, "join")


async def test_nobody_joins_or_is_invited_while_a_room_is_deleted(
    near: Server, far: Server, alice: Client, bob: Client, wire: Wire
) -> None:
    """They are told to try again, and can when it is gone."""
    root, dora = await far.admin(), await far.register("dora")
    room_id = await shared(alice, bob)
    kind = far.app.services.admin.jobs._kinds[deletion.DELETE_ROOM]
    work, closed, go_on = kind.work, asyncio.Event(), asyncio.Event()

    async def hold(job: Any, items: Any) -> Any:
        if items[0].item == "events":
            closed.set()
            await go_on.wait()
        return await work(job, items)

    kind.work = hold  # type: ignore[method-assign]
    job_id = await begin(root, room_id)
    await closed.wait()
    (await try_join(dora, room_id, "near.test")).error(409, "M_UNKNOWN")
    invite = await alice.post(path("rooms", room_id, "invite"), {"user_id": dora.user_id})
    assert invite.status in (403, 409, 502)
    await alice.say(room_id, "is anybody there?")
    go_on.set()
    assert (await far.app.services.admin.jobs.wait(job_id)).state == "complete"
    assert await far.app.services.db.read(events_in, room_id) == 0
    assert not await far.app.services.db.read(purged.is_under_way, room_id)
    await join(dora, room_id, "near.test")
    await until_said(dora, room_id, "is anybody there?")


async def test_a_blocked_room_takes_no_invites_of_other_servers(
    near: Server, far: Server, alice: Client, bob: Client
) -> None:
    """Nor does anyone join it there."""
    root = await far.admin()
    room_id = await alice.create_room(preset="public_chat")
    (await root.put(f"{NATIVE}/{path('rooms', room_id, 'block')}", {"block": True})).ok()
    (await alice.post(path("rooms", room_id, "invite"), {"user_id": bob.user_id})).error(403, "M_FORBIDDEN")
    (await try_join(bob, room_id, "near.test")).error(403, "M_FORBIDDEN")
    (await root.put(f"{NATIVE}/{path('rooms', room_id, 'block')}", {"block": False})).ok()
    await join(bob, room_id, "near.test")


async def test_an_invitation_from_outside_is_rejected_with_the_deletion(
    near: Server, far: Server, alice: Client, bob: Client
) -> None:
    """The room of which this server has nothing but the invitation is gone for its user, and the inviter sees it."""
    root = await far.admin()
    room_id = await alice.create_room()
    await alice.invite(room_id, bob)
    assert room_id in (await bob.sync())["rooms"]["invite"]
    await delete(far, root, room_id)
    await until_member(alice, room_id, bob, "leave")
    assert room_id in (await bob.sync())["rooms"]["leave"]
    assert await far.app.services.db.read(events_in, room_id) == 0
