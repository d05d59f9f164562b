"""What passes quickly: typing, receipts, presence."""

from tests.support.neighbors import Person, shared_room
from tests.support.server import path


async def test_typing_is_seen_to_begin_and_end(ada: Person, ben: Person, version: str) -> None:
    """Each sees that the other writes, and that they stopped."""
    room = await shared_room(ada, ben, version)
    for writer, reader in ((ada, ben), (ben, ada)):
        target = path("rooms", room, "typing", writer.user_id)
        (await writer.put(target, {"typing": True, "timeout": 60_000})).ok()
        await reader.until(lambda writer=writer, reader=reader: reader.room(room).typing == [writer.user_id])
        (await writer.put(target, {"typing": False})).ok()
        await reader.until(lambda reader=reader: reader.room(room).typing == [])


async def test_receipts_tell_how_far_one_has_read(ada: Person, ben: Person, version: str) -> None:
    """Receipts of the main timeline, of a thread and of none; private ones stay at home."""
    room = await shared_room(ada, ben, version)
    root = await ada.say(room, "the beginning of a thread")
    relation = {"rel_type": "m.thread", "event_id": root}
    answer = await ada.say(room, "in the thread", **{"m.relates_to": relation})
    last = await ada.say(room, "not in the thread")
    await ben.sees(room, last)

    private = path("rooms", room, "receipt", "m.read.private", last)
    (await ben.post(private, {"thread_id": "main"})).ok()
    for thread, event_id in (("main", root), (root, answer), ("main", last)):
        (await ben.post(path("rooms", room, "receipt", "m.read", event_id), {"thread_id": thread})).ok()
        await ada.until(
            lambda thread=thread, event_id=event_id: (
                ada.room(room).receipts.get((ben.user_id, thread)) == event_id
            )
        )
    (await ben.post(path("rooms", room, "receipt", "m.read", last))).ok()
    await ada.until(lambda: ada.room(room).receipts.get((ben.user_id, None)) == last)

    reply = await ben.say(room, "read it all")
    await ada.sees(room, reply)
    (await ada.post(path("rooms", room, "read_markers"), {"m.fully_read": reply, "m.read": reply})).ok()
    await ben.until(lambda: ben.room(room).receipts.get((ada.user_id, None)) == reply)


async def test_presence_follows_those_who_share_a_room(ada: Person, ben: Person, version: str) -> None:
    """State and message of each are told to the other."""
    await shared_room(ada, ben, version)
    for person, other in ((ada, ben), (ben, ada)):
        told = {"presence": "unavailable", "status_msg": f"{person.user_id} is at lunch"}
        (await person.put(path("presence", person.user_id, "status"), told)).ok()
        await other.until(
            lambda person=person, other=other, told=told: (
                told.items() <= other.presence.get(person.user_id, {}).items()
            )
        )
