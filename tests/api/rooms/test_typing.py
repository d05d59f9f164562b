"""Typing notifications: who shows as typing, until when, and for whom."""

import pytest

from chamberlain.rooms.typing import MAX_MS, Typing
from chamberlain.runtime.bus import Bus
from tests.support.clock import FakeClock
from tests.support.server import Client, Server, path

ROOM = "!room:example.org"


async def set_typing(client: Client, room: str, typing: bool, **extra: object) -> int:
    """Say that one types, or not; give the status."""
    target = path("rooms", room, "typing", client.user_id)
    return (await client.put(target, {"typing": typing, **extra})).status


def typing_in(server: Server, room: str) -> list[str]:
    """Who types in a room."""
    return server.app.services.rooms.typing.users(room)


async def test_one_types_until_one_stops(server: Server, alice: Client, bob: Client) -> None:
    """A member shows as typing until they say otherwise; doing either again changes nothing."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    for _ in range(2):
        assert await set_typing(bob, room, True, timeout=30_000) == 200
        assert typing_in(server, room) == [bob.user_id]
    for _ in range(2):
        assert await set_typing(bob, room, False) == 200
        assert typing_in(server, room) == []


async def test_others_see_who_types(alice: Client, bob: Client) -> None:
    """The sync of another member tells who types, and then that nobody does; an idle sync tells nothing."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    await alice.sync()
    for typing, shown in ((True, [bob.user_id]), (False, [])):
        await set_typing(bob, room, typing)
        ephemeral = (await alice.sync())["rooms"]["join"][room]["ephemeral"]["events"]
        assert ephemeral == [{"type": "m.typing", "content": {"user_ids": shown}}]
        await set_typing(bob, room, typing)
        assert "rooms" not in await alice.sync()


async def test_what_ends_typing(server: Server, alice: Client, bob: Client) -> None:
    """Leaving the room does; a message does not, of whomever: clients say so when they are done."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    await set_typing(bob, room, True)
    await alice.say(room, "go on")
    await bob.say(room, "from another device")
    assert typing_in(server, room) == [bob.user_id]
    await bob.leave(room)
    assert typing_in(server, room) == []


async def test_typing_is_refused(server: Server, alice: Client, bob: Client) -> None:
    """Nobody types in a room that they are not in, or for somebody else."""
    room = await alice.create_room()
    assert await set_typing(bob, room, True) == 403
    assert await set_typing(bob, "!unknown:example.org", True) == 403
    await alice.invite(room, bob)
    assert await set_typing(bob, room, True) == 403
    target = path("rooms", room, "typing", alice.user_id)
    assert (await bob.put(target, {"typing": True})).status == 403
    assert (await alice.put(target, {})).json["errcode"] == "M_MISSING_PARAM"
    assert (await alice.put(target, {"typing": "yes"})).json["errcode"] == "M_BAD_JSON"
    assert typing_in(server, room) == []


@pytest.mark.parametrize(("timeout_ms", "seconds"), [(5_000, 5), (-1, 0), (10**15, MAX_MS / 1000)])
async def test_typing_ends_by_itself(clock: FakeClock, timeout_ms: int, seconds: float) -> None:
    """Typing ends when its time is over, which is never long."""
    typing = Typing(clock, Bus(clock, "here", None))
    typing.start(ROOM, "@alice:example.org", timeout_ms)
    if seconds:
        await clock.advance(seconds - 1)
        assert typing.users(ROOM) == ["@alice:example.org"]
    await clock.advance(1)
    assert typing.users(ROOM) == []


async def test_changes_are_told_in_order(clock: FakeClock) -> None:
    """Each change moves the position and is told; going on typing is none."""
    typing = Typing(clock, Bus(clock, "here", None))
    told: list[str] = []
    typing.subscribe(told.append)
    before = typing.position
    typing.start(ROOM, "@alice:example.org", 5_000)
    typing.start("!other:example.org", "@bob:example.org", 5_000)
    between = typing.position
    await clock.advance(4)
    typing.start(ROOM, "@alice:example.org", 5_000)
    await clock.advance(4)
    assert typing.users(ROOM) == ["@alice:example.org"]
    typing.stop(ROOM, "@alice:example.org")
    typing.stop(ROOM, "@alice:example.org")
    assert told == [ROOM, "!other:example.org", "!other:example.org", ROOM]
    assert typing.since((ROOM, "!third:example.org"), before) == {ROOM: []}
    assert typing.since((ROOM,), between) == {ROOM: []}
    assert typing.since((ROOM,), typing.position) == {}
