"""Joining rooms of other servers."""

import asyncio
from typing import Any

import orjson
import pytest

from chamberlain.federation.transport import TransportAnswer
from chamberlain.rooms import remote_membership
from tests.support.asgi import Answer
from tests.support.peer import Asked, Peer
from tests.support.server import Client, Server, path
from tests.support.tables import select
from tests.support.wire import Wire

VERSIONS = ("1", "6", "8", "10", "11", "12")


async def try_join(client: Client, room_id: str, *via: str, **body: object) -> Answer:
    """Try to join a room through these servers."""
    return await client.post(path("join", room_id, via=via), body)


async def join(client: Client, room_id: str, *via: str, **body: object) -> None:
    """Join a room through these servers."""
    (await try_join(client, room_id, *via, **body)).ok()


async def members(client: Client, room_id: str) -> dict[str, str]:
    """What everyone is in a room, as this user sees it."""
    chunk = (await client.get(path("rooms", room_id, "members"))).ok()["chunk"]
    return {event["state_key"]: event["content"]["membership"] for event in chunk}


def count(wire: Wire, call: str) -> int:
    """How many requests of this name were made."""
    return sum(f"/{call}/" in passing.target for passing in wire.passed)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_user_joins_a_room_of_another_server(alice: Client, bob: Client, version: str) -> None:
    """Both see both, the newcomer sees the room's state, and joining again changes nothing."""
    room_id = await alice.create_room(preset="public_chat", name="Far", room_version=version)
    await alice.sync()

    for _ in range(2):
        await join(bob, room_id, "near.test", reason="curious")

    both = {alice.user_id: "join", bob.user_id: "join"}
    assert await members(alice, room_id) == both
    assert await members(bob, room_id) == both
    assert (await bob.state(room_id, "m.room.name")).ok() == {"name": "Far"}
    news = await alice.sync()
    (event,) = news["rooms"]["join"][room_id]["timeline"]["events"]
    assert event["sender"] == bob.user_id
    assert event["content"] == {"membership": "join", "displayname": "bob", "reason": "curious"}
    first = await bob.sync()
    assert first["rooms"]["join"][room_id]["timeline"]["events"][-1]["event_id"] == event["event_id"]


async def test_an_alias_says_where_the_room_is(alice: Client, bob: Client) -> None:
    """The servers that its server names are asked, for a room without a server in its id too."""
    await alice.create_room(preset="public_chat", room_version="12", room_alias_name="lobby")
    (await bob.post(path("join", "#lobby:near.test"))).ok()
    assert len((await bob.get("joined_rooms")).ok()["joined_rooms"]) == 1


async def test_one_after_the_other_is_asked(alice: Client, bob: Client, wire: Wire) -> None:
    """Servers that are down, and names that are none, keep nobody out."""
    room_id = await alice.create_room(preset="public_chat")
    (await try_join(bob, room_id, "down.test", "far.test", "not a name")).ok()
    assert room_id in (await bob.get("joined_rooms")).ok()["joined_rooms"]


async def test_where_no_server_is_known_there_is_no_room(alice: Client, bob: Client, wire: Wire) -> None:
    """The room ids of version 12 do not say where the room is."""
    room_id = await alice.create_room(preset="public_chat", room_version="12")
    (await try_join(bob, room_id)).error(404, "M_NOT_FOUND")
    (await try_join(bob, "!nothing:far.test")).error(404, "M_NOT_FOUND")
    wire.part("near.test")
    (await try_join(bob, room_id, "near.test")).error(502, "M_UNKNOWN")
    wire.heal()
    await join(bob, room_id, "near.test")


async def test_what_the_other_server_says_against_it_is_told(alice: Client, bob: Client) -> None:
    """The refusal of a server counts for more than the silence of another."""
    room_id = await alice.create_room(preset="private_chat")
    (await try_join(bob, room_id, "near.test", "down.test")).error(403, "M_FORBIDDEN")
    (await try_join(bob, "!nothing:near.test")).error(404, "M_NOT_FOUND")
    (await alice.post(path("rooms", room_id, "ban"), {"user_id": bob.user_id})).ok()
    (await try_join(bob, room_id)).error(403, "M_FORBIDDEN")


async def test_two_who_join_at_once_come_by_one_handshake(
    alice: Client, bob: Client, far: Server, wire: Wire
) -> None:
    """The second one finds the room here already."""
    carol = await far.register("carol")
    room_id = await alice.create_room(preset="public_chat")

    await asyncio.gather(join(bob, room_id, "near.test"), join(carol, room_id, "near.test"))

    assert count(wire, "send_join") == 1
    everyone = {user.user_id: "join" for user in (alice, bob, carol)}
    assert await members(bob, room_id) == everyone


async def test_a_server_that_takes_its_time_holds_up_no_others(
    alice: Client, bob: Client, far: Server, wire: Wire
) -> None:
    """Whoever knows a better one is in the room first; the one who waits comes in as well."""
    carol = await far.register("carol")
    room_id = await alice.create_room(preset="public_chat")
    slow = asyncio.Event()

    async def wait(method: str, target: str, headers: Any, body: bytes | None) -> TransportAnswer:
        await slow.wait()
        return TransportAnswer(404, {}, b"{}")

    wire.peers["slow.test"] = wait
    waiting = asyncio.ensure_future(try_join(bob, room_id, "slow.test", "near.test"))
    await join(carol, room_id, "near.test")
    slow.set()
    (await waiting).ok()
    everyone = {user.user_id: "join" for user in (alice, bob, carol)}
    assert await members(bob, room_id) == everyone


async def test_a_room_that_all_have_left_is_joined_anew(alice: Client, bob: Client) -> None:
    """What happened meanwhile is there."""
    room_id = await alice.create_room(preset="public_chat", name="Before")
    await join(bob, room_id, "near.test")
    await bob.leave(room_id)
    await alice.set_state(room_id, "m.room.name", {"name": "After"})
    await bob.sync()

    await join(bob, room_id)

    assert (await bob.state(room_id, "m.room.name")).ok() == {"name": "After"}
    block = (await bob.sync())["rooms"]["join"][room_id]
    assert {"name": "After"} in [
        event["content"] for event in (*block["state"]["events"], *block["timeline"]["events"])
    ]


async def test_a_room_that_was_left_by_all_of_the_world_is_joined_here(alice: Client, bob: Client) -> None:
    """Nobody else could say anything about it."""
    room_id = await alice.create_room(preset="public_chat")
    await alice.leave(room_id)
    await join(alice, room_id)
    (await try_join(bob, room_id)).ok()


# ------------------------------------------------------------------------------------------ hostile residents


@pytest.fixture
def peer(wire: Wire) -> Peer:
    """A hand-made server."""
    return Peer.on(wire, "peer.test")


async def test_a_hand_made_room_is_joined(peer: Peer, alice: Client) -> None:
    """A join by another implementation's handshake."""
    room = peer.room("11").furnish()
    await join(alice, room.room_id)
    assert await members(alice, room.room_id) == {peer.user(): "join", alice.user_id: "join"}


async def test_a_room_is_whole_when_its_members_come_soon(
    near: Server, peer: Peer, alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first that a client sees of it has all members, and nothing comes after."""
    monkeypatch.setattr(remote_membership, "WHOLE_SECONDS", 60.0)
    room = peer.room().furnish()
    room.member(peer.user("other"), "join")
    await join(alice, room.room_id, "peer.test")

    assert await select(near, "SELECT is_partial FROM rooms") in ([(0,)], [(False,)])
    first = (await alice.sync())["rooms"]["join"][room.room_id]
    known = {event["state_key"] for event in first["state"]["events"] if event["type"] == "m.room.member"}
    assert known >= {peer.user(), peer.user("other")}
    assert "rooms" not in await alice.sync()


async def test_a_server_that_only_knows_the_first_version_is_asked_in_that(peer: Peer, alice: Client) -> None:
    """What it answers stands behind a status then."""
    room = peer.room("6").furnish()
    calls: list[Asked] = []

    def old(asked: Asked, honest: Any) -> Any:
        calls.append(asked)
        if len(calls) == 1:
            return TransportAnswer(404, {}, b'{"errcode":"M_UNRECOGNIZED","error":"?"}')
        return [200, {key: honest[key] for key in ("state", "auth_chain")}]

    peer.lies["send_join"] = old
    await join(alice, room.room_id)
    assert len(calls) == 2
    assert (await members(alice, room.room_id))[alice.user_id] == "join"


TEMPLATES: dict[str, dict[str, Any]] = {
    "another room": {"room_id": "!other:peer.test"},
    "another user": {"sender": "@mallory:near.test"},
    "another target": {"state_key": "@mallory:near.test"},
    "another type": {"type": "m.room.power_levels"},
    "another membership": {"content": {"membership": "leave"}},
    "no content": {"content": None},
    "references that are none": {"prev_events": [1, 2]},
    "too many references": {"auth_events": [f"${number:043}" for number in range(11)]},
    "a depth that is none": {"depth": "deep"},
    "a depth below all": {"depth": -1},
}


async def test_a_template_for_something_else_is_not_signed(peer: Peer, alice: Client) -> None:
    """Nothing is handed in."""
    room = peer.room().furnish()
    for name, change in TEMPLATES.items():
        peer.lies["make_join"] = lambda asked, honest, c=change: honest | {"event": honest["event"] | c}
        answer = await try_join(alice, room.room_id)
        assert (answer.status, answer.json["errcode"]) == (502, "M_UNKNOWN"), name
        assert not any(asked.name == "send_join" for asked in peer.asked), name

    error = {"errcode": "M_INCOMPATIBLE_ROOM_VERSION", "error": "x", "room_version": "org.example.new"}
    peer.lies["make_join"] = lambda asked, honest: TransportAnswer(400, {}, orjson.dumps(error))
    told = (await try_join(alice, room.room_id, "peer.test")).error(400, "M_INCOMPATIBLE_ROOM_VERSION")
    assert told["room_version"] == "org.example.new"
    peer.lies["make_join"] = lambda asked, honest: honest | {"room_version": "org.example.new"}
    (await try_join(alice, room.room_id)).error(502, "M_UNKNOWN")


WELCOMES: dict[str, Any] = {
    "nothing": {},
    "no JSON": b"no",
    "no state": {"state": [], "auth_chain": []},
    "wrong types": {"state": {}, "auth_chain": 1},
    "another event": {"event": {"type": "m.room.member"}},
    "state of nowhere": {"state": [{"type": "m.room.create"}, 7, None, "x"]},
}


async def test_a_room_that_is_none_is_not_joined(peer: Peer, alice: Client, near: Server) -> None:
    """The user is told, and this server is in no room."""
    room = peer.room().furnish()
    for name, change in WELCOMES.items():
        whole = not isinstance(change, dict) or not change
        peer.lies["send_join"] = lambda asked, honest, c=change, w=whole: c if w else honest | c
        answer = await try_join(alice, room.room_id)
        assert (answer.status, answer.json["errcode"]) == (502, "M_UNKNOWN"), name
        assert await near.app.services.rooms.heads.find(room.room_id) is None, name

    del peer.lies["send_join"]
    await join(alice, room.room_id)


async def test_the_join_that_comes_back_must_be_the_one_that_was_sent(peer: Peer, alice: Client) -> None:
    """A server may add its signature and nothing else."""
    room = peer.room().furnish()

    def other(asked: Asked, honest: Any) -> Any:
        event = asked.body | {"content": asked.body["content"] | {"displayname": "Mallory"}}
        return honest | {"event": orjson.Fragment(orjson.dumps(event))}

    peer.lies["send_join"] = other
    (await try_join(alice, room.room_id)).error(502, "M_UNKNOWN")
