"""Two workers on one database, of which one has not heard yet of what the other has just done."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chamberlain.config.cluster import Cluster
from chamberlain.rooms.stream_tokens import parse_position
from chamberlain.store import postgres as postgres_store
from chamberlain.store.channel import Channel
from tests.support.peer import Peer
from tests.support.postgres import Postgres
from tests.support.server import Client, Server, path, test_config
from tests.support.wire import Wire


@pytest.fixture
async def workers(
    wire: Wire, tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[list[Server]]:
    """Two of them, neither of which hears of the other unless it looks; the second one is what others reach."""

    async def tell_nobody(channel: Channel, position: int) -> None:
        """As if the news took its time."""

    monkeypatch.setattr(Channel, "tell", tell_nobody)
    monkeypatch.setattr(postgres_store, "LOOK_SECONDS", 3600)
    config = test_config(
        tmp_path, postgres.new_database(), server_name="near.test", cluster=Cluster(workers=2)
    )
    started = [await Server.start(config, transport=wire.transport("near.test")) for _ in range(2)]
    wire.servers["near.test"] = started[1]
    yield started
    await started[0].stop()


def at(worker: Server, user: Client) -> Client:
    """The same device, which asks this worker."""
    same = Client(worker, user.token, user.user_id, user.device_id)
    same._txn = user._txn
    return same


async def test_who_was_invited_by_one_worker_comes_in_by_another(workers: list[Server]) -> None:
    """Also where the other one knows the room from before, and can act in it at once."""
    one, two = workers
    alice, bob = await one.register("alice"), await one.register("bob")
    room = await alice.create_room(preset="private_chat")
    await alice.say(room, "anybody here?")
    (await at(two, bob).get(path("rooms", room, "state"))).error(403, "M_FORBIDDEN")

    await alice.invite(room, bob)
    await at(two, bob).join(room)
    assert (await bob.get(path("rooms", room, "joined_members"))).ok()["joined"].keys() == {
        alice.user_id,
        bob.user_id,
    }
    (await alice.post(path("rooms", room, "kick"), {"user_id": bob.user_id})).ok()


async def test_another_server_is_let_in_by_either_worker(wire: Wire, workers: list[Server]) -> None:
    """A user of it joins, or declines, as soon as they are invited."""
    one = workers[0]
    peer = Peer.on(wire, "peer.test")
    alice = await one.register("alice")
    room = await alice.create_room(preset="private_chat")
    join, leave = (
        f"/_matrix/federation/v1/{path(f'make_{what}', room, peer.user(), ver='11')}"
        for what in ("join", "leave")
    )
    for target in (join, leave):
        assert (await peer.request("near.test", "GET", target)).status == 403
    (await alice.post(path("rooms", room, "invite"), {"user_id": peer.user()})).ok()

    for target in (leave, join):
        assert (await peer.request("near.test", "GET", target)).status == 200


async def test_what_was_seen_at_one_worker_is_found_at_another(workers: list[Server]) -> None:
    """A client whose requests go to and fro reads what it has written, and what /sync has shown."""
    one, two = workers
    alice = await one.register("alice")
    room = await alice.create_room(name="before", topic="before")
    beside = at(two, alice)
    await beside.sync()
    assert (await beside.state(room, "m.room.topic")).ok()["topic"] == "before"
    for number, (writer, reader) in enumerate([(alice, beside), (beside, alice)] * 2):
        await writer.set_state(room, "m.room.topic", {"topic": f"{number}"})
        assert (await reader.state(room, "m.room.topic")).ok() == {"topic": f"{number}"}
        state = (await reader.get(path("rooms", room, "state"))).ok()
        assert {"topic": f"{number}"} in [event["content"] for event in state]
        name = path("profile", alice.user_id, "displayname")
        (await writer.put(name, {"displayname": f"Alice {number}"})).ok()
        assert (await reader.get(name)).ok() == {"displayname": f"Alice {number}"}
        rule = path("pushrules", "global", "content", "word")
        (await writer.put(rule, {"pattern": f"{number}", "actions": ["notify"]})).ok()
        assert (await reader.get(rule)).ok()["pattern"] == f"{number}"
        tag = path("user", alice.user_id, "rooms", room, "tags", f"u.{number}")
        (await writer.put(tag, {"order": 0.5})).ok()
        tags = (await reader.get(path("user", alice.user_id, "rooms", room, "tags"))).ok()["tags"]
        assert f"u.{number}" in tags


async def test_a_token_of_one_worker_is_good_at_another(workers: list[Server]) -> None:
    """/sync that goes to and fro brings each event once, and history goes on from its tokens."""
    one, two = workers
    alice = await one.register("alice")
    room = await alice.create_room()
    beside = at(two, alice)
    said = [await alice.say(room, "0")]
    since = (await beside.sync())["next_batch"]
    positions = [parse_position(since)]
    seen: list[str] = []
    for number in range(1, 7):
        writer, reader = (alice, beside) if number % 2 else (beside, alice)
        for _ in range(2):
            said.append(await writer.send(room, "m.room.message", {"body": f"{number}", "msgtype": "m.text"}))
        # By whom it was written, then by the other one, who has heard of nothing.
        for client in (writer, reader, writer):
            client.since = since
            answer = await client.sync()
            since = answer["next_batch"]
            positions.append(parse_position(since))
            timeline = answer.get("rooms", {}).get("join", {}).get(room, {}).get("timeline", {})
            seen += [event["event_id"] for event in timeline.get("events", ())]
        page = await reader.get(path("rooms", room, "messages", dir="b", limit=2, **{"from": since}))
        assert [event["event_id"] for event in page.ok()["chunk"]] == [said[-1], said[-2]]
        (await reader.get(path("rooms", room, "event", said[-1]))).ok()

    assert seen == said[1:]
    assert positions == sorted(positions)
