"""Searching what was said."""

from typing import Any

from tests.support.server import Client, Server, path


async def search(
    client: Client, term: str, *, next_batch: str | None = None, **criteria: Any
) -> dict[str, Any]:
    """The results of a search in rooms, the newest first."""
    body = {"search_categories": {"room_events": {"search_term": term, "order_by": "recent", **criteria}}}
    target = "search" if next_batch is None else path("search", next_batch=next_batch)
    answer = (await client.post(target, body)).ok()
    found: dict[str, Any] = answer["search_categories"]["room_events"]
    return found


def bodies(found: dict[str, Any]) -> list[str]:
    """What was found, in order."""
    contents = [result["result"]["content"] for result in found["results"]]
    return [content.get("body") or content.get("name") or content.get("topic") for content in contents]


async def test_another_member_finds_what_was_said(alice: Client, bob: Client) -> None:
    """All words must stand in it, in any order and case, at once and again; words in part do not count."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    await alice.say(room, "Martians and men")
    await alice.say(room, "Men are from Mars")
    found = await search(bob, "MEN martians")

    assert bodies(found) == ["Martians and men"]
    assert (found["count"], sorted(found["highlights"])) == (1, ["martians", "men"])
    assert "next_batch" not in found
    assert bodies(await search(bob, "men")) == ["Men are from Mars", "Martians and men"]
    assert bodies(await search(bob, "martian")) == []
    assert bodies(await search(bob, "?!")) == []


async def test_only_what_one_may_see_is_found(server: Server, alice: Client, bob: Client) -> None:
    """Neither other people's rooms, nor what was said before or after one was there, nor what was redacted."""
    room = await alice.create_room(preset="public_chat")
    await alice.set_state(room, "m.room.history_visibility", {"history_visibility": "joined"})
    await alice.say(room, "word before")
    await bob.join(room)
    gone = await alice.say(room, "word redacted")
    await alice.say(room, "word between")
    assert len(bodies(await search(bob, "word"))) == 2
    (await alice.put(path("rooms", room, "redact", gone, "t"))).ok()
    await bob.leave(room)
    await alice.say(room, "word after")
    carol = await server.register("carol")

    assert bodies(await search(bob, "word")) == ["word between"]
    assert bodies(await search(bob, "redacted")) == []
    assert bodies(await search(alice, "word")) == ["word after", "word between", "word before"]
    assert bodies(await search(carol, "word")) == []
    (await bob.post(path("rooms", room, "forget"))).ok()
    assert bodies(await search(bob, "word")) == []


async def test_keys_filters_and_groups(alice: Client, bob: Client) -> None:
    """Names and topics are found too; keys, rooms and senders narrow it down; groups tell results apart."""
    one = await alice.create_room(preset="public_chat", name="Kitchen talk", topic="Kitchen things")
    other = await alice.create_room(preset="public_chat")
    await bob.join(one)
    said = await bob.say(one, "the kitchen is clean")
    elsewhere = await alice.say(other, "my kitchen")

    assert bodies(await search(alice, "kitchen", keys=["content.name"])) == ["Kitchen talk"]
    assert bodies(await search(alice, "kitchen", keys=["content.topic"])) == ["Kitchen things"]
    assert bodies(await search(alice, "kitchen", filter={"rooms": [other]})) == ["my kitchen"]
    assert bodies(await search(alice, "kitchen", filter={"senders": [bob.user_id]})) == [
        "the kitchen is clean"
    ]
    assert bodies(await search(alice, "kitchen", filter={"types": ["m.room.na*"]})) == ["Kitchen talk"]
    grouped = await search(
        alice,
        "kitchen",
        keys=["content.body"],
        groupings={"group_by": [{"key": "room_id"}, {"key": "sender"}]},
    )
    assert grouped["groups"]["room_id"][one]["results"] == [said]
    assert grouped["groups"]["sender"][alice.user_id]["results"] == [elsewhere]


async def test_pages_and_ranks(alice: Client) -> None:
    """Pages join to the whole; by rank the event with the word most often comes first."""
    room = await alice.create_room()
    await alice.say(room, "fish fish fish")
    for n in range(4):
        await alice.say(room, f"fish {n}")
    first = await search(alice, "fish", filter={"limit": 3})
    second = await search(alice, "fish", filter={"limit": 3}, next_batch=first["next_batch"])
    ranked = await search(alice, "fish", order_by="rank")

    assert bodies(first) + bodies(second) == ["fish 3", "fish 2", "fish 1", "fish 0", "fish fish fish"]
    assert first["count"] == 5 and "next_batch" not in second
    assert bodies(ranked)[0] == "fish fish fish"
    assert ranked["results"][0]["rank"] > ranked["results"][1]["rank"]


async def test_context_and_state(alice: Client, bob: Client) -> None:
    """Events around a result come with tokens and the senders' profiles, the rooms' state on demand."""
    room = await alice.create_room(preset="public_chat", name="A room")
    await bob.join(room)
    for n in range(5):
        await alice.say(room, f"message {n}")
    context = {"before_limit": 1, "after_limit": 2, "include_profile": True}
    found = await search(bob, "2", event_context=context, include_state=True)
    around = found["results"][0]["context"]
    earlier = await bob.get(path("rooms", room, "messages", dir="b", limit=1, **{"from": around["start"]}))

    assert [event["content"]["body"] for event in around["events_before"]] == ["message 1"]
    assert [event["content"]["body"] for event in around["events_after"]] == ["message 3", "message 4"]
    assert alice.user_id in around["profile_info"]
    assert earlier.ok()["chunk"][0]["content"]["body"] == "message 0"
    assert "m.room.name" in {event["type"] for event in found["state"][room]}


async def test_bad_searches(server: Server, alice: Client) -> None:
    """Wrong bodies and tokens give 400; no category gives no result."""
    assert (await alice.post("search", {"search_categories": {}})).ok() == {"search_categories": {}}
    (await alice.post("search", {})).error(400, "M_MISSING_PARAM")
    for wrong in ({}, {"search_term": 1}, {"search_term": "x", "keys": ["content.secret"]}):
        answer = await alice.post("search", {"search_categories": {"room_events": wrong}})
        assert answer.status == 400, answer.body
    body = {"search_categories": {"room_events": {"search_term": "x"}}}
    (await alice.post(path("search", next_batch="x"), body)).error(400, "M_INVALID_PARAM")
    (await server.anonymous.post("search", body)).error(401, "M_MISSING_TOKEN")
