"""What users find in a room that was written on the other server."""

from tests.support.neighbors import Person, alias_of, open_room, shared_room
from tests.support.server import path


async def test_the_past_is_found_by_its_time(ada: Person, ben: Person) -> None:
    """An event from before the join is found by a moment just before it, and can be read."""
    room = await open_room(ada)
    first = await ada.say(room, "long ago")
    await ada.say(room, "a little later")
    await ben.join(alias_of(ada))
    await ben.sees_member(room, ada, "join")
    when = (await ada.get(path("rooms", room, "event", first))).ok()["origin_server_ts"]

    query = path("rooms", room, "timestamp_to_event", ts=when, dir="f")
    found = (await ben.get(f"/_matrix/client/v1/{query}")).ok()
    assert found == {"event_id": first, "origin_server_ts": when}
    event = (await ben.get(path("rooms", room, "event", first))).ok()
    assert event["content"]["body"] == "long ago"


async def test_answers_and_reactions_are_counted_on_both_sides(ada: Person, ben: Person) -> None:
    """Relations that came from the other server are found at the event that they speak of."""
    room = await shared_room(ada, ben)
    said = await ada.say(room, "what do you think?")
    await ben.sees(room, said)
    reaction = {"m.relates_to": {"rel_type": "m.annotation", "event_id": said, "key": "👍"}}
    liked = await ben.send(room, "m.reaction", reaction)
    thread = {"m.relates_to": {"rel_type": "m.thread", "event_id": said}}
    answered = await ben.say(room, "I like it", **thread)
    await ada.sees(room, answered)
    for person in (ada, ben):
        target = path("rooms", room, "relations", said)
        chunk = (await person.get(f"/_matrix/client/v1/{target}")).ok()["chunk"]
        assert {event["event_id"] for event in chunk} == {liked, answered}


async def test_a_mention_from_afar_is_counted(ada: Person, ben: Person) -> None:
    """It highlights the room until it is read."""
    room = await shared_room(ada, ben)
    for speaker, reader in ((ada, ben), (ben, ada)):
        said = await speaker.say(room, "you!", **{"m.mentions": {"user_ids": [reader.user_id]}})
        await reader.sees(room, said)
        await reader.until(lambda reader=reader: reader.room(room).unread == (1, 1))
        (await reader.post(path("rooms", room, "receipt", "m.read", said))).ok()
        await reader.until(lambda reader=reader: reader.room(room).unread == (0, 0))


async def test_words_from_afar_are_found(ada: Person, ben: Person) -> None:
    """A search finds what the other server's users said."""
    room = await shared_room(ada, ben)
    for speaker, reader, word in ((ada, ben, "rhinoceros"), (ben, ada, "hippopotamus")):
        said = await speaker.say(room, f"there is a {word} in the garden")
        await reader.sees(room, said)
        search = {"room_events": {"search_term": word, "filter": {"rooms": [room]}}}
        found = (await reader.post("search", {"search_categories": search})).ok()
        results = found["search_categories"]["room_events"]["results"]
        assert [result["result"]["event_id"] for result in results] == [said]


async def test_any_content_is_carried(ada: Person, ben: Person, version: str) -> None:
    """Events of the size that just fits, of odd keys and characters, arrive as they were sent."""
    room = await shared_room(ada, ben, version)
    odd = {
        "": "an empty key",
        "null": None,
        "zero \u0000": "a \u0000 b",
        "far": "\U0001f469\u200d\U0001f680 \u2028 \ud7ff \ufffd \x7f",
        "numbers": [0, -1, 2**53 - 1, -(2**53) + 1],
        "nested": [[[[[[[[[{"a": [{}]}]]]]]]]]],
        "b.c": {"\u00e9": 1, "e\u0301": 2, "\U00010000": 3, "\uffff": 4},
        "html": '<b>&amp;</b> "quoted" \\ / \b\f\n\r\t',
    }
    for speaker, reader in ((ada, ben), (ben, ada)):
        said = await speaker.send(room, "org.example.odd", odd)
        assert (await reader.sees(room, said))["content"] == odd
        said = await speaker.say(room, "x" * 60_000)
        assert len((await reader.sees(room, said))["content"]["body"]) == 60_000
    key = "a/b%2F#?&é \U0001f600"
    await ada.set_state(room, "org.example.state", odd, key)
    await ben.sees_state(room, "org.example.state", key, **odd)
