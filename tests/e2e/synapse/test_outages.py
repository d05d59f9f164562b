"""One server is away for a while; when it is back, both know what they would have known without."""

from tests.api.devices.signing import Identity, devices_of
from tests.support.neighbors import Neighbor, Person, agree, shared_room
from tests.support.server import path


async def test_what_was_said_meanwhile_comes_when_a_server_is_back(
    pair: tuple[Neighbor, Neighbor], ada: Person, ben: Person, version: str
) -> None:
    """Events of meanwhile reach the other server, in order; so do messages to devices, and new devices."""
    room = await shared_room(ada, ben, version)
    away = pair[1].program
    away.stop()
    try:
        said = [await ada.say(room, f"nobody hears {number}") for number in range(12)]
        await ada.set_state(room, "m.room.topic", {"topic": "while you slept"})
        messages = {"messages": {ben.user_id: {ben.device_id: {"kept": True}}}}
        (await ada.put(path("sendToDevice", "org.example.kept", "txn"), messages)).ok()
        second = await ada.server.login(ada.user_id)
        (await second.post("keys/upload", {"device_keys": Identity(second).device_keys()})).ok()
    finally:
        away.start()

    back = await ben.say(room, "good morning")
    await ada.sees(room, back)
    for event_id in said:
        await ben.sees(room, event_id)
    await ben.sees_state(room, "m.room.topic", topic="while you slept")
    await ben.until(lambda: ben.to_device)
    await ben.until(lambda: ada.user_id in ben.changed_devices)
    assert second.device_id in await devices_of(ben, ada)
    told = [event["event_id"] for event in ben.room(room).timeline if event["event_id"] in said]
    assert told == said
    await agree(room, ada, ben)
    for speaker, reader in ((ada, ben), (ben, ada)):
        await reader.sees(room, await speaker.say(room, "and on it goes"))


async def test_more_than_is_sent_again_is_found_by_reading_back(
    pair: tuple[Neighbor, Neighbor], ada: Person, ben: Person
) -> None:
    """Who kept up and who comes later find all that was said while their server was away, in order."""
    room = await shared_room(ada, ben)
    away = pair[1].program
    away.stop()
    try:
        said = [await ada.say(room, f"nobody hears {number}") for number in range(120)]
    finally:
        away.start()

    await ada.sees(room, await ben.say(room, "good morning"))
    newest = await ada.say(room, "there is much to read")
    await ben.sees(room, newest)
    await ben.fill_gaps(room)
    assert set(said) <= {event["event_id"] for event in ben.room(room).timeline}
    later = await ben.server.login(ben.user_id)
    assert isinstance(later, Person)
    await later.sees(room, newest)
    known = later.room(room)
    story = [*reversed(await later.history(room, known.previous)), *known.timeline]
    # Synapse shows some in both.
    told = list(dict.fromkeys(event["event_id"] for event in story if event["event_id"] in said))
    assert told == said


async def test_what_was_said_just_before_a_crash_still_arrives(
    pair: tuple[Neighbor, Neighbor], ada: Person, ben: Person
) -> None:
    """The server that said it is killed at once; when it is back, the other one gets all that was acknowledged."""
    room = await shared_room(ada, ben)
    said = [await ada.say(room, f"quick {number}") for number in range(10)]
    pair[0].program.kill()
    pair[0].program.start()
    said.append(await ada.say(room, "where was I?"))
    for event_id in said:
        await ben.sees(room, event_id)
    told = [event["event_id"] for event in ben.room(room).timeline if event["event_id"] in said]
    assert told == said


async def test_what_arrives_during_a_crash_is_not_lost(
    pair: tuple[Neighbor, Neighbor], ada: Person, ben: Person
) -> None:
    """The server that is told is killed in between, and nothing is missing afterwards."""
    room = await shared_room(ada, ben)
    said = [await ada.say(room, f"steady {number}") for number in range(6)]
    pair[1].program.kill()
    said += [await ada.say(room, f"unheard {number}") for number in range(6)]
    pair[1].program.start()
    said.append(await ada.say(room, "still there?"))
    for event_id in said:
        await ben.sees(room, event_id)
    await agree(room, ada, ben)


async def test_an_invitation_is_declined_while_its_server_is_away(
    pair: tuple[Neighbor, Neighbor], ada: Person, ben: Person
) -> None:
    """Who was invited is rid of it."""
    room = await ada.create_room(preset="private_chat")
    await ada.invite(room, ben)
    await ben.is_in(room, "invite")
    pair[0].program.stop()
    try:
        await ben.leave(room)
        await ben.is_in(room, "leave")
    finally:
        pair[0].program.start()


async def test_a_server_that_was_away_is_found_without_being_heard(
    pair: tuple[Neighbor, Neighbor], ada: Person, ben: Person
) -> None:
    """Its users say nothing; the other server tries again by itself."""
    room = await shared_room(ada, ben)
    away = pair[1].program
    away.stop()
    try:
        said = await ada.say(room, "is anybody there?")
    finally:
        away.start()
    await ben.sees(room, said)
