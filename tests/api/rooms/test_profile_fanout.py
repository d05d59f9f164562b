"""A changed profile reaches the rooms of its user."""

from pathlib import Path
from typing import Any

from tests.support.server import Client, Server, path, test_config, until


async def set_name(client: Client, name: str) -> None:
    """Change one's display name."""
    (await client.put(path("profile", client.user_id, "displayname"), {"displayname": name})).ok()


async def member(client: Client, room: str, user_id: str) -> Any:
    """A user's member event, as another client sees it."""
    return (await client.state(room, "m.room.member", user_id)).ok()


async def until_named(client: Client, room: str, user_id: str, name: str | None) -> None:
    """Return when the room knows the user by this name."""

    async def named() -> bool:
        return bool((await member(client, room, user_id)).get("displayname") == name)

    await until(named)


async def test_others_see_the_new_name(alice: Client, bob: Client) -> None:
    """Each room that the user is in gets the new name and avatar, and nothing where they are as before."""
    rooms = [await alice.create_room(preset="public_chat") for _ in range(3)]
    for room in rooms:
        await bob.join(room)
    avatar = "mxc://example.org/flower"
    (await bob.put(path("profile", bob.user_id, "avatar_url"), {"avatar_url": avatar})).ok()
    await set_name(bob, "Robert")
    for room in rooms:
        await until_named(alice, room, bob.user_id, "Robert")
        seen = await member(alice, room, bob.user_id)
        assert seen == {"membership": "join", "displayname": "Robert", "avatar_url": avatar}
    event = path("rooms", rooms[0], "state", "m.room.member", bob.user_id, format="event")
    before = (await alice.get(event)).ok()["event_id"]
    await set_name(bob, "Robert")
    await set_name(bob, "Bob")
    await until_named(alice, rooms[2], bob.user_id, "Bob")
    await until_named(alice, rooms[0], bob.user_id, "Bob")
    assert (await alice.get(event)).ok()["event_id"] != before


async def test_a_name_that_is_gone(alice: Client, bob: Client) -> None:
    """A deleted display name is gone from the rooms too."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    await set_name(bob, "Robert")
    await until_named(alice, room, bob.user_id, "Robert")
    (await bob.delete(path("profile", bob.user_id, "displayname"))).ok()
    await until_named(alice, room, bob.user_id, None)
    assert await member(alice, room, bob.user_id) == {"membership": "join"}


async def test_only_joined_rooms_hear_of_it(alice: Client, bob: Client) -> None:
    """Invitations, rooms left and rooms banned from stay as they are; nobody is brought back into a room."""
    left, invited, banned, joined = [await alice.create_room(preset="public_chat") for _ in range(4)]
    for room in (left, banned, joined):
        await bob.join(room)
    await bob.leave(left)
    await alice.invite(invited, bob)
    (await alice.post(path("rooms", banned, "ban"), {"user_id": bob.user_id})).ok()
    await set_name(bob, "Robert")
    await until_named(alice, joined, bob.user_id, "Robert")
    for room, membership in ((left, "leave"), (invited, "invite"), (banned, "ban")):
        seen = await member(alice, room, bob.user_id)
        assert (seen["membership"], seen.get("displayname")) != (membership, "Robert")
        assert seen["membership"] == membership


async def test_it_is_told_after_a_restart(tmp_path: Path) -> None:
    """What a server that stopped had not told yet is told after its next start, once."""
    server = await Server.start(test_config(tmp_path))
    alice, bob = await server.register("alice"), await server.register("bob")
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    await server.app.services.rooms.profile_fanout.close()
    await set_name(bob, "Robert")
    assert (await member(alice, room, bob.user_id))["displayname"] == "bob"
    for _ in range(2):
        await server.stop()
        server = await Server.start(test_config(tmp_path))
        alice = Client(server, alice.token, alice.user_id)
        await until_named(alice, room, bob.user_id, "Robert")
    event = path("rooms", room, "state", "m.room.member", bob.user_id, format="event")
    unsigned = (await alice.get(event)).ok()
    assert unsigned["content"]["displayname"] == "Robert"
    await server.stop()
