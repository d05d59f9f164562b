"""What guests may do where the server has any."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chamberlain.config.registration import Registration
from tests.support.server import Client, Server, test_config, until


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """A server that gives out guest accounts."""
    running = await Server.start(test_config(tmp_path, registration=Registration(enabled=True, guests=True)))
    yield running
    await running.stop()


@pytest.fixture
async def guest(server: Server) -> Client:
    """A guest."""
    answer = (await server.anonymous.post("register?kind=guest")).ok()
    return Client(server, answer["access_token"], answer["user_id"], answer["device_id"])


async def test_a_guest_joins_and_talks_where_guests_may(alice: Client, guest: Client) -> None:
    """The room says that they can join; others see them come, talk and go."""
    room = await alice.create_room(preset="public_chat")
    await alice.set_state(room, "m.room.guest_access", {"guest_access": "can_join"})
    (await guest.post(f"rooms/{room}/join")).ok()
    await guest.say(room, "hello")

    members = (await alice.get(f"rooms/{room}/joined_members")).ok()["joined"]
    assert guest.user_id in members
    assert (await guest.get(f"rooms/{room}/members")).status == 200
    await guest.leave(room)
    members = (await alice.get(f"rooms/{room}/joined_members")).ok()["joined"]
    assert guest.user_id not in members


async def test_a_guest_follows_a_room_that_the_world_may_read(alice: Client, guest: Client) -> None:
    """One at a time, without joining it."""
    room = await alice.create_room(preset="public_chat")
    await alice.set_state(room, "m.room.history_visibility", {"history_visibility": "world_readable"})
    start = (await guest.get(f"events?room_id={room}")).ok()["end"]
    event_id = await alice.say(room, "hello")
    (event,) = (await guest.get(f"events?room_id={room}&from={start}")).ok()["chunk"]
    assert event["event_id"] == event_id
    (await guest.get("events")).error(403, "M_GUEST_ACCESS_FORBIDDEN")


async def test_a_guest_joins_by_an_alias(alice: Client, guest: Client) -> None:
    """As clients do that know no id, and as those do that use one endpoint for both."""
    room = await alice.create_room(preset="public_chat", room_alias_name="open")
    (await guest.post("join/%23open:example.org")).error(403, "M_GUEST_ACCESS_FORBIDDEN")
    await alice.set_state(room, "m.room.guest_access", {"guest_access": "can_join"})
    for name in ("%23open:example.org", room):
        assert (await guest.post(f"join/{name}")).ok() == {"room_id": room}

    assert guest.user_id in (await alice.get(f"rooms/{room}/joined_members")).ok()["joined"]


async def test_a_guest_stays_out_where_the_room_does_not_say_so(alice: Client, guest: Client) -> None:
    """Neither by joining nor by setting the member event, and again after the room stopped letting them in."""
    room = await alice.create_room(preset="public_chat")
    for access in ({}, {"guest_access": "forbidden"}, {"guest_access": ["can_join"]}):
        await alice.set_state(room, "m.room.guest_access", access)
        joined = await guest.post(f"rooms/{room}/join")
        joined.error(403, "M_GUEST_ACCESS_FORBIDDEN")
        target = f"rooms/{room}/state/m.room.member/{guest.user_id}"
        (await guest.put(target, {"membership": "join"})).error(403, "M_GUEST_ACCESS_FORBIDDEN")

    assert (await guest.post("rooms/!nowhere:example.org/join")).status == 404


async def test_guests_leave_where_they_may_not_be_any_more(alice: Client, guest: Client) -> None:
    """Others see them go; whoever has an account stays."""
    room = await alice.create_room(preset="public_chat")
    await alice.set_state(room, "m.room.guest_access", {"guest_access": "can_join"})
    (await guest.post(f"rooms/{room}/join")).ok()
    await alice.sync()
    await alice.set_state(room, "m.room.guest_access", {"guest_access": "forbidden"})

    async def is_alone() -> bool:
        joined = (await alice.get(f"rooms/{room}/joined_members")).ok()["joined"]
        return set(joined) == {alice.user_id}

    await until(is_alone)
    assert (await alice.state(room, "m.room.member", guest.user_id)).ok()["membership"] == "leave"
    (await guest.post(f"rooms/{room}/join")).error(403, "M_GUEST_ACCESS_FORBIDDEN")


async def test_guests_leave_after_a_stop_too(tmp_path: Path) -> None:
    """What could not be done before the server stopped is done after the next start."""
    config = test_config(tmp_path, registration=Registration(enabled=True, guests=True))
    server = await Server.start(config)
    alice = await server.register("alice")
    room = await alice.create_room(preset="public_chat")
    await alice.set_state(room, "m.room.guest_access", {"guest_access": "can_join"})
    answer = (await server.anonymous.post("register?kind=guest")).ok()
    guest = Client(server, answer["access_token"], answer["user_id"], answer["device_id"])
    (await guest.post(f"rooms/{room}/join")).ok()
    await server.app.services.rooms.guests.close()
    await alice.set_state(room, "m.room.guest_access", {})
    await server.stop()

    again = await Server.start(config)
    alice.server = again

    async def is_gone() -> bool:
        member = (await alice.state(room, "m.room.member", guest.user_id)).ok()
        return bool(member["membership"] == "leave")

    await until(is_gone)
    await again.stop()
