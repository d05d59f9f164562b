"""A room with thousands of other servers costs little more than a small one."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from chamberlain.federation.transport import TransportAnswer
from chamberlain.store.tx import Write
from tests.support.clock import FakeClock
from tests.support.remote_members import join_as
from tests.support.rows import insert
from tests.support.server import until
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
            assert len(commits) < 1.2 * COUNT
            assert outbound.figures().destinations == 0
