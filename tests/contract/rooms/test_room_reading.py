"""What servers get to read of rooms, on both databases."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

import orjson
import pytest

from chamberlain.federation.room_reading import Missing, RoomReading
from chamberlain.matrix.errors import Forbidden, NotFound
from chamberlain.matrix.events import Event
from chamberlain.matrix.versions import get_room_version
from chamberlain.rooms.create import RoomOptions
from chamberlain.rooms.wiring import Rooms
from chamberlain.store.database import Database
from chamberlain.store.tx import Read, Write
from tests.contract.rooms.test_pipeline import ALICE, worker
from tests.support.clock import FakeClock
from tests.support.rows import insert

FAR = "far.example"
EVE = f"@eve:{FAR}"
VERSION = get_room_version("11")


@pytest.fixture
async def services(db: Database) -> AsyncIterator[Rooms]:
    """The services of rooms."""
    made = worker(db)
    yield made
    await made.close()


@pytest.fixture
def reading(db: Database, clock: FakeClock, services: Rooms) -> RoomReading:
    """What answers other servers."""
    return RoomReading(db, clock, services.heads, "example.org")


@pytest.fixture
async def room(services: Rooms) -> str:
    """A public room of Alice, in which something was said before Eve, of another server, came."""
    made = await services.create.create_room(ALICE, RoomOptions(preset="public_chat"))
    await say(services, made, "before")
    await services.membership.join(EVE, made)
    return made


async def say(services: Rooms, room: str, body: str, sender: str = ALICE) -> str:
    """Send a message."""
    return await services.submit.send(sender, room, "m.room.message", {"body": body})


async def put(services: Rooms, room: str, kind: str, content: dict[str, Any], key: str = "") -> str:
    """Alice sets a piece of state."""
    return await services.submit.send(ALICE, room, kind, content, state_key=key)


async def all_of(tx: Read, room_id: str) -> list[Event]:
    """Every event of a room in order."""
    rows = await tx.all(
        "SELECT pdu, event_id FROM events WHERE room_id = :room_id ORDER BY depth", room_id=room_id
    )
    return [Event.load(pdu, VERSION, event_id, room_id) for pdu, event_id in rows]


def ids_of(pdus: Iterable[dict[str, Any]]) -> list[str]:
    """The ids of PDUs, which their hashes give."""
    return [Event.from_dict(pdu, VERSION).event_id for pdu in pdus]


async def whole(chunks: AsyncIterator[bytes]) -> Any:
    """The JSON that comes in pieces."""
    return orjson.loads(b"".join([chunk async for chunk in chunks]))


def chain_of(events: Iterable[Event], known: dict[str, Event]) -> set[str]:
    """What the auth events of some events go back to, told without a database."""
    waiting, found = [event_id for event in events for event_id in event.auth_events], set[str]()
    while waiting:
        event_id = waiting.pop()
        if event_id not in found:
            found.add(event_id)
            waiting.extend(known[event_id].auth_events)
    return found


async def test_the_state_before_an_event(
    db: Database, services: Rooms, reading: RoomReading, room: str
) -> None:
    """Without what the event changes itself; its auth chain in full; as ids and as events."""
    await put(services, room, "m.room.topic", {"topic": "old"})
    changing = await put(services, room, "m.room.topic", {"topic": "new"})
    events = await db.read(all_of, room)
    known = {event.event_id: event for event in events}
    expected = {event.key: event for event in events[:-1] if event.key is not None}

    ids = orjson.loads(await reading.state_ids(FAR, room, changing))
    state = await whole(await reading.state(FAR, room, changing))

    assert events[-1].event_id == changing
    assert set(ids["pdu_ids"]) == {event.event_id for event in expected.values()}
    assert set(ids["auth_chain_ids"]) == chain_of(expected.values(), known)
    assert len(ids["auth_chain_ids"]) == len(set(ids["auth_chain_ids"]))
    assert sorted(ids_of(state["pdus"])) == sorted(ids["pdu_ids"])
    assert sorted(ids_of(state["auth_chain"])) == sorted(ids["auth_chain_ids"])


async def test_a_long_state_comes_in_pieces(
    services: Rooms, reading: RoomReading, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read at a time does not show in the answer."""
    at = await say(services, room, "here")
    expected = await whole(await reading.state(FAR, room, at))
    for size in (1, 2, 1_000):
        monkeypatch.setattr("chamberlain.federation.room_reading.AT_ONCE", size)
        assert await whole(await reading.state(FAR, room, at)) == expected


async def test_the_first_event_has_no_state(db: Database, reading: RoomReading, room: str) -> None:
    """Empty lists, not an error."""
    create = (await db.read(all_of, room))[0].event_id
    assert orjson.loads(await reading.state_ids(FAR, room, create)) == {"pdu_ids": [], "auth_chain_ids": []}
    assert await whole(await reading.state(FAR, room, create)) == {"pdus": [], "auth_chain": []}
    assert await whole(await reading.auth_chain(FAR, room, create)) == {"auth_chain": []}


async def test_auth_chains(db: Database, services: Rooms, reading: RoomReading, room: str) -> None:
    """Of messages, which have no edges of their own, as of state."""
    message = await say(services, room, "hello", sender=EVE)
    topic = await put(services, room, "m.room.topic", {"topic": "x"})
    known = {event.event_id: event for event in await db.read(all_of, room)}

    for event_id in (message, topic):
        chain = await whole(await reading.auth_chain(FAR, room, event_id))
        assert set(ids_of(chain["auth_chain"])) == chain_of([known[event_id]], known)


async def test_backfill(db: Database, services: Rooms, reading: RoomReading, room: str) -> None:
    """The events and what came before, the newest first, in a transaction of ours; not more than asked for."""
    last = await say(services, room, "last")
    events = [event.event_id for event in await db.read(all_of, room)]

    body = orjson.loads(await reading.backfill(FAR, room, {last}, 3))

    assert (body["origin"], type(body["origin_server_ts"])) == ("example.org", int)
    assert ids_of(body["pdus"]) == events[:-4:-1]
    everything = orjson.loads(await reading.backfill(FAR, room, {last}, 10**9))
    assert ids_of(everything["pdus"]) == events[::-1]
    for limit in (0, -1):
        assert orjson.loads(await reading.backfill(FAR, room, {last}, limit))["pdus"] == []


async def test_missing_events(db: Database, services: Rooms, reading: RoomReading, room: str) -> None:
    """What stands between, the oldest first; the nearest to the latest where there is too much."""
    for n in range(6):
        await say(services, room, str(n))
    events = [event.event_id for event in await db.read(all_of, room)]
    between = Missing(earliest={events[-6]}, latest={events[-1]})

    found = orjson.loads(await reading.missing(FAR, room, between))["events"]
    assert ids_of(found) == events[-5:-1]
    two = Missing(earliest={events[-6]}, latest={events[-1]}, limit=2)
    assert ids_of(orjson.loads(await reading.missing(FAR, room, two))["events"]) == events[-3:-1]
    nothing = Missing(earliest=(), latest={"$unknown"})
    assert orjson.loads(await reading.missing(FAR, room, nothing)) == {"events": []}


async def bodies(reading: RoomReading, room: str, last: str) -> list[Any]:
    """What each message of the room says, the oldest first; None where it comes redacted."""
    pdus = orjson.loads(await reading.backfill(FAR, room, {last}, 100))["pdus"]
    ids_of(pdus)
    return [pdu["content"].get("body") for pdu in reversed(pdus) if pdu["type"] == "m.room.message"]


@pytest.mark.parametrize(
    ("visibility", "expected"),
    [
        ("world_readable", ["open", "out", "asked", "in", "gone"]),
        ("shared", ["open", "out", "asked", "in", "gone"]),
        ("invited", ["open", None, "asked", "in", None]),
        ("joined", ["open", None, None, "in", None]),
    ],
)
async def test_history_that_a_server_may_not_see_comes_redacted(
    services: Rooms, reading: RoomReading, visibility: str, expected: list[str | None]
) -> None:
    """By what its users were at each event; the ids stay what they are."""
    room = await services.create.create_room(ALICE, RoomOptions(preset="private_chat"))
    await say(services, room, "open")
    setting = await put(services, room, "m.room.history_visibility", {"history_visibility": visibility})
    out = await say(services, room, "out")
    await services.submit.send(ALICE, room, "m.room.member", {"membership": "invite"}, state_key=EVE)
    await say(services, room, "asked")
    await services.membership.join(EVE, room)
    await say(services, room, "in")
    await services.membership.leave(EVE, room)
    gone = await say(services, room, "gone")
    await services.submit.send(ALICE, room, "m.room.member", {"membership": "invite"}, state_key=f"@x:{FAR}")
    await services.membership.join(f"@x:{FAR}", room)

    assert await bodies(reading, room, gone) == expected
    (event,) = orjson.loads(await reading.event(FAR, out))["pdus"]
    assert ids_of([event]) == [out]
    assert event["content"].get("body") == expected[1]
    (event,) = orjson.loads(await reading.event(FAR, setting))["pdus"]
    assert event["content"] == {"history_visibility": visibility}


async def test_a_server_sees_its_own_users_come(services: Rooms, reading: RoomReading) -> None:
    """A join is seen by the server whose user it lets in, whatever the history shows."""
    room = await services.create.create_room(ALICE, RoomOptions(preset="public_chat"))
    await put(services, room, "m.room.history_visibility", {"history_visibility": "joined"})
    joined = await services.submit.send(
        EVE, room, "m.room.member", {"membership": "join", "displayname": "Eve"}, state_key=EVE
    )
    (event,) = orjson.loads(await reading.event(FAR, joined))["pdus"]
    assert event["content"]["displayname"] == "Eve"


async def test_many_users_of_a_server(services: Rooms, reading: RoomReading) -> None:
    """The one who was in the room when it was said need not be among the first that are looked at."""
    room = await services.create.create_room(ALICE, RoomOptions(preset="public_chat"))
    await put(services, room, "m.room.history_visibility", {"history_visibility": "joined"})
    for n in range(25):
        await services.membership.join(f"@u{n}:{FAR}", room)
        await services.membership.leave(f"@u{n}:{FAR}", room)
    await say(services, room, "alone")
    await services.membership.join(EVE, room)
    last = await say(services, room, "together")

    assert await bodies(reading, room, last) == [None, "together"]


async def test_what_erased_users_said_comes_redacted(
    db: Database, services: Rooms, reading: RoomReading, room: str
) -> None:
    """Whoever asks."""
    sent = await say(services, room, "secret")
    await db.write(insert, "users", user_id=ALICE, erased_at=5)

    (event,) = orjson.loads(await reading.event(FAR, sent))["pdus"]
    assert event["content"] == {} and ids_of([event]) == [sent]


async def test_the_event_nearest_to_a_time(
    db: Database, services: Rooms, reading: RoomReading, room: str
) -> None:
    """On either side; not what the server may not see."""
    await put(services, room, "m.room.history_visibility", {"history_visibility": "joined"})
    await services.membership.leave(EVE, room)
    hidden = await say(services, room, "hidden")
    await services.membership.join(EVE, room)
    events = {event.event_id: event for event in await db.read(all_of, room)}

    first, _ = await reading.nearest(FAR, room, 0, "f")
    assert events[first].type == "m.room.create"
    at = events[hidden].origin_server_ts
    for direction in ("f", "b"):
        found, ts = await reading.nearest(FAR, room, at, direction)
        assert found != hidden and ts == events[found].origin_server_ts
    with pytest.raises(NotFound):
        await reading.nearest(FAR, room, 2**60, "f")


async def test_who_may_read(services: Rooms, reading: RoomReading, room: str) -> None:
    """Servers in the room alone, unless it bans them; no room shows the events of another."""
    event = await say(services, room, "hello")
    other = await services.create.create_room(ALICE, RoomOptions(preset="public_chat"))
    await services.membership.join(EVE, other)

    async def ask(server: str, room_id: str) -> None:
        await reading.state_ids(server, room_id, event)

    await ask(FAR, room)
    with pytest.raises(Forbidden):
        await ask("elsewhere.example", room)
    with pytest.raises(NotFound):
        await ask(FAR, "!nowhere:example.org")
    with pytest.raises(NotFound):
        await ask(FAR, other)
    with pytest.raises(NotFound):
        await reading.auth_chain(FAR, other, event)
    with pytest.raises(NotFound):
        await reading.event(FAR, "$nothing")
    with pytest.raises(Forbidden):
        await reading.event("elsewhere.example", event)
    await put(services, room, "m.room.server_acl", {"allow": ["*"], "deny": [FAR.upper()]})
    for reads in (
        reading.state_ids(FAR, room, event),
        reading.state(FAR, room, event),
        reading.auth_chain(FAR, room, event),
        reading.event(FAR, event),
        reading.backfill(FAR, room, {event}, 10),
        reading.missing(FAR, room, Missing(earliest=(), latest={event})),
        reading.nearest(FAR, room, 0, "f"),
    ):
        with pytest.raises(Forbidden):
            await reads


async def test_an_event_without_known_state(db: Database, reading: RoomReading, room: str) -> None:
    """Its state is not found, and it shows no more than what is left of redacted events."""
    pdu = b'{"auth_events":[],"content":{"body":"x"},"depth":1,"prev_events":[],"type":"m.room.message"}'

    async def outlier(tx: Write) -> None:
        await insert(tx, "events", nid=10**6, event_id="$outlier", room_id=room, position=None, pdu=pdu)

    await db.write(outlier)
    with pytest.raises(NotFound):
        await reading.state_ids(FAR, room, "$outlier")
    (event,) = orjson.loads(await reading.event(FAR, "$outlier"))["pdus"]
    assert event["content"] == {}
