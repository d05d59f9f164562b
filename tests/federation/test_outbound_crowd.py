"""A room with thousands of other servers costs little more than a small one."""

import asyncio
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from chamberlain.federation.outbound.composing import PDUS_KEPT
from chamberlain.federation.outbound.lane import PENDING, Lane, State
from chamberlain.federation.transport import TransportAnswer
from chamberlain.matrix.remote_errors import Unreachable
from chamberlain.store.tx import Write
from tests.support.clock import FakeClock
from tests.support.remote_members import join_as
from tests.support.rows import insert
from tests.support.server import Server, until
from tests.support.statements import counted
from tests.support.wire import Wire

COUNT = 5_000


async def _fill(tx: Write, room_id: str) -> None:
    """Have a user of each of so many servers in the room, as if their joins had gone by."""
    for number in range(COUNT):
        server = f"s{number}.test"
        await insert(
            tx,
            "memberships",
            room_id=room_id,
            user_id=f"@u:{server}",
            membership="join",
            server=server,
            event_id=f"$join{number}",
        )
    await tx.run(
        "UPDATE room_summaries SET joined = joined + :count WHERE room_id = :room_id",
        count=COUNT,
        room_id=room_id,
    )
    await tx.run("UPDATE rooms SET cur_ver = cur_ver + 1 WHERE room_id = :room_id", room_id=room_id)


@pytest.mark.parametrize("is_dead", [False, True])
async def test_a_message_to_thousands(wire: Wire, tmp_path: Path, clock: FakeClock, *, is_dead: bool) -> None:
    """A message is read once, and told with two small writes for each server, those of several in one commit.

    To those that do not answer nothing is written after the first time.
    """
    got: list[str] = []

    async def answer(*request: Any) -> TransportAnswer:
        got.append(request[1])
        return TransportAnswer(500 if is_dead else 200, {}, b"{}")

    for number in range(COUNT):
        wire.peers[f"s{number}.test"] = answer
    wire.peers["first.test"] = answer
    with counted() as statements:
        near = await wire.add("near.test", tmp_path, clock=clock)
        alice = await near.register("alice")
        room = await alice.create_room(preset="public_chat")
        await join_as(near, room, "@f:first.test")
        outbound = near.app.services.federation.outbound
        await near.app.services.db.write(_fill, room)
        near.app.services.rooms.heads.forget(room)

        async def is_quiet() -> bool:
            await asyncio.sleep(0.01)
            figures = outbound.figures()
            return figures.shards > 0 and figures.unread == 0 and figures.destinations == figures.resting

        async def say(text: str) -> list[str]:
            statements.taken()
            got.clear()
            await alice.say(room, text)
            await until(is_quiet, seconds=120)
            return statements.taken()

        await say("first")
        assert len(got) == COUNT + 1
        spent = await say("second")
        reads = [sql for sql in spent if sql.startswith("SELECT") and "FROM leases" not in sql]
        commits = [sql for sql in spent if sql == "COMMIT"]

        assert len(reads) < 40, reads[:60]
        if is_dead:
            assert not got
            assert len(commits) < 10
            assert not any("outbox_servers" in sql for sql in spent)
            lanes = [
                lane for shard in outbound._shards if shard.delivery for lane in shard.delivery.lanes.values()
            ]
            assert not any(lane.pending for lane in lanes)
            assert sum(sys.getsizeof(lane) + sys.getsizeof(lane.pending) for lane in lanes) < 400 * (
                COUNT + 1
            )
        else:
            assert len(got) == COUNT + 1
            # A transaction is kept before it is sent, and how far it went after it, unless they share a commit.
            assert len(commits) < 2.1 * COUNT
            assert outbound.figures().destinations == 0


def _lanes(server: Server) -> list[Lane]:
    """All destinations for which anything waits."""
    shards = server.app.services.federation.outbound._shards
    return [lane for shard in shards if shard.delivery is not None for lane in shard.delivery.lanes.values()]


async def test_memory_does_not_grow_with_what_is_said(wire: Wire, tmp_path: Path, clock: FakeClock) -> None:
    """However many messages wait: nothing is kept for those that are gone, and a part only for those that are slow.

    What is kept for several destinations is the same object.
    """
    there, slow = 20, 80
    heard: Counter[str] = Counter()
    released = asyncio.Event()

    async def take(name: str, body: bytes) -> TransportAnswer:
        heard[name] += len(orjson.loads(body)["pdus"])
        return TransportAnswer(200, {}, b"{}")

    async def wait(name: str, body: bytes) -> TransportAnswer:
        await released.wait()
        return await take(name, body)

    def answering(number: int, name: str) -> Any:
        async def answer(*request: Any) -> TransportAnswer:
            if number < there:
                return await take(name, request[3])
            if number < there + slow:
                return await wait(name, request[3])
            raise Unreachable(name, "it is gone")

        return answer

    for number in range(COUNT):
        wire.peers[f"s{number}.test"] = answering(number, f"s{number}.test")
    wire.peers["first.test"] = answering(0, "first.test")
    near = await wire.add("near.test", tmp_path, clock=clock)
    alice = await near.register("alice")
    room = await alice.create_room(preset="public_chat")
    await join_as(near, room, "@f:first.test")
    await near.app.services.db.write(_fill, room)
    near.app.services.rooms.heads.forget(room)
    said = 0

    async def all_is_told() -> bool:
        states = Counter(lane.state for lane in _lanes(near))
        return (
            all(heard[f"s{number}.test"] == said for number in range(there))
            and states == {State.RESTING: COUNT - there - slow, State.MOVING: slow}
            and near.app.services.federation.outbound.figures().unread == 0
        )

    kept: list[int] = []
    for _ in range(3):
        for _ in range(3):
            await asyncio.gather(*(alice.say(room, "to everyone") for _ in range(50)))
            said += 50
        await until(all_is_told, seconds=120)
        lanes = _lanes(near)
        assert len(lanes) == COUNT - there
        assert not any(lane.pending for lane in lanes if lane.state is State.RESTING)
        entries = [entry for lane in lanes for entry in lane.pending]
        assert len(entries) <= PENDING * slow
        assert len({id(entry) for entry in entries}) <= PENDING
        assert len(near.app.services.federation.outbound._way.composer._pdus) <= PDUS_KEPT
        kept.append(len(entries))

    assert kept[0] >= kept[1] == kept[2]
    released.set()

    async def has_caught_up() -> bool:
        return all(heard[f"s{number}.test"] == said for number in range(there + slow))

    await until(has_caught_up, seconds=120)
