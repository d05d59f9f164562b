"""One server is away for a while; when it is back, both know what they would have known without."""

from tests.e2e.synapse.conftest import agree, shared_room
from tests.support.neighbors import Neighbor, Person
from tests.support.server import path


async def test_what_was_said_meanwhile_comes_when_a_server_is_back(
    pair: tuple[Neighbor, Neighbor], ada: Person, ben: Person
) -> None:
    """Messages and state made while the other server was down reach it, in order, and so do messages to devices."""
    room = await shared_room(ada, ben)
    away = pair[1].program
    away.stop()
    try:
        said = [await ada.say(room, f"nobody hears {number}") for number in range(12)]
        await ada.set_state(room, "m.room.topic", {"topic": "while you slept"})
        messages = {"messages": {ben.user_id: {ben.device_id: {"kept": True}}}}
        (await ada.put(path("sendToDevice", "org.example.kept", "txn"), messages)).ok()
    finally:
        away.start()

    back = await ben.say(room, "good morning")
    await ada.sees(room, back)
    for event_id in said:
        await ben.sees(room, event_id)
    await ben.sees_state(room, "m.room.topic", topic="while you slept")
    await ben.until(lambda: ben.to_device)
    told = [event["event_id"] for event in ben.room(room).timeline if event["event_id"] in said]
    assert told == said
    await agree(room, ada, ben)
    for speaker, reader in ((ada, ben), (ben, ada)):
        await reader.sees(room, await speaker.say(room, "and on it goes"))


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
