"""What servers ask of one another about users, aliases and lists of rooms, for their users."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from chamberlain.config.directory import Directory
from chamberlain.matrix.remote_errors import Refused
from tests.support.clock import FakeClock
from tests.support.peer import Peer
from tests.support.server import Client, Server, path
from tests.support.wire import Wire

V1 = "/_matrix/federation/v1"
OPEN = Directory(over_federation=True)


async def ask(server: Server, method: str, target: str, body: Any = None) -> Any:
    """What `far.test` answers to another server."""
    client = server.app.services.federation.remotes.client
    return orjson.loads(await client.request("far.test", method, f"{V1}/{target}", body))


async def refused(server: Server, method: str, target: str, body: Any = None) -> tuple[int, str | None]:
    """How `far.test` refuses."""
    with pytest.raises(Refused) as error:
        await ask(server, method, target, body)
    return error.value.status, error.value.code


async def open_far(wire: Wire, folder: Path, **settings: Any) -> Server:
    """The server `far.test`, whose directory others may read."""
    return await wire.add("far.test", folder, directory=OPEN, **settings)


# ------------------------------------------------------------------------------------------ profiles


async def test_profiles_as_other_servers_ask_for_them(near: Server, far: Server, bob: Client) -> None:
    """In full or one field; a field that is not there is left out; users of this server alone."""
    await bob.put(f"profile/{bob.user_id}/displayname", {"displayname": "Bob"})
    await bob.put(f"profile/{bob.user_id}/org.example.x", {"org.example.x": {"a": 1}})

    def target(user: str, **field: str) -> str:
        return path("query", "profile", user_id=user, **field)

    whole = await ask(near, "GET", target(bob.user_id))
    assert whole == {"displayname": "Bob", "org.example.x": {"a": 1}}
    assert await ask(near, "GET", target(bob.user_id, field="displayname")) == {"displayname": "Bob"}
    assert await ask(near, "GET", target(bob.user_id, field="avatar_url")) == {}
    assert await refused(near, "GET", target("@nobody:far.test")) == (404, "M_NOT_FOUND")
    assert await refused(near, "GET", target("@alice:near.test")) == (400, "M_INVALID_PARAM")
    assert await refused(near, "GET", "query/profile") == (400, "M_MISSING_PARAM")
    await bob.post("account/deactivate", {"auth": await _password(bob)})
    assert await refused(near, "GET", target(bob.user_id)) == (404, "M_NOT_FOUND")


async def _password(user: Client) -> dict[str, Any]:
    session = (await user.post("account/deactivate")).json["session"]
    return {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": user.user_id},
        "password": "correct horse battery",
        "session": session,
    }


async def test_reading_a_profile_of_another_server(far: Server, alice: Client, bob: Client) -> None:
    """All fields, and one; nothing for who is not there."""
    await bob.put(f"profile/{bob.user_id}/displayname", {"displayname": "Bob"})
    await bob.put(f"profile/{bob.user_id}/m.tz", {"m.tz": "Europe/Rome"})

    assert (await alice.get(f"profile/{bob.user_id}")).ok() == {"displayname": "Bob", "m.tz": "Europe/Rome"}
    assert (await alice.get(f"profile/{bob.user_id}/displayname")).ok() == {"displayname": "Bob"}
    (await alice.get(f"profile/{bob.user_id}/avatar_url")).error(404, "M_NOT_FOUND")
    (await alice.get("profile/@nobody:far.test")).error(404, "M_NOT_FOUND")


async def test_a_profile_is_asked_for_once_in_a_while(wire: Wire, tmp_path: Path) -> None:
    """Two minutes; what the other server then says is taken."""
    clock = FakeClock()
    near = await wire.add("near.test", tmp_path, clock=clock)
    peer = Peer.on(wire, "far.test", now=clock.now)
    alice = await near.register("alice")
    told = {"displayname": "Eve"}
    peer.lies["query"] = lambda asked, honest: told

    for _ in range(3):
        assert (await alice.get("profile/@eve:far.test")).ok() == {"displayname": "Eve"}
    told = {"displayname": "Evelyn"}
    assert len([asked for asked in peer.asked if asked.name == "query"]) == 1
    await clock.advance(121)
    assert (await alice.get("profile/@eve:far.test")).ok() == {"displayname": "Evelyn"}


async def test_what_rooms_tell_of_a_user_whose_server_is_away(
    wire: Wire, near: Server, far: Server, alice: Client
) -> None:
    """Their names there; an error where they are in none."""
    room = await alice.create_room(preset="public_chat")
    content = {"membership": "join", "displayname": "Bob here"}
    await near.app.services.rooms.submit.send(
        "@bob:far.test", room, "m.room.member", content, state_key="@bob:far.test"
    )
    wire.part("far.test")

    assert (await alice.get("profile/@bob:far.test")).ok() == {"displayname": "Bob here"}
    (await alice.get("profile/@other:far.test")).error(502, "M_UNKNOWN")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([], (502, "M_UNKNOWN")),
        ("x", (502, "M_UNKNOWN")),
        ({"displayname": "x" * 200_000}, (502, "M_UNKNOWN")),
        ({"displayname": {"a": 1}, "avatar_url": None}, (404, "M_NOT_FOUND")),
    ],
)
async def test_profiles_that_are_none(
    wire: Wire, near: Server, alice: Client, told: Any, expected: tuple[int, str]
) -> None:
    """Wrong types, and too much, are not passed on."""
    peer = Peer.on(wire, "far.test")
    peer.lies["query"] = lambda asked, honest: told

    answer = await alice.get("profile/@eve:far.test")
    assert (answer.status, answer.json["errcode"]) == expected


# ------------------------------------------------------------------------------------------ aliases


async def test_aliases_as_other_servers_ask_for_them(near: Server, alice: Client, bob: Client) -> None:
    """The room and the servers in it, those of this server alone."""
    room = await bob.create_room(room_alias_name="here", preset="public_chat")
    await alice.join(room)

    found = await ask(near, "GET", path("query", "directory", room_alias="#here:far.test"))
    assert found == {"room_id": room, "servers": ["far.test", "near.test"]}
    for alias, error in (
        ("#nothing:far.test", (404, "M_NOT_FOUND")),
        ("#here:near.test", (400, "M_INVALID_PARAM")),
        ("here", (400, "M_INVALID_PARAM")),
    ):
        assert await refused(near, "GET", path("query", "directory", room_alias=alias)) == error
    assert await refused(near, "GET", "query/nonsense") == (404, "M_NOT_FOUND")


async def test_asking_for_an_alias_of_another_server(
    wire: Wire, near: Server, far: Server, alice: Client, bob: Client
) -> None:
    """It names its room and servers; nothing, or an error, where there is none or the server is away."""
    room = await bob.create_room(room_alias_name="here")

    found = (await alice.get(path("directory", "room", "#here:far.test"))).ok()
    assert found == {"room_id": room, "servers": ["far.test"]}
    (await alice.get(path("directory", "room", "#nothing:far.test"))).error(404, "M_NOT_FOUND")
    (await alice.delete(path("directory", "room", "#here:far.test"))).error(400, "M_INVALID_PARAM")
    wire.part("far.test")
    (await alice.get(path("directory", "room", "#here:far.test"))).error(502, "M_UNKNOWN")


@pytest.mark.parametrize("way", ["join", "knock"])
async def test_into_a_room_by_an_alias_of_another_server(
    far: Server, alice: Client, bob: Client, way: str
) -> None:
    """The alias says which servers to ask; here the room's id names none."""
    version = {"room_version": "12", "room_alias_name": "here"}
    rule = {"type": "m.room.join_rules", "content": {"join_rule": "public" if way == "join" else "knock"}}
    room = await bob.create_room(**version, initial_state=[rule])
    assert ":" not in room
    answer = (await alice.post(path(way, "#here:far.test"))).ok()
    assert answer == {"room_id": room}


async def test_a_room_calls_itself_only_what_other_servers_say_too(
    far: Server, alice: Client, bob: Client
) -> None:
    """An alias of another server must name the room there."""
    await bob.create_room(room_alias_name="theirs")
    room = await alice.create_room()
    target = path("rooms", room, "state", "m.room.canonical_alias")
    for alias in ("#theirs:far.test", "#nothing:far.test"):
        (await alice.put(target, {"alt_aliases": [alias]})).error(400, "M_BAD_ALIAS")


@pytest.mark.parametrize("told", [[], {}, {"room_id": "nonsense"}, {"room_id": 5, "servers": []}])
async def test_aliases_that_name_no_room(wire: Wire, near: Server, alice: Client, told: Any) -> None:
    """What makes no sense is not passed on."""
    peer = Peer.on(wire, "far.test")
    peer.lies["query"] = lambda asked, honest: told
    (await alice.get(path("directory", "room", "#here:far.test"))).error(502, "M_UNKNOWN")


async def test_servers_that_are_none_are_left_out(wire: Wire, near: Server, alice: Client) -> None:
    """And so is what is beyond fifty."""
    peer = Peer.on(wire, "far.test")
    told = {"room_id": "!r:far.test", "servers": ["no name", "ok.test", *(f"s{n}.test" for n in range(99))]}
    peer.lies["query"] = lambda asked, honest: told
    found = (await alice.get(path("directory", "room", "#here:far.test"))).ok()
    assert found["servers"][:2] == ["ok.test", "s0.test"] and len(found["servers"]) == 50


# ------------------------------------------------------------------------------------------ public rooms


async def test_a_directory_is_closed_to_other_servers_unless_it_is_set(
    near: Server, far: Server, alice: Client
) -> None:
    """403, which the client hears of."""
    for method, body in (("GET", None), ("POST", {})):
        assert await refused(near, method, "publicRooms", body) == (403, "M_FORBIDDEN")
    (await alice.get("publicRooms?server=far.test")).error(403, "M_FORBIDDEN")


async def test_rooms_that_are_closed_to_other_servers_are_not_shown_to_them(
    wire: Wire, tmp_path: Path, near: Server, alice: Client
) -> None:
    """Neither in the directory nor as a space; users here see them."""
    far = await open_far(wire, tmp_path)
    bob = await far.register("bob")
    closed = await bob.create_room(
        preset="public_chat",
        visibility="public",
        name="Closed",
        creation_content={"type": "m.space", "m.federate": False},
    )
    await bob.create_room(preset="public_chat", visibility="public", name="Open")

    page = (await alice.get("publicRooms?server=far.test")).ok()

    assert [room["name"] for room in page["chunk"]] == ["Open"]
    assert page["total_room_count_estimate"] == 1
    assert len((await bob.get("publicRooms")).ok()["chunk"]) == 2
    assert await refused(near, "GET", path("hierarchy", closed)) == (404, "M_NOT_FOUND")


async def test_reading_the_directory_of_another_server(
    wire: Wire, tmp_path: Path, near: Server, alice: Client
) -> None:
    """In pages and with filters, by both methods, the tokens being the other server's."""
    far = await open_far(wire, tmp_path)
    bob = await far.register("bob")
    for n in range(3):
        await bob.create_room(preset="public_chat", visibility="public", name=f"Room {n}", topic="all")
    space = await bob.create_room(
        preset="public_chat", visibility="public", name="Space", creation_content={"type": "m.space"}
    )
    await alice.create_room(preset="public_chat", visibility="public", name="Ours")

    first = (await alice.get("publicRooms?server=far.test&limit=3")).ok()
    rest = (await alice.get(path("publicRooms", server="far.test", since=first["next_batch"]))).ok()
    names = [room["name"] for room in first["chunk"] + rest["chunk"]]
    assert sorted(names) == ["Room 0", "Room 1", "Room 2", "Space"]
    assert (first["total_room_count_estimate"], "next_batch" in rest) == (4, False)
    assert first["chunk"][0].keys() >= {"room_id", "num_joined_members", "world_readable", "guest_can_join"}

    async def search(**body: Any) -> list[str]:
        found = (await alice.post("publicRooms?server=far.test", body)).ok()["chunk"]
        return sorted(room["name"] for room in found)

    assert await search(filter={"generic_search_term": "room"}) == ["Room 0", "Room 1", "Room 2"]
    assert await search(filter={"room_types": ["m.space"]}) == ["Space"]
    assert await search(filter={"room_types": [None]}) == ["Room 0", "Room 1", "Room 2"]
    assert await search(third_party_instance_id="irc") == []
    assert await search(third_party_instance_id="irc", include_all_networks=True) == sorted(names)
    listed = await ask(near, "GET", "publicRooms")
    assert {room["room_id"] for room in listed["chunk"]} >= {space}
    assert (await ask(near, "GET", "publicRooms?third_party_instance_id=irc"))["chunk"] == []
    assert await refused(near, "GET", "publicRooms?since=nonsense") == (400, "M_INVALID_PARAM")
    (await alice.get("publicRooms?server=far.test&limit=-1")).error(400, "M_INVALID_PARAM")
    assert [room["name"] for room in (await alice.get("publicRooms?server=near.test")).ok()["chunk"]] == [
        "Ours"
    ]


async def test_lists_of_strangers_are_sifted(wire: Wire, near: Server, alice: Client) -> None:
    """What is no room is left out; what is no list is an error."""
    good = {
        "room_id": "!r:far.test",
        "num_joined_members": 3,
        "world_readable": True,
        "guest_can_join": False,
    }
    told: Any = {
        "chunk": [good, {**good, "room_id": "nonsense"}, {**good, "num_joined_members": "many"}, 5, None, {}],
        "total_room_count_estimate": -5,
        "next_batch": "more",
    }
    peer = Peer.on(wire, "far.test")
    peer.lies["publicRooms"] = lambda asked, honest: told

    found = (await alice.get("publicRooms?server=far.test")).ok()
    assert found == {"chunk": [good], "total_room_count_estimate": 1, "next_batch": "more"}
    for spoiled in ([], {"chunk": 5}, "x", {"chunk": [], "next_batch": 7}, b"no json"):
        told = spoiled
        (await alice.get("publicRooms?server=far.test")).error(502, "M_UNKNOWN")
