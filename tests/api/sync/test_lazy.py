"""Members that come only when they are needed."""

from typing import Any

import orjson

from tests.support.server import Client
from tests.support.sync_model import Follower

LAZY = orjson.dumps({"room": {"state": {"lazy_load_members": True}}}).decode()
REDUNDANT = orjson.dumps(
    {"room": {"state": {"lazy_load_members": True, "include_redundant_members": True}}}
).decode()


def members(answer: dict[str, Any], room: str) -> set[str]:
    """The members in the state of a room of an answer."""
    events = answer["rooms"]["join"][room]["state"]["events"]
    return {event["state_key"] for event in events if event["type"] == "m.room.member"}


async def a_busy_room(alice: Client, *others: Client) -> str:
    """A room whose joins are far behind the timeline, and in which only its creator speaks."""
    room = await alice.create_room(preset="public_chat", name="Kitchen")
    for other in others:
        await other.join(room)
    for number in range(12):
        await alice.say(room, f"{number}")
    return room


async def test_a_first_sync_has_the_senders_and_oneself(alice: Client, bob: Client, carol: Client) -> None:
    """Only who speaks in the timeline, and the user, are in the state."""
    room = await a_busy_room(alice, bob, carol)

    assert members(await carol.sync(filter=LAZY), room) == {alice.user_id, carol.user_id}
    assert members(await Client(carol.server, carol.token).sync(), room) == {
        alice.user_id,
        bob.user_id,
        carol.user_id,
    }


async def test_a_member_is_sent_once(alice: Client, bob: Client, carol: Client) -> None:
    """Who speaks for the first time comes along, and not the second time, unless the client wants it so."""
    room = await a_busy_room(alice, bob, carol)
    await carol.sync(filter=LAZY)
    await bob.say(room, "first")

    assert members(await carol.sync(filter=LAZY), room) == {bob.user_id}
    await bob.say(room, "second")
    assert members(await carol.sync(filter=LAZY), room) == set()
    await bob.say(room, "third")
    assert members(await carol.sync(filter=REDUNDANT), room) == {bob.user_id}


async def test_an_answer_that_was_lost_counts_for_nothing(alice: Client, bob: Client, carol: Client) -> None:
    """A member who came with an answer that the client never got comes again."""
    room = await a_busy_room(alice, bob, carol)
    await carol.sync(filter=LAZY)
    before = carol.since
    await bob.say(room, "first")
    await carol.sync(filter=LAZY)

    carol.since = before
    assert members(await carol.sync(filter=LAZY), room) == {bob.user_id}


async def test_beginning_anew_forgets_who_was_sent(alice: Client, bob: Client, carol: Client) -> None:
    """After another first sync of the same device the members come again."""
    room = await a_busy_room(alice, bob, carol)
    await carol.sync(filter=LAZY)
    await bob.say(room, "hello")
    await carol.sync(filter=LAZY)
    for number in range(12):
        await alice.say(room, f"{number}")
    carol.since = None
    await carol.sync(filter=LAZY)
    await bob.say(room, "hello again")

    assert members(await carol.sync(filter=LAZY), room) == {bob.user_id}


async def test_changes_in_a_gap_come_all(alice: Client, bob: Client, carol: Client) -> None:
    """Members who changed in a gap are sent although they say nothing."""
    room = await a_busy_room(alice, bob, carol)
    await carol.sync(filter=LAZY)
    await bob.leave(room)
    for number in range(12):
        await alice.say(room, f"{number}")

    assert members(await carol.sync(filter=LAZY), room) == {bob.user_id}


async def test_who_is_needed_is_known(alice: Client, bob: Client, carol: Client) -> None:
    """After every answer the client knows the member event of each sender in the timeline."""
    follower = Follower(carol, filter=orjson.loads(LAZY))
    room = await a_busy_room(alice, bob, carol)
    await follower.sync()
    for speaker in (bob, alice, bob):
        for count in (1, 12):
            for number in range(count):
                await speaker.say(room, f"{number}")
            await follower.sync()
            known = follower.joined[room]
            senders = {event["sender"] for event in known.timeline}

            assert all(("m.room.member", sender) in known.state for sender in senders)


async def test_heroes_come_along(alice: Client, bob: Client, carol: Client) -> None:
    """The members that name a nameless room are in its state."""
    room = await alice.create_room(preset="public_chat")
    for other in (bob, carol):
        await other.join(room)
    for number in range(12):
        await alice.say(room, f"{number}")
    answer = await alice.sync(filter=LAZY)

    assert answer["rooms"]["join"][room]["summary"]["m.heroes"] == [bob.user_id, carol.user_id]
    assert members(answer, room) == {alice.user_id, bob.user_id, carol.user_id}
