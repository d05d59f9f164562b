"""Lists of other servers, on both databases."""

from typing import Any

from chamberlain.store import destinations, leases, outbox_lists, outbox_queue
from chamberlain.store.database import Database
from chamberlain.store.destinations import Destination
from chamberlain.store.outbox_lists import DestinationRoom, DestinationRow, Untold
from chamberlain.store.outbox_queue import Put, ServerState, Window
from tests.support.rows import insert


async def test_servers_are_listed_by_page(db: Database) -> None:
    """Filtered by a part of the name, in either direction; the total is of all pages."""
    lease = await db.write(leases.take, "outbound:0", "me", 0, 10)
    assert lease is not None
    for number, name in enumerate(("a.test", "b_c.test", "b.test", "c.example")):
        await db.write(destinations.put_failing, Destination(name, number + 1, 100 - number, 1, None, "gone"))
    await db.write_batch(outbox_queue.put, Put(lease, ServerState("b.test", 7, True)))
    await db.write_batch(outbox_queue.put, Put(lease, ServerState("only.sent", 9, False)))

    async def names(text: str | None = None, *how: Any) -> tuple[list[str], int]:
        order, way, start, limit = (*how, *("destination", "f", 0, 100)[len(how) :])
        found, total = await db.snapshot(outbox_lists.list_destinations, text, order, way, start, limit)
        return [row.destination for row in found], total

    assert await names() == (["a.test", "b.test", "b_c.test", "c.example", "only.sent"], 5)
    assert await names(".TEST", "destination", "b") == (["b_c.test", "b.test", "a.test"], 3)
    assert await names("_") == (["b_c.test"], 1)
    assert await names(None, "retry_last_ts", "f", 1, 2) == (["c.example", "b.test"], 5)
    assert await names(None, "failure_ts", "b", 0, 1) == (["c.example"], 5)
    assert await names(None, "retry_interval") == (
        ["only.sent", "a.test", "b.test", "b_c.test", "c.example"],
        5,
    )
    assert (await names(None, "last_successful_stream_ordering", "b", 0, 2))[0] == ["only.sent", "b.test"]
    assert await db.read(outbox_lists.find_destination, "b.test") == DestinationRow(
        "b.test", 3, 97, 1, "gone", None, 7, True, None
    )
    assert await db.read(outbox_lists.find_destination, "only.sent") == DestinationRow(
        "only.sent", None, 0, 0, None, None, 9, False, None
    )
    assert await db.read(outbox_lists.find_destination, "x.test") is None


async def test_rooms_of_a_server_are_listed(db: Database) -> None:
    """Those of which it was told something, by id."""
    lease = await db.write(leases.take, "outbound:0", "me", 0, 10)
    assert lease is not None
    windows = {
        ("a.test", "!r"): Window(1),
        ("a.test", "!s"): Window(1, 4),
        ("a.test", "!new"): Window(6),
        ("b.test", "!t"): Window(1),
    }
    newest = {"!r": 6, "!s": 8, "!new": 5, "!t": 3}
    await db.write(outbox_queue.record, lease, 9, windows, newest)

    rooms = outbox_lists.list_destination_rooms
    assert await db.snapshot(rooms, "a.test", "f", 0, 9) == (
        [DestinationRoom("!r", 6), DestinationRoom("!s", 4)],
        2,
    )
    assert await db.snapshot(rooms, "a.test", "b", 0, 1) == ([DestinationRoom("!s", 4)], 2)


async def test_servers_that_have_not_been_sent_the_leaves(db: Database) -> None:
    """Those in the room that were told less than up to the last of our leaves; none where nothing is sent at all."""
    room = "!r:x"
    for position, (user, server, membership) in enumerate(
        (
            ("@a:x", None, "leave"),
            ("@b:x", None, "leave"),
            ("@c:told", "told", "join"),
            ("@d:late", "late", "join"),
        ),
        10,
    ):
        await db.write(
            insert,
            "events",
            nid=position,
            event_id=f"${position}",
            room_id=room,
            sender=user,
            position=position,
            outgoing=server is None,
        )
        await db.write(
            insert,
            "memberships",
            room_id=room,
            user_id=user,
            membership=membership,
            local=server is None,
            server=server,
            event_id=f"${position}",
        )
    await db.write(insert, "memberships", room_id=room, user_id="@e:gone", server="gone", membership="leave")
    await db.write(insert, "partial_room_servers", room_id=room, server="said")
    assert await db.read(outbox_lists.list_untold, room) == []
    lease = await db.write(leases.take, "outbound:0", "me", 0, 10)
    assert lease is not None
    await db.write(outbox_queue.record, lease, 9, {}, {})
    await db.write_batch(outbox_queue.put, Put(lease, ServerState("told", 11, False)))
    await db.write_batch(outbox_queue.put, Put(lease, ServerState("late", 10, True)))
    await db.write(destinations.put_failing, Destination("late", 1, 100, 1, None, "gone"))

    assert await db.read(outbox_lists.list_untold, room) == [Untold("late", 100), Untold("said", 0)]
    assert await db.read(outbox_lists.list_untold, "!other:x") == []
