"""What one server tells the users of the other who ask: rooms, spaces, aliases, people."""

from tests.support.neighbors import Person, alias_of, join_path, open_room, shared_room
from tests.support.server import path


async def test_public_rooms_of_the_other_server(ada: Person, ben: Person, version: str) -> None:
    """They are listed and found by their words; what is not published is not."""
    word = ada.user_id[1:].split(":")[0]
    shown = await ada.create_room(
        preset="public_chat",
        visibility="public",
        room_version=version,
        name=f"Shown by {word}",
        topic="About tulips",
    )
    await ada.create_room(preset="public_chat", name=f"Not shown by {word}")
    there = {"server": ada.server.name}

    # Synapse remembers for a while what another server answered to the same question.
    listed = (await ben.get(path("publicRooms", limit=100 + int(version), **there))).ok()
    assert shown in [room["room_id"] for room in listed["chunk"]]
    search = {"filter": {"generic_search_term": word}, "limit": 10}
    found = (await ben.post(path("publicRooms", **there), search)).ok()
    (room,) = found["chunk"]
    assert (room["room_id"], room["name"], room["topic"]) == (shown, f"Shown by {word}", "About tulips")
    assert room["num_joined_members"] == 1


async def test_public_rooms_are_given_in_pages(ada: Person, ben: Person) -> None:
    """A token of one page leads to the next."""
    word = ada.user_id[1:].split(":")[0]
    rooms = [
        await ada.create_room(preset="public_chat", visibility="public", name=f"{word} has {number} of these")
        for number in range(3)
    ]
    found: list[str] = []
    since: dict[str, str] = {}
    while len(found) < len(rooms):
        search = {"filter": {"generic_search_term": word}, "limit": 2, **since}
        page = (await ben.post(path("publicRooms", server=ada.server.name), search)).ok()
        found += [room["room_id"] for room in page["chunk"]]
        if "next_batch" not in page:
            break
        since = {"since": page["next_batch"]}
    assert sorted(found) == sorted(rooms)


async def test_the_rooms_of_a_space(ada: Person, ben: Person, version: str) -> None:
    """A member of the space from the other server sees the rooms in it that are open to them, and only these."""
    here = [ada.server.name]

    async def made(name: str, preset: str = "public_chat", **options: object) -> str:
        return await ada.create_room(name=name, preset=preset, room_version=version, **options)

    visible = await made("Open", topic="All welcome")
    hidden = await made("Hidden", "private_chat")
    inner, space = [await made(name, creation_content={"type": "m.space"}) for name in ("Inner", "Space")]
    deep = await made("Deep")
    for child in (visible, hidden, inner):
        await ada.set_state(space, "m.space.child", {"via": here}, child)
    await ada.set_state(inner, "m.space.child", {"via": here}, deep)

    (await ben.post(join_path(space, *here))).ok()
    await ben.sees_member(space, ada, "join")
    target = f"/_matrix/client/v1/{path('rooms', space, 'hierarchy')}"
    rooms = {room["room_id"]: room for room in (await ben.get(target)).ok()["rooms"]}
    assert rooms.keys() == {space, visible, inner, deep}
    assert (rooms[visible]["name"], rooms[visible]["topic"]) == ("Open", "All welcome")
    assert rooms[inner]["room_type"] == "m.space"
    assert [link["state_key"] for link in rooms[inner]["children_state"]] == [deep]


async def test_an_alias_of_the_other_server(ada: Person, ben: Person) -> None:
    """It leads to the room and to a server that is in it, until it is taken away."""
    room = await open_room(ada)
    target = path("directory", "room", alias_of(ada))
    found = (await ben.get(target)).ok()
    assert found["room_id"] == room
    assert ada.server.name in found["servers"]
    (await ada.delete(target)).ok()
    (await ben.get(target)).error(404, "M_NOT_FOUND")


async def test_a_profile_of_the_other_server(ada: Person, ben: Person) -> None:
    """Name and picture are told to those who ask, and who is not there is not found."""
    picture = f"mxc://{ada.server.name}/picture"
    (await ada.put(path("profile", ada.user_id, "displayname"), {"displayname": "Ada the First"})).ok()
    (await ada.put(path("profile", ada.user_id, "avatar_url"), {"avatar_url": picture})).ok()

    found = (await ben.get(path("profile", ada.user_id))).ok()
    assert (found["displayname"], found["avatar_url"]) == ("Ada the First", picture)
    name = (await ben.get(path("profile", ada.user_id, "displayname"))).ok()
    assert name == {"displayname": "Ada the First"}
    stranger = f"@nobody:{ada.server.name}"
    (await ben.get(path("profile", stranger))).error(404, "M_NOT_FOUND")


async def test_an_alias_that_a_guest_gave(ada: Person, ben: Person, dan: Person, cleo: Person) -> None:
    """A server that is in the room names it too, and users of both come in by that name."""
    room = await shared_room(ada, ben)
    alias = f"#guests-{ben.user_id[1:]}"
    (await ben.put(path("directory", "room", alias), {"room_id": room})).ok()
    assert (await ada.get(path("directory", "room", alias))).ok()["room_id"] == room
    for person in (cleo, dan):
        await person.join(alias)
        for other in (ada, ben):
            await other.sees_member(room, person, "join")
