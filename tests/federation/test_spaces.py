"""Spaces and summaries of rooms that are elsewhere."""

from typing import Any

import orjson
import pytest

from chamberlain.matrix.remote_errors import Refused
from tests.support.peer import Asked, Peer
from tests.support.server import Client, Server, path
from tests.support.wire import Wire

V1 = "/_matrix/federation/v1"


async def ask(server: Server, destination: str, room_id: str, **query: Any) -> Any:
    """What a server answers to another one about a space."""
    client = server.app.services.federation.remotes.client
    return orjson.loads(
        await client.request(destination, "GET", f"{V1}/{path('hierarchy', room_id, **query)}")
    )


async def space_of(user: Client, *children: tuple[str, str], **options: Any) -> str:
    """A public space with these children, each (room id, server that knows it)."""
    options = {"preset": "public_chat", "creation_content": {"type": "m.space"}} | options
    space = await user.create_room(**options)
    for n, (room, server) in enumerate(children):
        await put_child(user, space, room, server, order=f"{n:03}")
    return space


async def put_child(user: Client, space: str, room: str, server: str, **content: Any) -> None:
    """The space has this child."""
    await user.set_state(space, "m.space.child", {"via": [server], **content}, room)


async def tree(user: Client, root: str, **query: Any) -> list[str]:
    """The rooms of a tree as the user sees it, in order."""
    target = f"/_matrix/client/v1/{path('rooms', root, 'hierarchy', **query)}"
    return [room["room_id"] for room in (await user.get(target)).ok()["rooms"]]


# ------------------------------------------------------------------------------------------ as others ask


async def test_a_space_as_other_servers_ask_for_it(near: Server, far: Server, bob: Client) -> None:
    """The room, its children in order, those that are closed by name alone; unknown ones not at all."""
    opened = await bob.create_room(preset="public_chat", name="Open")
    closed = await bob.create_room(preset="private_chat", name="Closed")
    inner = await space_of(bob, (opened, "far.test"), name="Inner")
    suggested = await bob.create_room(preset="public_chat", name="Suggested")
    space = await space_of(
        bob,
        (opened, "far.test"),
        (closed, "far.test"),
        (inner, "far.test"),
        ("!unknown:elsewhere.test", "elsewhere.test"),
        name="Space",
    )
    await put_child(bob, space, suggested, "far.test", suggested=True)

    found = await ask(near, "far.test", space)

    assert (found["room"]["room_id"], found["room"]["name"]) == (space, "Space")
    assert found["room"]["room_type"] == "m.space"
    children = [child["state_key"] for child in found["room"]["children_state"]]
    assert children == [opened, closed, inner, "!unknown:elsewhere.test", suggested]
    assert [room["room_id"] for room in found["children"]] == [opened, inner, suggested]
    assert found["inaccessible_children"] == [closed]
    only = await ask(near, "far.test", space, suggested_only="true")
    assert [room["room_id"] for room in only["children"]] == [suggested]
    assert len(only["room"]["children_state"]) == 1
    plain = await ask(near, "far.test", opened)
    assert (plain["children"], plain["room"]["children_state"]) == ([], [])


async def test_rooms_that_a_server_may_know_of(near: Server, far: Server, alice: Client, bob: Client) -> None:
    """Open ones; those that a user of its is in or invited to, or may join from another room; not if banned."""

    async def is_shown(room: str) -> bool:
        try:
            return bool(await ask(near, "far.test", room))
        except Refused as refusal:
            assert (refusal.status, refusal.code) == (404, "M_NOT_FOUND")
            return False

    private = await bob.create_room(preset="private_chat")
    assert not await is_shown(private) and not await is_shown("!nowhere:far.test")
    await bob.invite(private, alice)
    assert await is_shown(private)
    await alice.leave(private)
    assert not await is_shown(private)
    members = await bob.create_room(preset="public_chat")
    rule = {
        "join_rule": "restricted",
        "allow": [{"type": "m.room_membership", "room_id": members}],
    }
    restricted = await bob.create_room(
        initial_state=[{"type": "m.room.join_rules", "state_key": "", "content": rule}]
    )
    assert not await is_shown(restricted)
    await alice.join(members)
    assert await is_shown(restricted)
    readable = await bob.create_room(
        initial_state=[
            {
                "type": "m.room.history_visibility",
                "state_key": "",
                "content": {"history_visibility": "world_readable"},
            }
        ]
    )
    assert await is_shown(readable)
    await bob.set_state(readable, "m.room.server_acl", {"allow": ["*"], "deny": ["near.test"]})
    assert not await is_shown(readable)


# ------------------------------------------------------------------------------------------ as ours ask


async def test_a_tree_over_two_servers(near: Server, far: Server, alice: Client, bob: Client) -> None:
    """Rooms of the other server stand in their places, its spaces with their own children."""
    leaf = await bob.create_room(preset="public_chat", name="Leaf")
    secret = await bob.create_room(preset="private_chat")
    inner = await space_of(bob, (leaf, "far.test"), (secret, "far.test"), name="Inner")
    plain = await bob.create_room(preset="public_chat", name="Plain")
    own = await alice.create_room(preset="public_chat", name="Own")
    space = await space_of(
        alice, (plain, "far.test"), (inner, "far.test"), (own, "near.test"), (secret, "far.test")
    )

    assert await tree(alice, space) == [space, plain, inner, leaf, own]
    assert await tree(alice, space, max_depth=1) == [space, plain, inner, own]
    target = f"/_matrix/client/v1/{path('rooms', space, 'hierarchy')}"
    rooms = {room["room_id"]: room for room in (await alice.get(target)).ok()["rooms"]}
    assert (rooms[plain]["name"], rooms[plain]["children_state"]) == ("Plain", [])
    assert [child["state_key"] for child in rooms[inner]["children_state"]] == [leaf, secret]
    assert await tree(alice, inner) == [inner, leaf]


async def test_a_tree_in_parts(near: Server, far: Server, alice: Client, bob: Client) -> None:
    """Pages put together are the whole, and nothing is asked twice."""
    rooms = [await bob.create_room(preset="public_chat") for _ in range(5)]
    space = await space_of(alice, *((room, "far.test") for room in rooms))
    expected = await tree(alice, space)
    found: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        target = f"/_matrix/client/v1/{path('rooms', space, 'hierarchy', **query)}"
        page = (await alice.get(target)).ok()
        found += [room["room_id"] for room in page["rooms"]]
        if "next_batch" not in page:
            break
        query["from"] = page["next_batch"]
    assert found == expected == [space, *rooms]


async def test_each_room_is_asked_for_once(
    wire: Wire, near: Server, far: Server, alice: Client, bob: Client
) -> None:
    """What another server told of the children of a space is not asked for again, nor by the next walk."""
    leaves = [await bob.create_room(preset="public_chat") for _ in range(3)]
    inner = await space_of(bob, *((leaf, "far.test") for leaf in leaves))
    space = await space_of(alice, (inner, "far.test"))
    for _ in range(2):
        assert await tree(alice, space) == [space, inner, *leaves]

    asked = [one.target for one in wire.passed if "/hierarchy/" in one.target]
    assert asked == [f"{V1}/{path('hierarchy', inner)}"]


async def test_rooms_of_servers_that_are_away(
    wire: Wire, near: Server, far: Server, alice: Client, bob: Client
) -> None:
    """They are left out, and the rest is there; another server that knows the room is asked instead."""
    room = await bob.create_room(preset="public_chat")
    own = await alice.create_room(preset="public_chat")
    space = await space_of(alice, (own, "near.test"))
    await alice.set_state(space, "m.space.child", {"via": ["gone.test", "far.test"]}, room)
    await alice.set_state(space, "m.space.child", {"via": ["gone.test"]}, "!x:gone.test")
    assert sorted(await tree(alice, space)) == sorted([space, own, room])

    wire.part("far.test")
    other = await space_of(alice, (await bob.create_room(preset="public_chat"), "far.test"))
    assert await tree(alice, other) == [other]


async def test_rooms_that_a_user_may_not_know_of(
    wire: Wire, near: Server, far: Server, alice: Client, bob: Client
) -> None:
    """A restricted room is shown to the members of the room that lets them in."""
    club = await alice.create_room(preset="private_chat")
    rule = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": club}]}
    restricted = await bob.create_room(
        initial_state=[{"type": "m.room.join_rules", "state_key": "", "content": rule}]
    )
    await bob.invite(restricted, await near.register("carol"))
    space = await space_of(alice, (restricted, "far.test"))
    dave = await near.register("dave")
    await dave.join(space)

    assert await tree(alice, space) == [space, restricted]
    assert await tree(dave, space) == [space]


async def test_spaces_of_liars(wire: Wire, near: Server, alice: Client) -> None:
    """What is told of another room, has wrong types or no end, is not shown; nor does it end in an error."""
    room = {
        "room_id": "!0:evil.test",
        "num_joined_members": 1,
        "world_readable": True,
        "guest_can_join": False,
        "room_type": "m.space",
    }
    child = {
        "type": "m.space.child",
        "state_key": "!0:evil.test",
        "content": {"via": ["evil.test"]},
        "sender": "@e:evil.test",
        "origin_server_ts": 1,
    }
    spoiled: list[Any] = [
        b"no json",
        [],
        {"room": 5},
        {"room": {**room, "room_id": "!other:near.test"}},
        {"room": {**room, "num_joined_members": "many"}},
        {"room": {**room, "topic": "x" * 600_000}},
        {"room": {**room, "children_state": 5}, "children": 5},
    ]
    peer = Peer.on(wire, "evil.test")
    for n, told in enumerate(spoiled):
        peer.lies["hierarchy"] = lambda asked, honest, told=told: told
        space = await space_of(alice, ("!0:evil.test", "evil.test"), (f"!{n + 10}:evil.test", "evil.test"))
        assert await tree(alice, space) == [space], told

    def endless(asked: Asked, honest: Any) -> Any:
        number = int(asked.parts[0].strip("!").partition(":")[0])
        following = {**child, "state_key": f"!{number + 1}:evil.test"}
        return {
            "room": {**room, "room_id": asked.parts[0], "children_state": [child, 5, {}, following]},
            "children": [5, {}, {**room, "room_id": "nonsense"}],
            "inaccessible_children": [5],
        }

    peer.lies["hierarchy"] = endless
    found = await tree(alice, await space_of(alice, ("!0:evil.test", "evil.test")))
    assert len(found) == 50
    assert len([asked for asked in peer.asked if asked.name == "hierarchy"]) < 120


# ------------------------------------------------------------------------------------------ summaries


async def test_the_summary_of_a_room_elsewhere(
    wire: Wire, near: Server, far: Server, alice: Client, bob: Client
) -> None:
    """By alias, and by id through the servers that are named; not for strangers, and not what is private."""
    room = await bob.create_room(preset="public_chat", name="There", room_alias_name="there")
    private = await bob.create_room(preset="private_chat")

    def target(room: str, **query: Any) -> str:
        return f"/_matrix/client/v1/{path('room_summary', room, **query)}"

    found = (await alice.get(target("#there:far.test"))).ok()
    assert (found["room_id"], found["name"], found["join_rule"]) == (room, "There", "public")
    assert "membership" not in found and "children_state" not in found
    assert (await alice.get(target(room, via=["gone.test", "far.test"]))).ok() == found
    assert (await alice.get(target(room))).ok() == found
    (await alice.get(target(private, via="far.test"))).error(404, "M_NOT_FOUND")
    (await near.anonymous.get(target(room, via="far.test"))).error(404, "M_NOT_FOUND")
    wire.part("far.test")
    (await alice.get(target("!other:far.test"))).error(404, "M_NOT_FOUND")


@pytest.mark.parametrize("version", [None, "11"])
async def test_summaries_of_older_servers(
    wire: Wire, near: Server, alice: Client, version: str | None
) -> None:
    """They have neither version nor join rule."""
    peer = Peer.on(wire, "old.test")
    room = {
        "room_id": "!r:old.test",
        "num_joined_members": 1,
        "world_readable": False,
        "guest_can_join": False,
        "children_state": [],
    }
    if version is not None:
        room["room_version"] = version
    peer.lies["hierarchy"] = lambda asked, honest: {"room": room, "children": []}

    found = (await alice.get(f"/_matrix/client/v1/{path('room_summary', '!r:old.test')}")).ok()
    assert (found.get("room_version"), found["join_rule"]) == (version, "public")
