"""Which other servers may have to do with a room, on both databases."""

from collections.abc import AsyncIterator

import pytest

from chamberlain.matrix.errors import Forbidden, NotFound
from chamberlain.rooms.acl import is_in_room, must_be_allowed, must_be_in_room
from chamberlain.rooms.create import RoomOptions
from chamberlain.rooms.wiring import Rooms
from chamberlain.store import memberships
from chamberlain.store.database import Database
from tests.contract.rooms.test_pipeline import ALICE, worker
from tests.support.rows import insert


@pytest.fixture
async def services(db: Database) -> AsyncIterator[Rooms]:
    """The services of rooms."""
    made = worker(db)
    yield made
    await made.close()


@pytest.fixture
async def room(services: Rooms) -> str:
    """A room of Alice."""
    return await services.create.create_room(ALICE, RoomOptions(preset="public_chat"))


async def put_member(db: Database, room_id: str, user_id: str, membership: str) -> None:
    """A user of another server is this in the room."""
    server = user_id.partition(":")[2]
    row = {"room_id": room_id, "user_id": user_id, "membership": membership, "server": server}
    await db.write(insert, "memberships", **row)


async def test_a_list_bans_servers_from_the_moment_on_that_it_is_set(services: Rooms, room: str) -> None:
    """Names compare in any case and without ports; what the next list says holds at once."""
    for server in ("evil.example", "good.example", "1.2.3.4"):
        await must_be_allowed(services.heads, room, server)
    content = {"allow": ["*"], "deny": ["EVIL.example", "*.bad.example"], "allow_ip_literals": False}
    await services.submit.send(ALICE, room, "m.room.server_acl", content, state_key="")

    await must_be_allowed(services.heads, room, "good.example:8448")
    for server in ("evil.example", "Evil.Example:1234", "x.bad.example", "1.2.3.4", "[::1]:8448"):
        with pytest.raises(Forbidden):
            await must_be_allowed(services.heads, room, server)

    await services.submit.send(ALICE, room, "m.room.server_acl", {"allow": ["evil.example"]}, state_key="")
    await must_be_allowed(services.heads, room, "evil.example")
    with pytest.raises(Forbidden):
        await must_be_allowed(services.heads, room, "good.example")


async def test_a_room_that_nobody_knows_bans_nobody(services: Rooms) -> None:
    """An invite to a room elsewhere is not refused for want of the room's list."""
    await must_be_allowed(services.heads, "!nowhere:example.org", "evil.example")


async def test_a_server_is_in_a_room_with_a_user_of_its(db: Database, services: Rooms, room: str) -> None:
    """Invited, left and banned users do not count; nor do those of a server with a longer name."""
    for n, membership in enumerate(("invite", "leave", "ban", "knock")):
        await put_member(db, room, f"@u{n}:far.example", membership)
    await put_member(db, room, "@u:not.far.example", "join")
    await put_member(db, room, "@u:far.example:80", "join")
    await put_member(db, "!other:example.org", "@u:far.example", "join")
    assert not await is_in_room(db, room, "far.example")
    with pytest.raises(Forbidden):
        await must_be_in_room(db, services.heads, room, "far.example")

    await put_member(db, room, "@in:far.example", "join")
    await put_member(db, room, "@also:far.example", "join")

    assert await is_in_room(db, room, "far.example")
    await must_be_in_room(db, services.heads, room, "far.example")
    assert await db.read(memberships.servers_in, room) == ["far.example", "far.example:80", "not.far.example"]
    with pytest.raises(NotFound):
        await must_be_in_room(db, services.heads, "!other:example.org", "far.example")


async def test_a_banned_server_is_not_let_in_by_its_users(db: Database, services: Rooms, room: str) -> None:
    """The list goes before the membership."""
    await put_member(db, room, "@in:far.example", "join")
    await services.submit.send(
        ALICE, room, "m.room.server_acl", {"allow": ["*"], "deny": ["far.*"]}, state_key=""
    )

    with pytest.raises(Forbidden):
        await must_be_in_room(db, services.heads, room, "far.example")
