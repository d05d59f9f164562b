"""The tree of a space and room summaries, as members, those who may join, and strangers see them."""

from typing import Any

from tests.support.server import Client, Server, path

SPACE = {"type": "m.space"}
HERE = ["example.org"]


def v1(*parts: str, **query: Any) -> str:
    """A path of the first version of the API."""
    return f"/_matrix/client/v1/{path(*parts, **query)}"


async def tree(client: Client, space: str, **query: Any) -> list[str]:
    """The ids of the rooms of a tree, in order."""
    answer = (await client.get(v1("rooms", space, "hierarchy", **query))).ok()
    return [room["room_id"] for room in answer["rooms"]]


async def space_of(client: Client, name: str, *children: str, **content: Any) -> str:
    """Make a public space with children, ordered as given."""
    space = await client.create_room(preset="public_chat", name=name, creation_content=SPACE)
    for number, child in enumerate(children):
        order = {"order": chr(97 + number)}
        await client.set_state(space, "m.space.child", {"via": HERE, **order, **content}, child)
    return space


async def room_of(client: Client, **options: Any) -> str:
    """Make a public room."""
    return await client.create_room(**({"preset": "public_chat"} | options))


async def test_the_tree_is_walked_depth_first(alice: Client, bob: Client) -> None:
    """A space's own children come right after it; each room comes once, loops end."""
    leaf, twig, other = [await room_of(alice, name=name) for name in ("leaf", "twig", "other")]
    branch = await space_of(alice, "branch", leaf, twig)
    root = await space_of(alice, "root", branch, leaf, other)
    await alice.set_state(branch, "m.space.child", {"via": HERE}, root)
    assert await tree(bob, root) == [root, branch, leaf, twig, other]
    assert await tree(bob, leaf) == [leaf]


async def test_a_room_of_the_tree(alice: Client, bob: Client) -> None:
    """A space shows its summary and its children, stripped; a room has no children."""
    room = await room_of(alice, name="Garden", topic="Plants", room_version="10", room_alias_name="lobby")
    await alice.set_state(room, "m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"})
    root = await space_of(alice, "root", room)
    rooms = (await bob.get(v1("rooms", root, "hierarchy"))).ok()["rooms"]
    children = rooms[0].pop("children_state")
    assert rooms[0]["room_type"] == "m.space"
    assert children == [
        {
            "type": "m.space.child",
            "state_key": room,
            "content": {"via": HERE, "order": "a"},
            "sender": alice.user_id,
            "origin_server_ts": children[0]["origin_server_ts"],
        }
    ]
    assert rooms[1] == {
        "room_id": room,
        "num_joined_members": 1,
        "world_readable": False,
        "guest_can_join": False,
        "join_rule": "public",
        "room_version": "10",
        "name": "Garden",
        "topic": "Plants",
        "canonical_alias": "#lobby:example.org",
        "encryption": "m.megolm.v1.aes-sha2",
        "children_state": [],
    }


async def test_children_are_sorted(alice: Client, bob: Client) -> None:
    """Children with an order come first, by it; those without a valid one by the time of their event."""
    rooms = [await room_of(alice) for _ in range(5)]
    root = await space_of(alice, "root")
    for room, order in zip(rooms, ("b", None, " ", "not\tvalid", "a"), strict=True):
        content = {"via": HERE} if order is None else {"via": HERE, "order": order}
        await alice.set_state(root, "m.space.child", content, room)
    assert await tree(bob, root) == [root, rooms[2], rooms[4], rooms[0], rooms[1], rooms[3]]


async def test_removed_children_are_no_children(alice: Client, bob: Client) -> None:
    """A child event without servers is no child; neither is a room that is not known."""
    kept, removed, unlisted = [await room_of(alice) for _ in range(3)]
    root = await space_of(alice, "root", kept, removed, "!unknown:example.org")
    await alice.set_state(root, "m.space.child", {}, removed)
    await alice.set_state(root, "m.space.child", {"via": []}, unlisted)
    assert await tree(bob, root) == [root, kept]


async def test_only_suggested_rooms(alice: Client, bob: Client) -> None:
    """With suggested_only, only suggested children are shown and walked through."""
    yes, no = await room_of(alice), await room_of(alice)
    root = await space_of(alice, "root", no)
    await alice.set_state(root, "m.space.child", {"via": HERE, "suggested": True}, yes)
    assert await tree(bob, root, suggested_only="true") == [root, yes]
    assert await tree(bob, root, suggested_only="false") == [root, no, yes]


async def test_the_depth_is_bounded(alice: Client, bob: Client) -> None:
    """max_depth says how far below the space to go; 0 gives the space alone."""
    leaf = await room_of(alice)
    branch = await space_of(alice, "branch", leaf)
    root = await space_of(alice, "root", branch)
    assert await tree(bob, root, max_depth=0) == [root]
    assert await tree(bob, root, max_depth=1) == [root, branch]
    assert await tree(bob, root, max_depth=2) == [root, branch, leaf]


async def test_the_tree_comes_in_parts(alice: Client, bob: Client) -> None:
    """The tokens lead through the whole tree; they hold for the view that they were made for."""
    rooms = [await room_of(alice) for _ in range(5)]
    root = await space_of(alice, "root", *rooms)
    found: list[str] = []
    query: dict[str, Any] = {"limit": 2, "max_depth": 3}
    while True:
        answer = (await bob.get(v1("rooms", root, "hierarchy", **query))).ok()
        found += [room["room_id"] for room in answer["rooms"]]
        assert len(answer["rooms"]) <= 2
        if "next_batch" not in answer:
            break
        query["from"] = token = answer["next_batch"]
    assert found == [root, *rooms]
    for wrong in (
        {"from": token, "max_depth": 2},
        {"from": token, "max_depth": 3, "suggested_only": "true"},
        {"from": "nonsense"},
        {"limit": 0},
        {"max_depth": -1},
    ):
        refused = await bob.get(v1("rooms", root, "hierarchy", **wrong))
        assert (refused.status, refused.json["errcode"]) == (400, "M_INVALID_PARAM"), wrong


async def test_who_sees_which_rooms(server: Server, alice: Client, bob: Client) -> None:
    """A tree shows what one is in, invited to, may join, knock at or look into, and nothing else."""
    allow = {"type": "m.room_membership", "room_id": await room_of(alice)}
    rules = {"join_rule": "restricted", "allow": [allow]}
    closed = {"preset": "private_chat"}
    private, invited, knock, restricted, readable = [
        await room_of(alice, **closed, initial_state=state)
        for state in (
            [],
            [],
            [{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}],
            [{"type": "m.room.join_rules", "content": rules}],
            [{"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}}],
        )
    ]
    await alice.invite(invited, bob)
    root = await space_of(alice, "root", private, invited, knock, restricted, readable)
    assert await tree(bob, root) == [root, invited, knock, readable]
    await bob.join(allow["room_id"])
    assert await tree(bob, root) == [root, invited, knock, restricted, readable]
    assert await tree(alice, root) == [root, private, invited, knock, restricted, readable]
    (await alice.post(path("rooms", root, "ban"), {"user_id": bob.user_id})).ok()
    for space in (root, private, "!unknown:example.org"):
        refused = await bob.get(v1("rooms", space, "hierarchy"))
        assert (refused.status, refused.json["errcode"]) == (403, "M_FORBIDDEN")


async def test_a_summary(server: Server, alice: Client, bob: Client) -> None:
    """A public room shows its summary to everybody, by id and alias; a user sees their membership in it."""
    room = await room_of(alice, name="Garden", room_alias_name="lobby", room_version="11")
    summary = {
        "room_id": room,
        "num_joined_members": 1,
        "world_readable": False,
        "guest_can_join": False,
        "join_rule": "public",
        "room_version": "11",
        "name": "Garden",
        "canonical_alias": "#lobby:example.org",
    }
    for name in (room, "#lobby:example.org"):
        assert (await server.anonymous.get(v1("room_summary", name))).ok() == summary
        assert (await bob.get(v1("room_summary", name))).ok() == summary
    await bob.join(room)
    seen = (await bob.get(v1("room_summary", room))).ok()
    assert seen == summary | {"membership": "join", "num_joined_members": 2}


async def test_a_hidden_summary(server: Server, alice: Client, bob: Client) -> None:
    """A room that one may neither join nor look into cannot be told from one that does not exist."""
    allow = {"type": "m.room_membership", "room_id": await room_of(alice)}
    rules = {"join_rule": "restricted", "allow": [allow]}
    private = await alice.create_room()
    restricted = await alice.create_room(initial_state=[{"type": "m.room.join_rules", "content": rules}])
    await bob.join(allow["room_id"])
    for client, room in (
        (bob, private),
        (server.anonymous, private),
        (server.anonymous, restricted),
        (bob, "!unknown:example.org"),
        (bob, "#unknown:example.org"),
    ):
        refused = await client.get(v1("room_summary", room))
        assert (refused.status, refused.json["errcode"]) == (404, "M_NOT_FOUND")
    seen = (await bob.get(v1("room_summary", restricted))).ok()
    assert seen["allowed_room_ids"] == [allow["room_id"]]
    assert (await bob.get(v1("room_summary", "nonsense"))).status == 400
