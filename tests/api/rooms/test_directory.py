"""Aliases and the list of public rooms, as other clients see them."""

from pathlib import Path
from typing import Any

from chamberlain.config.directory import Directory
from tests.support.server import Client, Server, path, test_config

ALIAS = "#lobby:example.org"


async def names(client: Client, **query: Any) -> list[str]:
    """The names in the list of public rooms."""
    answer = (await client.post("publicRooms", query)).ok()
    return [room.get("name", "") for room in answer["chunk"]]


async def test_an_alias_leads_to_its_room(server: Server, alice: Client, bob: Client) -> None:
    """Anybody can resolve an alias, and join by it; after its deletion nobody can."""
    room = await alice.create_room(preset="public_chat")
    (await alice.put(path("directory", "room", ALIAS), {"room_id": room})).ok()
    found = (await server.anonymous.get(path("directory", "room", ALIAS))).ok()
    assert found == {"room_id": room, "servers": ["example.org"]}
    await bob.join(ALIAS)
    assert (await bob.get(path("rooms", room, "aliases"))).ok() == {"aliases": [ALIAS]}
    (await alice.delete(path("directory", "room", ALIAS))).ok()
    gone = await bob.get(path("directory", "room", ALIAS))
    assert (gone.status, gone.json["errcode"]) == (404, "M_NOT_FOUND")
    again = await alice.delete(path("directory", "room", ALIAS))
    assert (again.status, again.json["errcode"]) == (404, "M_NOT_FOUND")


async def test_an_alias_names_one_room(alice: Client) -> None:
    """An alias that is taken is refused, also for the room that has it."""
    room = await alice.create_room()
    (await alice.put(path("directory", "room", ALIAS), {"room_id": room})).ok()
    for target in (room, await alice.create_room()):
        taken = await alice.put(path("directory", "room", ALIAS), {"room_id": target})
        assert taken.status == 409


async def test_aliases_are_refused(alice: Client, bob: Client) -> None:
    """What is no alias, is of another server, or is for a room that one is not in cannot be made an alias."""
    room = await alice.create_room()
    for alias in ("lobby", "#lobby", "#lobby:elsewhere.org", "#" + "a" * 300 + ":example.org"):
        refused = await alice.put(path("directory", "room", alias), {"room_id": room})
        assert (refused.status, refused.json["errcode"]) == (400, "M_INVALID_PARAM")
    assert (await bob.put(path("directory", "room", ALIAS), {"room_id": room})).status == 403
    assert (await bob.get(path("rooms", room, "aliases"))).status == 403


async def test_only_its_maker_and_the_powerful_delete_an_alias(alice: Client, bob: Client) -> None:
    """A member who neither made the alias nor has power over aliases cannot delete it."""
    room = await alice.create_room(preset="public_chat", room_alias_name="lobby")
    await bob.join(room)
    assert (await bob.delete(path("directory", "room", ALIAS))).status == 403
    other = "#side-door:example.org"
    (await bob.put(path("directory", "room", other), {"room_id": room})).ok()
    (await alice.delete(path("directory", "room", other))).ok()


async def test_a_deleted_alias_leaves_the_canonical_alias_event(alice: Client, bob: Client) -> None:
    """Whoever may change the room's canonical alias deletes the alias there too."""
    room = await alice.create_room(preset="public_chat", room_alias_name="lobby")
    await bob.join(room)
    assert (await bob.state(room, "m.room.canonical_alias")).ok() == {"alias": ALIAS}
    (await alice.delete(path("directory", "room", ALIAS))).ok()
    assert (await bob.state(room, "m.room.canonical_alias")).ok() == {}


async def test_a_room_is_listed_and_taken_off(server: Server, alice: Client, bob: Client) -> None:
    """A published room is in the list of others until it is taken off; doing either again changes nothing."""
    room = await alice.create_room(
        preset="public_chat", name="Garden", topic="Plants", room_alias_name="lobby"
    )
    target = path("directory", "list", "room", room)
    assert await names(bob) == []
    for visibility, listed in (("public", ["Garden"]), ("private", [])):
        for _ in range(2):
            (await alice.put(target, {"visibility": visibility})).ok()
            assert (await server.anonymous.get(target)).ok() == {"visibility": visibility}
            assert await names(bob) == listed
    (await alice.put(target)).ok()
    assert (await bob.get("publicRooms")).ok() == {
        "chunk": [
            {
                "room_id": room,
                "name": "Garden",
                "topic": "Plants",
                "canonical_alias": ALIAS,
                "num_joined_members": 1,
                "world_readable": False,
                "guest_can_join": False,
                "join_rule": "public",
            }
        ],
        "total_room_count_estimate": 1,
    }


async def test_publishing_needs_power(server: Server, alice: Client, bob: Client) -> None:
    """Ordinary members and strangers cannot publish a room; an administrator of the server can."""
    room = await alice.create_room(preset="public_chat", name="Garden")
    target = path("directory", "list", "room", room)
    assert (await bob.put(target)).status == 403
    await bob.join(room)
    assert (await bob.put(target)).status == 403
    (await (await server.admin()).put(target)).ok()
    assert await names(bob) == ["Garden"]
    unknown = path("directory", "list", "room", "!nowhere:example.org")
    assert (await alice.put(unknown)).status == 404
    assert (await alice.get(unknown)).status == 404


async def test_a_room_that_nobody_can_enter_is_not_listed(alice: Client, bob: Client) -> None:
    """A published room that one can neither join, knock at nor look into does not show."""
    room = await alice.create_room(visibility="public", preset="private_chat", name="Closed")
    assert await names(bob) == []
    await alice.set_state(room, "m.room.history_visibility", {"history_visibility": "world_readable"})
    assert await names(bob) == ["Closed"]


async def test_the_list_is_searched(alice: Client, bob: Client) -> None:
    """A term is looked for in names, topics and aliases, whatever the case; types pick rooms of these types."""
    await alice.create_room(visibility="public", name="Garden", topic="100% plants", room_alias_name="hedge")
    await alice.create_room(visibility="public", name="Ärger", creation_content={"type": "m.space"})
    for term, found in (
        ("gARd", ["Garden"]),
        ("PLANTS", ["Garden"]),
        ("0% p", ["Garden"]),
        ("%%", []),
        ("_ard", []),
        ("#HEDGE", ["Garden"]),
        ("Ärger", ["Ärger"]),
    ):
        assert await names(bob, filter={"generic_search_term": term}) == found, term
    assert await names(bob, filter={"room_types": ["m.space"]}) == ["Ärger"]
    assert await names(bob, filter={"room_types": [None]}) == ["Garden"]
    assert sorted(await names(bob, filter={"room_types": [None, "m.space"]})) == ["Garden", "Ärger"]
    assert await names(bob, filter={"room_types": []}) == []


async def test_the_list_is_paged_in_both_directions(alice: Client, bob: Client) -> None:
    """The largest rooms come first; the tokens lead through the whole list and back."""
    rooms = [await alice.create_room(visibility="public", name=str(number)) for number in range(5)]
    await bob.join(rooms[3])
    whole = await names(bob)
    assert whole[0] == "3"
    assert sorted(whole) == ["0", "1", "2", "3", "4"]
    pages: list[list[str]] = []
    since: str | None = None
    while True:
        page = (await bob.get("publicRooms?limit=2" + (f"&since={since}" if since else ""))).ok()
        assert page["total_room_count_estimate"] == 5
        pages.append([room["name"] for room in page["chunk"]])
        if "next_batch" not in page:
            break
        since = page["next_batch"]
    assert pages == [whole[:2], whole[2:4], whole[4:]]
    back = (await bob.get(f"publicRooms?limit=2&since={page['prev_batch']}")).ok()
    assert [room["name"] for room in back["chunk"]] == whole[2:4]
    first = (await bob.get(f"publicRooms?limit=2&since={back['prev_batch']}")).ok()
    assert [room["name"] for room in first["chunk"]] == whole[:2]
    assert "prev_batch" not in first
    forth = (await bob.get(f"publicRooms?limit=2&since={first['next_batch']}")).ok()
    assert [room["name"] for room in forth["chunk"]] == whole[2:4]


async def test_bad_pages_are_refused(bob: Client) -> None:
    """A token that is none, a negative limit, and a server that cannot be reached, get an errcode."""
    for query in ("since=nonsense", "since=%F0%9F%90%8C", "limit=-1", "limit=many", "since=WzEsMl0"):
        refused = await bob.get(f"publicRooms?{query}")
        assert (refused.status, refused.json["errcode"]) == (400, "M_INVALID_PARAM"), query
    (await bob.get("publicRooms?server=no%20name")).error(400, "M_INVALID_PARAM")
    (await bob.get("publicRooms?server=elsewhere.org")).error(502, "M_UNKNOWN")
    assert (await bob.get("publicRooms?server=example.org")).status == 200


async def test_strangers_see_the_list_only_where_that_is_set(server: Server, tmp_path: Path) -> None:
    """Without a token the list is there when the settings say so."""
    assert (await server.anonymous.get("publicRooms")).json["errcode"] == "M_MISSING_TOKEN"
    (tmp_path / "open").mkdir()
    config = test_config(tmp_path / "open", directory=Directory(readable_without_login=True))
    other = await Server.start(config)
    assert (await other.anonymous.get("publicRooms")).ok()["chunk"] == []
    await other.stop()
