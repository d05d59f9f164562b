"""One event with what is around it, and the event nearest to a time."""

from typing import Any

import orjson

from tests.support.server import Client, Server, path


async def context(client: Client, room: str, event: str, **query: Any) -> dict[str, Any]:
    """The answer of /context."""
    answer: dict[str, Any] = (await client.get(path("rooms", room, "context", event, **query))).ok()
    return answer


def bodies(events: list[dict[str, Any]]) -> list[str]:
    """The bodies of the messages among the events."""
    return [event["content"].get("body", "") for event in events if event["type"] == "m.room.message"]


async def test_what_is_around_an_event(alice: Client, bob: Client) -> None:
    """Half of the limit comes from before, the rest from after, and the tokens lead on from there."""
    room = await alice.create_room(preset="public_chat", name="A room")
    await bob.join(room)
    events = [await alice.say(room, str(n)) for n in range(20)]
    answer = await context(bob, room, events[10], limit=6)
    earlier = (
        await bob.get(path("rooms", room, "messages", dir="b", limit=2, **{"from": answer["start"]}))
    ).ok()
    later = (await bob.get(path("rooms", room, "messages", dir="f", limit=2, **{"from": answer["end"]}))).ok()

    assert answer["event"]["event_id"] == events[10]
    assert bodies(answer["events_before"]) == ["9", "8", "7"]
    assert bodies(answer["events_after"]) == ["11", "12", "13"]
    assert bodies(earlier["chunk"]) == ["6", "5"]
    assert bodies(later["chunk"]) == ["14", "15"]
    assert {event["type"] for event in answer["state"]} >= {"m.room.create", "m.room.name", "m.room.member"}


async def test_limits_and_ends(alice: Client) -> None:
    """A limit of 0 gives the event alone; at the end of the room the tokens still work."""
    room = await alice.create_room()
    event = await alice.say(room, "only")
    alone = await context(alice, room, event, limit=0)
    last = await context(alice, room, event)
    await alice.say(room, "next")
    later = (await alice.get(path("rooms", room, "messages", dir="f", **{"from": last["end"]}))).ok()

    assert alone["events_before"] == alone["events_after"] == []
    assert last["events_after"] == []
    assert bodies(later["chunk"]) == ["next"]
    (await alice.get(path("rooms", room, "context", event, limit=-1))).error(400, "M_INVALID_PARAM")
    (await alice.get(path("rooms", room, "context", "$none"))).error(404, "M_NOT_FOUND")


async def test_the_state_is_that_of_the_last_event(alice: Client) -> None:
    """A name that was set after the last event given is not in the state, one set by it is."""
    room = await alice.create_room(name="first")
    event = await alice.say(room, "hello")
    await alice.set_state(room, "m.room.name", {"name": "second"})
    await alice.set_state(room, "m.room.name", {"name": "third"})

    async def name(limit: int) -> str:
        state = (await context(alice, room, event, limit=limit))["state"]
        return str(next(found["content"]["name"] for found in state if found["type"] == "m.room.name"))

    assert [await name(0), await name(2), await name(20)] == ["first", "second", "third"]


async def test_lazy_members_and_filters(alice: Client, bob: Client) -> None:
    """Only the members who sent what is shown are in the state; the filter spares the event itself."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    event = await alice.say(room, "hello")
    await alice.send(room, "org.example.other", {})
    lazy = orjson.dumps({"lazy_load_members": True}).decode()
    types = orjson.dumps({"types": ["org.example.other", "m.room.create"]}).decode()
    members = [
        found["state_key"]
        for found in (await context(bob, room, event, limit=0, filter=lazy))["state"]
        if found["type"] == "m.room.member"
    ]
    filtered = await context(bob, room, event, filter=types)

    assert members == [alice.user_id]
    assert filtered["event"]["event_id"] == event
    assert [found["type"] for found in filtered["events_after"]] == ["org.example.other"]
    assert [found["type"] for found in filtered["state"]] == ["m.room.create"]


async def test_an_event_of_another_room(alice: Client) -> None:
    """An event is only found in its own room."""
    one, other = await alice.create_room(), await alice.create_room()
    event = await alice.say(one, "hello")

    (await alice.get(path("rooms", other, "event", event))).error(404, "M_NOT_FOUND")
    (await alice.get(path("rooms", other, "context", event))).error(404, "M_NOT_FOUND")


async def test_the_event_nearest_to_a_time(server: Server, alice: Client, bob: Client) -> None:
    """Forwards the first event not before the time, backwards the last one not after it; invisible ones are passed."""
    room = await alice.create_room(preset="public_chat")
    await alice.set_state(room, "m.room.history_visibility", {"history_visibility": "joined"})
    hidden = await alice.say(room, "hidden")
    await bob.join(room)
    event = await alice.say(room, "hello")
    ts = {
        found: (await alice.get(path("rooms", room, "event", found))).ok()["origin_server_ts"]
        for found in (hidden, event)
    }

    async def nearest(client: Client, at: int, direction: str) -> Any:
        target = f"/_matrix/client/v1/{path('rooms', room, 'timestamp_to_event', ts=at, dir=direction)}"
        return await client.get(target)

    newest = (await nearest(bob, ts[event] + 60_000, "b")).ok()
    oldest = (await nearest(alice, 0, "f")).ok()
    for_bob = (await nearest(bob, ts[hidden], "f")).ok()

    assert newest == {"event_id": event, "origin_server_ts": ts[event]}
    assert oldest["origin_server_ts"] <= ts[hidden]
    assert for_bob["event_id"] != hidden
    (await nearest(alice, ts[event] + 60_000, "f")).error(404, "M_NOT_FOUND")
    (await nearest(alice, 0, "b")).error(404, "M_NOT_FOUND")
    (await nearest(await server.register("carol"), 0, "f")).error(403, "M_FORBIDDEN")
    (await nearest(alice, 0, "x")).error(400, "M_INVALID_PARAM")
