"""Reading history, relations and reports, on both databases."""

from collections.abc import AsyncIterator

import pytest

from chamberlain.matrix.filters import RoomEventFilter
from chamberlain.matrix.types import JsonObject
from chamberlain.rooms.create import RoomOptions
from chamberlain.rooms.wiring import Rooms
from chamberlain.store import history, memberships, relations, reports
from chamberlain.store.database import Database
from chamberlain.store.events import StoredEvent, list_stored
from chamberlain.store.history import BEGINNING, END, EVERYTHING, NOTHING, Page, Place, Window
from chamberlain.store.reports import NewReport
from chamberlain.store.tx import Read
from tests.contract.rooms.test_pipeline import ALICE, BOB, worker

FAR = 2**60


@pytest.fixture
async def services(db: Database) -> AsyncIterator[Rooms]:
    """The services of rooms."""
    made = worker(db)
    yield made
    await made.close()


@pytest.fixture
async def room(services: Rooms) -> str:
    """A room of Alice and Bob."""
    made = await services.create.create_room(ALICE, RoomOptions(preset="public_chat"))
    await services.membership.join(BOB, made)
    return made


async def say(services: Rooms, room: str, body: str, sender: str = ALICE, **content: object) -> str:
    """Send a message."""
    return await services.submit.send(sender, room, "m.room.message", {"body": body, **content})


def relation(event: str, kind: str) -> JsonObject:
    """The content that relates to an event."""
    return {"m.relates_to": {"rel_type": kind, "event_id": event}}


def names(events: list[StoredEvent]) -> list[str]:
    """The body of each message, the type of each other event."""
    return [event.content.get("body", event.type) for event in events]


async def read(
    db: Database,
    room: str,
    *,
    backwards: bool = True,
    limit: int = 100,
    low: Place = BEGINNING,
    high: Place = END,
    wanted: RoomEventFilter | None = None,
    window: Window = EVERYTHING,
) -> Page:
    """One page."""

    async def page(tx: Read) -> Page:
        return await history.page(
            tx, room, low, high, backwards=backwards, limit=limit, wanted=wanted, window=window
        )

    return await db.read(page)


async def test_a_page_goes_both_ways(db: Database, services: Rooms, room: str) -> None:
    """From one place on, a page down and a page up share nothing and lack nothing."""
    for n in range(6):
        await say(services, room, str(n))
    newest = await read(db, room, limit=3)
    assert newest.more is not None
    down = await read(db, room, limit=2, high=newest.more)
    up = await read(db, room, low=newest.more, backwards=False)
    everything = await read(db, room)

    assert names(newest.events) == ["5", "4", "3"]
    assert names(down.events) == ["2", "1"]
    assert names(up.events) == ["3", "4", "5"]
    assert everything.more is None
    assert everything.events[-1].type == "m.room.create"


async def test_a_filtered_page_reads_only_so_far(
    db: Database, services: Rooms, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where what is wanted is rare, empty pages lead on to it."""
    monkeypatch.setattr(history, "SCANNED", 4)
    for n in range(10):
        await say(services, room, str(n))
    wanted = RoomEventFilter(types=("m.room.create",))
    pages, found, high = 0, [], END
    while True:
        page = await read(db, room, high=high, wanted=wanted)
        found += names(page.events)
        pages += 1
        if page.more is None:
            break
        assert page.more < high
        high = page.more
    forwards = await read(db, room, wanted=RoomEventFilter(senders=(BOB,)), backwards=False)

    assert found == ["m.room.create"]
    assert pages > 3
    assert forwards.events == [] and forwards.more is not None


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (RoomEventFilter(types=("m.room.message",)), ["bob", "alice"]),
        (RoomEventFilter(types=("m.room.message",), not_senders=(BOB,)), ["alice"]),
        (RoomEventFilter(types=("m.room.message",), senders=(BOB,)), ["bob"]),
        (RoomEventFilter(types=("m.room.message",), contains_url=True), ["bob"]),
        (RoomEventFilter(types=("m.room.message",), contains_url=False), ["alice"]),
        (RoomEventFilter(related_by_rel_types=("m.reference",)), ["alice"]),
        (RoomEventFilter(related_by_senders=(BOB,), related_by_rel_types=("m.thread",)), []),
    ],
)
async def test_filters(
    db: Database, services: Rooms, room: str, wanted: RoomEventFilter, found: list[str]
) -> None:
    """The database judges types, senders, URLs and relations."""
    event = await say(services, room, "alice")
    await say(services, room, "bob", BOB, url="mxc://example.org/a")
    await services.submit.send(BOB, room, "org.example.ref", relation(event, "m.reference"))

    assert names((await read(db, room, wanted=wanted)).events) == found


async def test_a_cut_parts_what_had_arrived_from_what_came_later(
    db: Database, services: Rooms, room: str
) -> None:
    """Each event is on one side; the cut knows how deep the room had become."""
    await say(services, room, "before")
    position = db.position
    await say(services, room, "after")
    cut = await db.read(history.cut_at, room, position)
    newest = await db.read(history.cut_at, room)
    beginning = await db.read(history.cut_at, room, 0)
    everything = (await read(db, room)).events
    ahead = await read(db, room, backwards=False, window=Window(cut, newest))

    assert names((await read(db, room, limit=1, window=Window(upto=cut))).events) == ["before"]
    assert names(ahead.events) == ["after"]
    assert await db.read(history.lowest_in, room, Window(cut, newest)) == ahead.events[0].depth
    assert (cut.position, cut.depth) == (position, everything[1].depth)
    assert not (await read(db, room, window=Window(upto=beginning))).events
    assert await db.read(history.cut_at, "!nowhere:example.org") == NOTHING


async def test_events_by_time(db: Database, services: Rooms, room: str) -> None:
    """The nearest comes first, in either direction; those at the very time are found in both."""
    for ts in (10, 20, 30):
        await services.submit.send(ALICE, room, "m.room.message", {"body": str(ts)}, ts=ts)
    later = await db.read(history.list_by_time, room, 20, "f", 2)
    earlier = await db.read(history.list_by_time, room, 20, "b", 10)

    assert names(later) == ["20", "30"]
    assert names(earlier) == ["20", "10"]


async def test_the_newest_edit_by_its_own_time(db: Database, services: Rooms, room: str) -> None:
    """Times decide, then ids; edits of others do not count."""
    event = await say(services, room, "one")
    content: JsonObject = {"m.new_content": {}} | relation(event, "m.replace")
    sent = [
        await services.submit.send(sender, room, "m.room.message", content | {"n": n}, ts=ts)
        for n, (sender, ts) in enumerate([(ALICE, 50), (ALICE, 70), (ALICE, 70), (ALICE, 60), (BOB, 99)])
    ]
    stored = await db.read(list_stored, sent)
    newest = await db.read(relations.newest_edits, [event, sent[0]])
    edits = await db.read(relations.list_edits, event)

    winner = max(sent[1], sent[2])
    assert newest == {event: stored[winner].nid}
    assert edits[0].event_id == winner
    assert len(edits) == 4
    assert (await db.read(relations.bundled_kinds, [event])) == {"m.replace": {event}}


async def test_threads(db: Database, services: Rooms, room: str) -> None:
    """A thread tells its count, its newest event and who took part, with and without some senders."""
    root = await say(services, room, "root")
    other = await say(services, room, "other root", BOB)
    await say(services, room, "a", ALICE, **relation(other, "m.thread"))
    first = await say(services, room, "b", ALICE, **relation(root, "m.thread"))
    last = await say(services, room, "c", BOB, **relation(root, "m.thread"))
    stored = await db.read(list_stored, [first, last])
    everyone = (await db.read(relations.threads_of, [root, other, first], "@carol:example.org", []))[root]
    quiet = (await db.read(relations.threads_of, [root], BOB, [BOB]))[root]

    async def listed(tx: Read, participant: str | None = None, before: int = FAR) -> list[str]:
        found = await relations.list_threads(
            tx, room, before=before, reach=FAR, limit=10, participant=participant
        )
        return [root for root, _ in found]

    assert (everyone.count, everyone.latest, everyone.participated) == (2, stored[last].nid, False)
    assert (quiet.count, quiet.latest, quiet.participated) == (1, stored[first].nid, True)
    assert await db.read(listed) == [root, other]
    assert await db.read(listed, ALICE) == [root, other]
    assert await db.read(listed, "@carol:example.org") == []
    assert await db.read(listed, None, stored[last].position or 0) == [other]


async def test_references_and_children(db: Database, services: Rooms, room: str) -> None:
    """References are told in order; children come in pages, also those of children, each once."""
    event = await say(services, room, "one")
    direct = [
        await services.submit.send(ALICE, room, "org.example.ref", relation(event, "m.reference") | {"n": n})
        for n in range(3)
    ]
    nested = await services.submit.send(BOB, room, "org.example.ref", relation(direct[0], "m.reference"))
    parent = (await db.read(list_stored, [event]))[event]

    async def children(tx: Read, levels: int, backwards: bool, limit: int = 10) -> list[str]:
        page = await relations.page_of_children(
            tx, parent, BEGINNING, END, backwards=backwards, limit=limit, levels=levels
        )
        return [child.event_id for child in page.events]

    assert await db.read(relations.references_to, [event], []) == {event: direct}
    assert await db.read(relations.references_to, [event], [ALICE]) == {}
    assert await db.read(children, 1, True) == direct[::-1]
    assert await db.read(children, 3, False) == [*direct, nested]
    assert await db.read(children, 1, False, 2) == direct[:2]


async def test_rooms_that_two_share(db: Database, services: Rooms, room: str) -> None:
    """Only rooms to which both are joined now."""
    alone = await services.create.create_room(ALICE, RoomOptions())
    left = await services.create.create_room(ALICE, RoomOptions(preset="public_chat"))
    await services.membership.join(BOB, left)
    await services.membership.leave(BOB, left)

    assert await db.read(memberships.rooms_shared, ALICE, BOB) == [room]
    assert await db.read(memberships.rooms_shared, BOB, ALICE) == [room]
    assert alone not in await db.read(memberships.rooms_shared, ALICE, ALICE + "x")


async def test_reports(db: Database) -> None:
    """Reports are numbered, listed by kind and filter, counted and deleted; what is gone is not deleted again."""
    event = NewReport(
        kind="event", at=5, reporter=ALICE, room_id="!r:x", event_id="$e", user_id=BOB, reason="bad", score=-3
    )
    numbers = [await db.write(reports.add, event) for _ in range(2)]
    user = await db.write(reports.add, NewReport(kind="user", at=6, reporter=BOB, user_id=ALICE))
    found = await db.read(reports.find, "event", numbers[0])

    assert len({*numbers, user}) == 3
    assert found is not None
    assert (found.reporter, found.event_id, found.user_id, found.score) == (ALICE, "$e", BOB, -3)
    assert await db.read(reports.find, "event", user) is None
    newest = await db.read(reports.list_page, "event", skip=0, limit=1)
    assert [report.report_id for report in newest] == numbers[1:]
    oldest = await db.read(reports.list_page, "event", skip=0, limit=9, newest_first=False, room_id="!r:x")
    assert [report.report_id for report in oldest] == numbers
    assert await db.read(reports.count, "event", reporter=BOB) == 0
    assert await db.read(reports.count, "user", user_id=ALICE) == 1
    assert await db.write(reports.delete, "event", numbers[0])
    assert not await db.write(reports.delete, "event", numbers[0])
    assert await db.read(reports.count, "event") == 1
