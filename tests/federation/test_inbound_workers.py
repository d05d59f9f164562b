"""Several workers on one database take what other servers send: all clients see it, whichever worker took it."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from chamberlain.config.cluster import Cluster
from tests.support.peer import Peer
from tests.support.postgres import Postgres
from tests.support.server import Client, Server, path, test_config
from tests.support.wire import Wire

NEAR: Final = "near.test"
BESIDE: Final = "the other worker"
PATIENCE: Final = 60.0
Fact = tuple[str, Any]


@pytest.fixture
async def workers(wire: Wire, tmp_path: Path, postgres: Postgres) -> AsyncIterator[list[Server]]:
    """Two workers of `near.test`; the wire leads to the first."""
    config = test_config(tmp_path, postgres.new_database(), server_name=NEAR, cluster=Cluster(workers=2))
    started = [await Server.start(config, transport=wire.transport(NEAR)) for _ in range(2)]
    wire.servers = dict(zip((NEAR, BESIDE), started, strict=True))
    yield started
    # Each is stopped, once, with the wire.
    assert {*wire.servers.values()} == {*started}


class Listener:
    """What one device has heard."""

    def __init__(self, client: Client, room_id: str) -> None:
        self.client = client
        self.room_id = room_id
        self.facts: set[Fact] = set()

    async def hears(self, *expected: Fact) -> None:
        """Sync until all of this has come since the last call of this."""
        deadline = time.monotonic() + PATIENCE
        while lacking := {*expected} - self.facts:
            assert time.monotonic() < deadline, (lacking, self.facts)
            self._note(await self.client.sync(timeout_ms=1_000))
        self.facts.clear()

    def _note(self, answer: dict[str, Any]) -> None:
        news = answer.get("rooms", {}).get("join", {}).get(self.room_id, {})
        for event in news.get("timeline", {}).get("events", ()):
            self.facts.add(("event", event["event_id"]))
        for event in news.get("ephemeral", {}).get("events", ()):
            if event["type"] == "m.typing":
                self.facts.add(("typing", tuple(event["content"]["user_ids"])))
            else:
                self.facts |= {("receipt", event_id) for event_id in event["content"]}
        for event in answer.get("presence", {}).get("events", ()):
            self.facts.add((event["sender"], event["content"].get("status_msg")))
        for event in answer.get("to_device", {}).get("events", ()):
            self.facts.add(("told", event["content"]["n"]))
        for user_id in answer.get("device_lists", {}).get("changed", ()):
            self.facts.add(("devices", user_id))


def edu(kind: str, **content: Any) -> dict[str, Any]:
    """An EDU."""
    return {"edu_type": kind, "content": content}


async def test_whichever_worker_takes_it_both_tell_of_it(wire: Wire, workers: list[Server]) -> None:
    """Events, receipts, typing, presence, to-device messages, device lists."""
    one, two = workers
    peer = Peer.on(wire, "peer.test")
    eve = peer.user()
    peer.lies["user"] = lambda asked, answer: {"user_id": eve, "stream_id": 9, "devices": []}
    phone = await one.register("alice")
    room = peer.room().furnish()
    (await phone.post(path("join", room.room_id, server_name="peer.test"))).ok()
    laptop = await two.login("alice")
    listeners = [Listener(phone, room.room_id), Listener(laptop, room.room_id)]
    for listener in listeners:
        await listener.client.sync()
    for number, taker in enumerate((one, two, one)):
        wire.servers = {NEAR: taker, BESIDE: two if taker is one else one}
        event = room.say(eve, f"hello {number}")
        read = {"m.read": {eve: {"event_ids": [event.event_id], "data": {"ts": number}}}}
        status = {"user_id": eve, "presence": "online", "status_msg": f"{number}", "last_active_ago": 5}
        edus = [
            edu("m.receipt", **{room.room_id: read}),
            edu("m.presence", push=[status]),
            edu(
                "m.direct_to_device",
                sender=eve,
                type="test.told",
                message_id=f"{number}",
                messages={phone.user_id: {"*": {"n": number}}},
            ),
            edu("m.device_list_update", user_id=eve, device_id=f"D{number}", stream_id=number, prev_id=[]),
        ]
        assert (await peer.send(NEAR, [event], edus)).status == 200
        for listener in listeners:
            await listener.hears(
                ("event", event.event_id),
                ("receipt", event.event_id),
                (eve, f"{number}"),
                ("told", number),
                ("devices", eve),
            )
            asked = (await listener.client.get(path("presence", eve, "status"))).ok()
            assert asked["status_msg"] == f"{number}"
        for typing in (True, False):
            said = edu("m.typing", room_id=room.room_id, user_id=eve, typing=typing)
            assert (await peer.send(NEAR, [], [said])).status == 200
            for listener in listeners:
                await listener.hears(("typing", (eve,) if typing else ()))
