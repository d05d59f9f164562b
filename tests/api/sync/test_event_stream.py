"""`/events` and `/initialSync`, by which clients heard of news before there was `/sync`."""

import asyncio
from typing import Any

from tests.support.server import Client, Server, path, until


async def events(client: Client, **query: Any) -> dict[str, Any]:
    """An answer of /events."""
    answer: dict[str, Any] = (await client.get(path("events", **query))).ok()
    return answer


def bodies(answer: dict[str, Any]) -> list[str]:
    """The texts of the messages in an answer."""
    return [one["content"]["body"] for one in answer["chunk"] if one["type"] == "m.room.message"]


async def test_all_news_are_one_list(alice: Client, bob: Client) -> None:
    """Messages, typing, presence, account data and invitations, each of its room, and once."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    start = (await events(alice))["end"]
    await bob.sync()
    await bob.say(room, "hello")
    (await bob.put(path("rooms", room, "typing", bob.user_id), {"typing": True})).ok()
    (await alice.put(path("user", alice.user_id, "account_data", "org.example.own"), {"own": 1})).ok()
    other = await bob.create_room()
    await bob.invite(other, alice)

    answer = await events(alice, **{"from": start})
    told = {event["type"]: event for event in answer["chunk"] if event.get("room_id") != other}
    assert answer["start"] == start
    assert (told["m.room.message"]["content"]["body"], told["m.room.message"]["room_id"]) == ("hello", room)
    assert (told["m.typing"]["content"], told["m.typing"]["room_id"]) == ({"user_ids": [bob.user_id]}, room)
    assert told["m.presence"]["content"]["user_id"] == bob.user_id
    assert told["org.example.own"]["content"] == {"own": 1}
    of_other = {one["state_key"]: one["content"] for one in answer["chunk"] if one.get("room_id") == other}
    assert of_other[alice.user_id]["membership"] == "invite"
    assert (await events(alice, **{"from": answer["end"]}))["chunk"] == []


async def test_a_poll_waits(alice: Client, bob: Client, server: Server) -> None:
    """Until something comes."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    start = (await events(alice))["end"]
    poll = asyncio.create_task(events(alice, timeout=600_000, **{"from": start}))

    async def waits() -> bool:
        return server.app.services.sync.waiting.count > 0

    await until(waits)
    await bob.say(room, "hello")
    assert bodies(await poll) == ["hello"]


async def test_to_device_messages_wait_for_sync(alice: Client, bob: Client) -> None:
    """They are no part of /events, which acknowledges none of them."""
    await alice.sync()
    message = {"messages": {alice.user_id: {"*": {"a": 1}}}}
    (await bob.put("sendToDevice/org.example.thing/1", message)).ok()
    first = await events(alice)
    await events(alice, **{"from": first["end"]})
    (told,) = (await alice.sync())["to_device"]["events"]
    assert told["content"] == {"a": 1}


async def test_one_room_is_followed(alice: Client, bob: Client, server: Server) -> None:
    """By whoever may look into it, from where a first look at it ended, without being in it."""
    room = await alice.create_room(preset="public_chat")
    of_room = {"room_id": room}
    (await bob.get(path("events", **of_room))).error(403, "M_FORBIDDEN")
    await alice.set_state(room, "m.room.history_visibility", {"history_visibility": "world_readable"})
    await alice.say(room, "before")
    start = (await bob.get(path("rooms", room, "initialSync"))).ok()["messages"]["end"]
    assert (await events(bob, **of_room, **{"from": start}))["chunk"] == []

    poll = asyncio.create_task(events(bob, timeout=600_000, **of_room, **{"from": start}))
    await alice.create_room()
    await alice.say(room, "after")
    answer = await poll
    assert bodies(answer) == ["after"]
    for number in range(110):
        await alice.say(room, str(number))
    page = await events(bob, **of_room, **{"from": answer["end"]})
    rest = await events(bob, **of_room, **{"from": page["end"]})
    assert bodies(page) + bodies(rest) == [str(number) for number in range(110)]

    poll = asyncio.create_task(events(bob, timeout=600_000, **of_room, **{"from": rest["end"]}))
    server.app.services.shutdown.set()
    assert (await poll)["chunk"] == []


async def test_who_may_not_look_any_more_is_not_told(alice: Client, bob: Client) -> None:
    """They are sent away once the room is closed to them, also where they wait."""
    room = await alice.create_room(preset="public_chat")
    await alice.set_state(room, "m.room.history_visibility", {"history_visibility": "world_readable"})
    start = (await events(bob, room_id=room))["end"]
    poll = asyncio.create_task(bob.get(path("events", room_id=room, timeout=600_000)))
    await alice.set_state(room, "m.room.history_visibility", {"history_visibility": "joined"})
    await alice.say(room, "secret")
    assert b"secret" not in (await poll).body
    (await bob.get(path("events", room_id=room, **{"from": start}))).error(403, "M_FORBIDDEN")


async def test_everything_at_once(alice: Client, bob: Client) -> None:
    """The rooms that one is in, was invited to and, where asked for, has left, each as it is."""
    room = await alice.create_room(preset="public_chat", visibility="public", name="Open")
    await alice.say(room, "one")
    await alice.say(room, "two")
    invited = await bob.create_room(invite=[alice.user_id])
    left = await alice.create_room()
    await alice.leave(left)

    answer = (await alice.get("initialSync?limit=1")).ok()
    rooms = {one["room_id"]: one for one in answer["rooms"]}
    assert rooms.keys() == {room, invited}
    found = rooms[room]
    assert (found["membership"], found["visibility"]) == ("join", "public")
    assert [event["content"]["body"] for event in found["messages"]["chunk"]] == ["two"]
    state = {event["type"]: event["content"] for event in found["state"]}
    assert state["m.room.name"] == {"name": "Open"}
    target = path("rooms", room, "messages", dir="b", limit=1, **{"from": found["messages"]["start"]})
    (earlier,) = (await alice.get(target)).ok()["chunk"]
    assert earlier["content"]["body"] == "one"
    assert rooms[invited]["membership"] == "invite"
    assert rooms[invited]["invite"]["content"]["membership"] == "invite"
    assert {event["content"]["user_id"] for event in answer["presence"]} == {alice.user_id}
    archived = (await alice.get("initialSync?archived=true")).ok()
    assert {one["room_id"]: one["membership"] for one in archived["rooms"]}[left] == "leave"

    await bob.join(room)
    await bob.say(room, "three")
    assert bodies(await events(alice, **{"from": answer["end"]})) == ["three"]


async def test_one_event_is_found_by_its_id(alice: Client, bob: Client) -> None:
    """By those who may see it."""
    room = await alice.create_room()
    event_id = await alice.say(room, "hello")
    assert (await alice.get(path("events", event_id))).ok()["content"]["body"] == "hello"
    (await bob.get(path("events", event_id))).error(404, "M_NOT_FOUND")
    (await alice.get(path("events", "$nothing"))).error(404, "M_NOT_FOUND")


async def test_what_is_refused(alice: Client) -> None:
    """Tokens that are none, of either stream; an empty one is as if there was none."""
    room = await alice.create_room()
    (await alice.get("events?from=")).ok()
    (await alice.get("events?from=nonsense")).error(400, "M_INVALID_PARAM")
    (await alice.get(path("events", room_id=room, **{"from": "nonsense"}))).error(400, "M_INVALID_PARAM")
