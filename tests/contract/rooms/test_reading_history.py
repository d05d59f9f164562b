"""Reading history, context, relations and threads as services, on both databases; and history fetched later."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from chamberlain.matrix.filters import RoomEventFilter
from chamberlain.rooms.create import RoomOptions
from chamberlain.rooms.history import Query
from chamberlain.rooms.relations import RelationsQuery
from chamberlain.rooms.search import ContextWanted, SearchQuery
from chamberlain.rooms.serialize import Viewer
from chamberlain.rooms.wiring import Rooms
from chamberlain.store.database import Database
from chamberlain.store.events import find_stored
from chamberlain.store.tx import Write
from tests.contract.rooms.test_pipeline import ALICE, BOB, worker
from tests.support.rows import insert

HER, HIM = Viewer(ALICE, "A"), Viewer(BOB, "B")


@pytest.fixture
async def services(db: Database) -> AsyncIterator[Rooms]:
    """The services of rooms."""
    made = worker(db)
    yield made
    await made.close()


@pytest.fixture
async def room(services: Rooms) -> str:
    """A room of Alice and Bob in which some things were said."""
    made = await services.create.create_room(ALICE, RoomOptions(preset="public_chat"))
    await services.membership.join(BOB, made)
    for n in range(5):
        await services.submit.send(ALICE, made, "m.room.message", {"body": str(n)})
    return made


def bodies(chunk: list[dict[str, Any]]) -> list[str]:
    """The bodies of the messages."""
    return [event["content"]["body"] for event in chunk if event["type"] == "m.room.message"]


async def test_pages_and_filters(services: Rooms, room: str) -> None:
    """Short pages, long ones and filtered ones give the same events."""
    short = orjson.loads(await services.history.messages(HIM, room, Query(backwards=True, limit=3)))
    rest = orjson.loads(
        await services.history.messages(HIM, room, Query(backwards=True, limit=900, start=short["end"]))
    )
    lazy = RoomEventFilter(types=("m.room.m*",), lazy_load_members=True, not_senders=(BOB,))
    filtered = orjson.loads(
        await services.history.messages(HIM, room, Query(backwards=False, limit=50, filter=lazy))
    )

    assert bodies(short["chunk"]) == ["4", "3", "2"]
    assert bodies(rest["chunk"]) == ["1", "0"] and "end" not in rest
    assert bodies(filtered["chunk"]) == ["0", "1", "2", "3", "4"]
    assert [event["state_key"] for event in filtered["state"]] == [ALICE]
    assert "end" in filtered


async def test_context_and_nearest(services: Rooms, room: str) -> None:
    """The middle message with its neighbors, and the same message found by its time."""
    page = orjson.loads(await services.history.messages(HIM, room, Query(backwards=True, limit=3)))
    event = page["chunk"][-1]
    found = orjson.loads(await services.history.context(HIM, room, event["event_id"], limit=2))
    _, ts = await services.by_time.nearest(BOB, room, event["origin_server_ts"], "b")

    assert bodies(found["events_before"]) == ["1"] and bodies(found["events_after"]) == ["3"]
    assert len([state for state in found["state"] if state["type"] == "m.room.member"]) == 2
    assert ts == event["origin_server_ts"]


async def test_bundles_relations_threads_and_search(services: Rooms, room: str) -> None:
    """A root with an edit, a reply and a reference tells all of them; each is found in its own way."""
    root = await services.submit.send(ALICE, room, "m.room.message", {"body": "root"})

    async def relate(sender: str, kind: str, **content: Any) -> str:
        relates = {"m.relates_to": {"rel_type": kind, "event_id": root}}
        return await services.submit.send(sender, room, "m.room.message", {"body": kind} | content | relates)

    edit = await relate(ALICE, "m.replace", **{"m.new_content": {"body": "better"}})
    reply = await relate(BOB, "m.thread")
    reference = await relate(BOB, "m.reference")
    bundle = orjson.loads(await services.history.event(HER, room, root))["unsigned"]["m.relations"]
    children = orjson.loads(await services.relations.children(HER, room, root, RelationsQuery(recurse=True)))
    threads = orjson.loads(await services.threads.page(HIM, room, include="participated"))
    query = SearchQuery(term="Root", context=ContextWanted(include_profile=True), include_state=True)
    search = orjson.loads(await services.search.room_events(HIM, query, None))
    (result,) = search["search_categories"]["room_events"]["results"]

    assert bundle["m.replace"]["event_id"] == edit
    assert bundle["m.thread"]["latest_event"]["event_id"] == reply
    assert bundle["m.reference"] == {"chunk": [{"event_id": reference}]}
    assert [event["event_id"] for event in children["chunk"]] == [reference, reply, edit]
    assert [event["event_id"] for event in threads["chunk"]] == [root]
    assert result["result"]["event_id"] == root
    assert bodies(result["context"]["events_after"])[0] == "m.replace"


async def test_history_fetched_later_comes_before_what_was_known(
    db: Database, services: Rooms, room: str
) -> None:
    """Events with negative orders stand where their depth says, and tokens lead over them."""
    first = await db.read(
        find_stored, await services.submit.send(ALICE, room, "m.room.message", {"body": "x"})
    )
    assert first is not None

    async def backfill(tx: Write) -> None:
        for n in range(3):
            body = orjson.dumps(
                {"content": {"body": f"old {n}"}, "type": "m.room.message", "event_id": f"$o{n}"}
            )
            await insert(
                tx,
                "events",
                nid=10**9 + n,
                event_id=f"$old{n}",
                room_id=room,
                position=n - 3,
                depth=0,
                type="m.room.message",
                sender=ALICE,
                before_line=first.before_line,
                before_ver=first.before_ver,
                client=body,
            )

    await db.write(backfill)
    everything, start = [], None
    while True:
        query = Query(backwards=True, limit=2, start=start)
        page = orjson.loads(await services.history.messages(HIM, room, query))
        everything += page["chunk"]
        start = page.get("end")
        if start is None:
            break

    assert bodies(everything) == ["x", "4", "3", "2", "1", "0", "old 2", "old 1", "old 0"]


async def test_threads_whose_events_were_fetched_later_are_listed_page_by_page(
    db: Database, services: Rooms, room: str
) -> None:
    """Their newest event has a negative order, and so has the token."""
    roots = [await services.submit.send(ALICE, room, "m.room.message", {"body": f"{n}"}) for n in range(3)]
    root = await db.read(find_stored, roots[0])
    assert root is not None

    async def backfill(tx: Write) -> None:
        for n, event_id in enumerate(roots):
            await insert(
                tx,
                "events",
                nid=10**9 + n,
                event_id=f"$old{n}",
                room_id=room,
                position=n - 3,
                depth=1,
                type="m.room.message",
                sender=ALICE,
                before_line=root.before_line,
                before_ver=root.before_ver,
                relates_to=event_id,
                rel_type="m.thread",
                thread=event_id,
                client=b'{"content":{}}',
            )

    await db.write(backfill)
    found, start = [], None
    while True:
        page = orjson.loads(await services.threads.page(HIM, room, limit=1, start=start))
        found += [event["event_id"] for event in page["chunk"]]
        start = page.get("next_batch")
        if start is None:
            break

    assert found == roots[::-1]
