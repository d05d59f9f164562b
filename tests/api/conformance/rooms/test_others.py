"""Whom one is told of: devices of those with whom rooms are shared, the ignored, the public list, restarts."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.server import Client, Server, path, test_config

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def lists(user: Client) -> tuple[list[str], list[str]]:
    """Whose devices changed, and with whom nothing is shared any more, since the last sync."""
    found = (await user.sync()).get("device_lists", {})
    return found.get("changed", []), found.get("left", [])


async def test_device_lists_follow_the_shared_rooms(alice: Client, bob: Client, carol: Client) -> None:
    """Joins and leaves, of oneself and others, in plain rooms too; not invitations, refusals, or other names."""
    room, second = [await alice.create_room(preset="public_chat") for _ in range(2)]
    for user in (alice, bob, carol):
        await user.sync()
    await bob.join(room)
    assert await lists(alice) == ([bob.user_id], [])
    assert await lists(bob) == ([alice.user_id], [])
    await bob.join(second)
    await lists(bob)
    await lists(alice)
    await alice.invite(room, carol)
    assert await lists(alice) == await lists(bob) == ([], [])
    await carol.leave(room)
    assert await lists(alice) == await lists(carol) == ([], [])
    await bob.set_state(room, "m.room.member", {"membership": "join", "displayname": "B"}, bob.user_id)
    assert await lists(alice) == ([], [])
    await bob.leave(room)
    assert await lists(alice) == await lists(bob) == ([], []), "the second room is still shared"
    await bob.leave(second)
    assert await lists(alice) == ([], [bob.user_id])
    assert await lists(bob) == ([], [alice.user_id])
    since = alice.since
    await bob.join(room)
    await bob.leave(room)
    await bob.join(second)
    assert await lists(alice) == ([bob.user_id], [])
    changes = (await alice.get(path("keys", "changes", to=alice.since, **{"from": since}))).ok()
    assert changes == {"changed": [bob.user_id], "left": []}
    (await alice.post(path("rooms", second, "kick"), {"user_id": bob.user_id})).ok()
    assert (await lists(alice))[1] == [bob.user_id] and (await lists(bob))[1] == [alice.user_id]


async def test_the_ignored_make_no_badges(alice: Client, bob: Client, carol: Client) -> None:
    """What an ignored user sends is neither shown nor counted, for the one who ignores them alone."""
    room = await alice.create_room(preset="public_chat")
    for user in (bob, carol):
        await user.join(room)
    ignored = path("user", alice.user_id, "account_data", "m.ignored_user_list")
    (await alice.put(ignored, {"ignored_users": {bob.user_id: {}}})).ok()
    await alice.sync()
    await bob.say(room, "spam", **{"m.mentions": {"user_ids": [alice.user_id]}})
    await bob.invite(await bob.create_room(), alice)

    async def counts(user: Client) -> tuple[int, int]:
        part = (await user.get("sync")).ok()["rooms"]["join"][room]["unread_notifications"]
        return part["notification_count"], part["highlight_count"]

    assert await counts(alice) == (0, 0) and await counts(carol) == (1, 0)
    fresh = (await alice.get("sync")).ok()["rooms"]
    assert "invite" not in fresh and "spam" not in str(fresh)
    await carol.say(room, "ham")
    assert await counts(alice) == (1, 0)
    for odd in ({"ignored_users": {}}, {"ignored_users": []}, {"ignored_users": {alice.user_id: {}}}, {}):
        (await alice.put(ignored, odd)).ok()
        before = await counts(alice)
        await bob.say(room, "heard")
        assert await counts(alice) == (before[0] + 1, 0), odd


async def test_the_public_list_keeps_up(alice: Client, bob: Client) -> None:
    """Names, counts, rules and what strangers may do are those of now."""
    room = await alice.create_room(
        visibility="public", name=f"list {alice.user_id}", creation_content={"type": "x.y"}
    )

    async def entry() -> dict[str, Any]:
        chunk = (await bob.get("publicRooms?limit=500")).ok()["chunk"]
        return next(one for one in chunk if one["room_id"] == room)

    assert await entry() == {
        "room_id": room,
        "name": f"list {alice.user_id}",
        "num_joined_members": 1,
        "join_rule": "public",
        "guest_can_join": False,
        "world_readable": False,
        "room_type": "x.y",
    }
    await bob.join(room)
    await alice.set_state(room, "m.room.topic", {"topic": "t"})
    await alice.set_state(room, "m.room.avatar", {"url": "mxc://example.org/a"})
    await alice.set_state(room, "m.room.join_rules", {"join_rule": "knock"})
    await alice.set_state(room, "m.room.history_visibility", {"history_visibility": "world_readable"})
    await alice.set_state(room, "m.room.guest_access", {"guest_access": "can_join"})
    found = await entry()
    assert (found["topic"], found["avatar_url"], found["num_joined_members"]) == (
        "t",
        "mxc://example.org/a",
        2,
    )
    assert (found["join_rule"], found["world_readable"], found["guest_can_join"]) == ("knock", True, True)
    await bob.leave(room)
    await alice.set_state(room, "m.room.name", {})
    found = await entry()
    assert found["num_joined_members"] == 1 and "name" not in found


async def test_everything_is_as_it_was_after_a_restart(tmp_path: Path) -> None:
    """Tokens, rooms, tags, receipts, unread counts, invitations, knocks, filters: nothing is told twice or lost."""
    config = test_config(tmp_path)
    running = await Server.start(config)
    alice, bob = await running.register("alice"), await running.register("bob")
    room = await alice.create_room(preset="public_chat", name="Kitchen")
    await bob.join(room)
    hidden = await alice.create_room(
        invite=[bob.user_id], initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}]
    )
    knocked = await alice.create_room(
        initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}]
    )
    (await bob.post(path("knock", knocked))).ok()
    event = await alice.say(room, "one")
    (await bob.post(path("rooms", room, "receipt", "m.read.private", event))).ok()
    (await bob.put(path("user", bob.user_id, "rooms", room, "tags", "m.favourite"), {"order": 0.1})).ok()
    filter_id = (
        await bob.post(path("user", bob.user_id, "filter"), {"room": {"timeline": {"limit": 2}}})
    ).ok()
    await alice.say(room, "two", **{"m.mentions": {"user_ids": [bob.user_id]}})
    query = {"filter": filter_id["filter_id"], "set_presence": "offline"}
    first = (await bob.get(path("sync", **query))).ok()
    await alice.say(room, "three")
    await running.stop()

    running = await Server.start(config)
    alice.server = bob.server = running
    again = (await bob.get(path("sync", **query))).ok()
    for answer in (first, again):
        del answer["next_batch"], answer["rooms"]["join"][room]["timeline"]
        answer.pop("presence", None)
    counts = again["rooms"]["join"][room].pop("unread_notifications")
    assert first["rooms"]["join"][room].pop("unread_notifications") == {
        "notification_count": 1,
        "highlight_count": 1,
    }
    assert counts == {"notification_count": 2, "highlight_count": 1}

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(one) for key, one in value.items() if key != "age"}
        return [plain(one) for one in value] if isinstance(value, list) else value

    changing = {event["event_id"] for event in again["rooms"]["join"][room].pop("state")["events"]}
    assert {event["event_id"] for event in first["rooms"]["join"][room].pop("state")["events"]} <= changing
    assert plain(again) == plain(first)
    assert hidden in again["rooms"]["invite"] and knocked in again["rooms"]["knock"]
    bob.since = None
    await bob.sync()
    await alice.say(room, "four")
    part = (await bob.sync())["rooms"]["join"][room]
    assert [event["content"]["body"] for event in part["timeline"]["events"]] == ["four"]
    await running.stop()
