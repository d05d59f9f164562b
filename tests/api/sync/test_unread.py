"""Unread counts of /sync."""

from typing import Any
from urllib.parse import quote

import orjson

from tests.support.server import Client
from tests.support.sync_model import Follower, assert_incremental_equals_full, follow

THREADS = {"room": {"timeline": {"unread_thread_notifications": True}}}


async def counts(client: Client, room: str, fresh: bool = True) -> tuple[int, int]:
    """What a client is told of a room: notifications and highlights."""
    who = Client(client.server, client.token, client.user_id, client.device_id) if fresh else client
    unread = (await who.sync())["rooms"]["join"][room]["unread_notifications"]
    return unread["notification_count"], unread["highlight_count"]


async def read(client: Client, room: str, event_id: str, kind: str = "m.read", **body: Any) -> None:
    """Send a receipt."""
    (await client.post(f"rooms/{quote(room)}/receipt/{kind}/{quote(event_id)}", body)).ok()


async def a_room(alice: Client, *others: Client) -> str:
    """A room of these, all of whom have synced."""
    room = await alice.create_room(preset="public_chat")
    for other in others:
        await other.join(room)
    for client in (alice, *others):
        await client.sync()
    return room


async def test_messages_count_until_they_are_read(alice: Client, bob: Client) -> None:
    """Each message of others counts one, a receipt takes them away, for every device at once."""
    room = await a_room(alice, bob)
    await alice.say(room, "one")
    assert await counts(bob, room, fresh=False) == (1, 0)
    last = await alice.say(room, "two")
    assert await counts(bob, room, fresh=False) == (2, 0)
    assert await counts(bob, room) == (2, 0)
    await read(bob, room, last)

    assert await counts(bob, room, fresh=False) == (0, 0)
    assert await counts(bob, room) == (0, 0)
    assert await counts(alice, room) == (0, 0)


async def test_a_private_receipt_reads_too_and_is_private(alice: Client, bob: Client) -> None:
    """A private receipt takes the counts away; only its user is told of it."""
    room = await a_room(alice, bob)
    last = await alice.say(room, "one")
    await bob.sync()
    await alice.sync()
    await read(bob, room, last, "m.read.private")
    mine = (await bob.sync())["rooms"]["join"][room]

    assert mine["unread_notifications"]["notification_count"] == 0
    assert mine["ephemeral"]["events"][0]["content"][last]["m.read.private"][bob.user_id]["ts"] > 0
    assert "rooms" not in await alice.sync()


async def test_who_answers_has_read(alice: Client, bob: Client) -> None:
    """One's own message takes away what was unread before it."""
    room = await a_room(alice, bob)
    await alice.say(room, "one")
    assert await counts(bob, room, fresh=False) == (1, 0)
    await bob.say(room, "yes?")

    assert await counts(bob, room, fresh=False) == (0, 0)
    assert await counts(bob, room) == (0, 0)


async def test_what_came_before_one_joined_is_not_unread(alice: Client, bob: Client) -> None:
    """A newcomer has nothing to catch up on."""
    room = await alice.create_room(preset="public_chat")
    await alice.say(room, "long ago")
    await bob.join(room)

    assert await counts(bob, room) == (0, 0)


async def test_a_mention_highlights(alice: Client, bob: Client, carol: Client) -> None:
    """Who is mentioned has a highlight; the others have a notification alone."""
    room = await a_room(alice, bob, carol)
    await alice.say(room, "bob!", **{"m.mentions": {"user_ids": [bob.user_id]}})

    for fresh in (False, True):
        assert await counts(bob, room, fresh=fresh) == (1, 1)
        assert await counts(carol, room, fresh=fresh) == (1, 0)
    await assert_incremental_equals_full(bob)


async def test_rules_of_ones_own_count(alice: Client, bob: Client) -> None:
    """Who has silenced a room has no unread messages there, but their own keywords."""
    room = await a_room(alice, bob)
    (await bob.put(f"pushrules/global/room/{quote(room)}", {"actions": []})).ok()
    word = {"pattern": "cake", "actions": ["notify", {"set_tweak": "highlight"}]}
    (await bob.put("pushrules/global/content/cake", word)).ok()
    await bob.sync()
    await alice.say(room, "nothing")
    assert await counts(bob, room, fresh=False) == (0, 0)
    await alice.say(room, "there is cake")

    assert await counts(bob, room, fresh=False) == (1, 1)
    assert await counts(bob, room) == (1, 1)


async def test_threads_have_counts_of_their_own(alice: Client, bob: Client) -> None:
    """Where the filter asks, each thread has its counts, and a threaded receipt reads that thread alone."""
    room = await a_room(alice, bob)
    root = await alice.say(room, "root")
    other = await alice.say(room, "another root")
    await read(bob, room, other)
    threads = Follower(bob, filter=THREADS)
    plain = Follower(bob)
    await follow(threads)
    await follow(plain)
    last = root
    for thread in (root, root, other):
        last = await alice.say(
            room, "in it", **{"m.relates_to": {"rel_type": "m.thread", "event_id": thread}}
        )
        if thread == root:
            last_of_root = last
        await follow(threads)
        await follow(plain)

    assert threads.joined[room].unread["notification_count"] == 0
    assert threads.joined[room].threads == {
        root: {"notification_count": 2, "highlight_count": 0},
        other: {"notification_count": 1, "highlight_count": 0},
    }
    assert plain.joined[room].unread["notification_count"] == 3
    await read(bob, room, last_of_root, thread_id=root)
    await follow(threads)
    assert list(threads.joined[room].threads) == [other]
    await read(bob, room, last)
    await follow(threads)
    assert threads.joined[room].threads == {}


async def test_counts_hold_after_a_restart_and_for_old_tokens(alice: Client, bob: Client) -> None:
    """An answer from the database says what one from memory says."""
    room = await a_room(alice, bob)
    before = bob.since
    for number in range(3):
        await alice.say(room, f"{number}")
    assert await counts(bob, room, fresh=False) == (3, 0)
    wanted = orjson.dumps({"room": {"timeline": {"limit": 1}}}).decode()
    bob.since = before
    part = (await bob.sync(filter=wanted))["rooms"]["join"][room]

    assert part["unread_notifications"]["notification_count"] == 3
    assert len(part["timeline"]["events"]) == 1
