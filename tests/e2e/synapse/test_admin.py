"""What an administrator of chamberlain does is seen by the users of Synapse in its rooms."""

import asyncio

import pytest

from tests.e2e.synapse.conftest import HERE, newcomer_name
from tests.support.neighbors import PATIENCE, Neighbor, Person, join_path, shared_room
from tests.support.server import Client, path

pytestmark = pytest.mark.skipif(HERE == "synapse", reason="Synapse has not all of these operations")


@pytest.fixture
async def root(here: Neighbor) -> Client:
    """An administrator of chamberlain."""
    return await here.admin(newcomer_name("root"))


@pytest.fixture
def locals_and_guest(here: Neighbor, ada: Person, cleo: Person, ben: Person, dan: Person) -> list[Person]:
    """Two users of chamberlain, and one of Synapse."""
    mine, theirs = ([ada, cleo], ben) if ada.server.name == here.name else ([ben, dan], ada)
    return [*mine, theirs]


async def full_room(ada: Person, cleo: Person, ben: Person, dan: Person, version: str = "11") -> str:
    """A room with all four in it."""
    room = await shared_room(ada, ben, version)
    await cleo.join(room)
    await dan.join(room)
    for person in (ada, ben):
        await person.sees_member(room, cleo, "join")
        await person.sees_member(room, dan, "join")
    return room


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_an_evacuated_room(
    root: Client,
    ada: Person,
    cleo: Person,
    ben: Person,
    dan: Person,
    locals_and_guest: list[Person],
    version: str,
    method: str,
) -> None:
    """All local users leave, each by an event of their own, and a second time there is nobody left to leave."""
    room = await full_room(ada, cleo, ben, dan, version)
    first, second, guest = locals_and_guest
    target = f"/_dendrite/admin/{path('evacuateRoom', room)}"
    answer = (await root.request(method, target)).ok()
    assert sorted(answer["affected"]) == sorted([first.user_id, second.user_id])
    for person in (first, second):
        await guest.sees_member(room, person, "leave")
        assert guest.room(room).state["m.room.member", person.user_id]["sender"] == person.user_id
    assert (await root.request(method, target)).ok() == {"affected": []}


async def test_a_deleted_room(
    root: Client, ada: Person, cleo: Person, ben: Person, dan: Person, locals_and_guest: list[Person]
) -> None:
    """All local users leave before the room is gone; whoever joins again through Synapse finds it as it is there."""
    room = await full_room(ada, cleo, ben, dan)
    first, second, guest = locals_and_guest
    await first.turn()
    target = f"/_synapse/admin/v1/{path('rooms', room)}"
    answer = (await root.delete(target, {})).ok()
    assert sorted(answer["kicked_users"]) == sorted([first.user_id, second.user_id])
    for person in (first, second):
        await guest.sees_member(room, person, "leave")
        assert guest.room(room).state["m.room.member", person.user_id]["sender"] == person.user_id
    (await root.get(target)).error(404, "M_NOT_FOUND")
    await guest.say(room, "is anybody there?")
    (await first.post(join_path(room, guest.server.name))).ok()
    await guest.sees_member(room, first, "join")
    for speaker, reader in ((first, guest), (guest, first)):
        await reader.sees(room, await speaker.say(room, "hello again"))


async def test_an_evacuated_user(
    root: Client, ada: Person, cleo: Person, ben: Person, dan: Person, locals_and_guest: list[Person]
) -> None:
    """One local user leaves all rooms; the others stay."""
    rooms = [await full_room(ada, cleo, ben, dan)]
    first, second, guest = locals_and_guest
    answer = (await root.post(f"/_dendrite/admin/{path('evacuateUser', second.user_id)}")).ok()
    assert answer == {"affected": rooms}
    await guest.sees_member(rooms[0], second, "leave")
    assert guest.room(rooms[0]).member(first.user_id) == "join"


async def test_a_deactivated_user(
    root: Client, ada: Person, cleo: Person, ben: Person, dan: Person, locals_and_guest: list[Person]
) -> None:
    """Their leave is seen on the other server."""
    room = await full_room(ada, cleo, ben, dan)
    first, _, guest = locals_and_guest
    (await root.post(f"/_synapse/admin/v1/{path('deactivate', first.user_id)}", {"erase": True})).ok()
    await guest.sees_member(room, first, "leave")


async def test_the_other_server_is_listed_as_a_destination(
    root: Client, there: Neighbor, ada: Person, ben: Person
) -> None:
    """With the rooms whose events it is sent."""
    room = await shared_room(ada, ben)
    for speaker, reader in ((ada, ben), (ben, ada)):
        await reader.sees(room, await speaker.say(room, "hello"))
    listed = (await root.get("/_synapse/admin/v1/federation/destinations")).ok()
    assert there.name in [row["destination"] for row in listed["destinations"]]
    base = f"/_synapse/admin/v1/federation/destinations/{path(there.name)}"
    assert (await root.get(base)).ok()["failure_ts"] is None
    # The list lags behind what is sent.
    async with asyncio.timeout(PATIENCE):
        while room not in await rooms_of(root, there):
            await ada.turn(500)


async def rooms_of(root: Client, server: Neighbor) -> list[str]:
    """The rooms that are listed of a destination."""
    target = f"/_synapse/admin/v1/federation/destinations/{path(server.name)}/rooms?limit=1000"
    return [row["room_id"] for row in (await root.get(target)).ok()["rooms"]]
