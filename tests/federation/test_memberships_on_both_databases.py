"""Memberships across servers, with one of them on each database; on PostgreSQL that one has two workers."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chamberlain.config.cluster import Cluster
from chamberlain.config.database import Database
from tests.federation.test_inviting import stripped
from tests.federation.test_joining import join, members
from tests.support.server import Client, Server, path, until
from tests.support.sync_model import assert_incremental_equals_full
from tests.support.wire import Wire

THIRD = "third.test"
RULE = {"type": "m.room.join_rules", "content": {"join_rule": "knock"}}


@pytest.fixture
async def carol(wire: Wire, tmp_path: Path, database_url: str) -> Client:
    """A user of the server with this database."""
    workers = 1 if database_url.startswith("sqlite") else 2
    settings = {"database": Database(url=database_url), "cluster": Cluster(workers=workers)}
    return await (await wire.add(THIRD, tmp_path, **settings)).register("carol")


@pytest.fixture
async def reader(carol: Client, wire: Wire) -> AsyncIterator[Client]:
    """The same device, which asks the other worker where there is one."""
    config = carol.server.app.services.config
    if not config.cluster.has_many_workers:
        yield carol
        return
    other = await Server.start(config, transport=wire.transport(THIRD))
    yield Client(other, carol.token, carol.user_id, carol.device_id)
    await other.stop()


async def seen(reader: Client, section: str, room_id: str) -> dict[str, Any]:
    """Sync until the room is in this section; what was told on the way is what is told anew."""

    def is_there(answer: dict[str, Any]) -> bool:
        return room_id in answer.get("rooms", {}).get(section, {})

    answer = await reader.sync_until(is_there)
    if section == "join":
        # All members are known once this is answered.
        await members(reader, room_id)
    await assert_incremental_equals_full(reader)
    return answer


async def test_once_through(alice: Client, carol: Client, reader: Client) -> None:
    """Knock, retract, be invited, reject, be invited, join, leave, be invited to what was left, join anew."""
    room_id = await alice.create_room(name="Club", initial_state=[RULE])
    await assert_incremental_equals_full(reader)
    await reader.sync()

    async def is_out() -> bool:
        return (await members(alice, room_id))[carol.user_id] == "leave"

    (await carol.post(path("knock", room_id, via="near.test"))).ok()
    answer = await seen(reader, "knock", room_id)
    assert stripped(answer, "knock", room_id)["m.room.name", ""] == {"name": "Club"}
    await carol.leave(room_id)
    await seen(reader, "leave", room_id)
    assert await is_out()

    await alice.invite(room_id, carol)
    answer = await seen(reader, "invite", room_id)
    assert stripped(answer, "invite", room_id)["m.room.name", ""] == {"name": "Club"}
    await carol.leave(room_id)
    await seen(reader, "leave", room_id)
    await alice.invite(room_id, carol)
    await join(carol, room_id)
    await seen(reader, "join", room_id)
    both = {alice.user_id: "join", carol.user_id: "join"}
    assert await members(alice, room_id) == both == await members(carol, room_id)

    await carol.leave(room_id)
    await seen(reader, "leave", room_id)
    await until(is_out)
    await alice.set_state(room_id, "m.room.name", {"name": "Pub"})
    await alice.invite(room_id, carol)
    answer = await seen(reader, "invite", room_id)
    assert stripped(answer, "invite", room_id)["m.room.name", ""] == {"name": "Pub"}
    await join(carol, room_id)
    await seen(reader, "join", room_id)
    assert (await reader.state(room_id, "m.room.name")).ok() == {"name": "Pub"}


async def test_the_other_way(alice: Client, carol: Client) -> None:
    """The room is on the server with this database."""
    room_id = await carol.create_room(name="Club", initial_state=[RULE])
    (await alice.post(path("knock", room_id, via=THIRD))).ok()
    assert (await members(carol, room_id))[alice.user_id] == "knock"
    await carol.invite(room_id, alice)
    await join(alice, room_id)
    both = {alice.user_id: "join", carol.user_id: "join"}
    assert await members(alice, room_id) == both == await members(carol, room_id)
