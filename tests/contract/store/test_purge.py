"""Purging a room: nothing of it is left, nothing of others is touched, and it does not come back by itself."""

import asyncio
import re
from typing import Any, Final, cast

import msgspec
import pytest

from chamberlain.store import commit, entering, imports, kinds, purge, purged
from chamberlain.store.database import Database
from chamberlain.store.migrate import migrations
from chamberlain.store.purged import BeingPurged
from chamberlain.store.tx import Change, Read, Write
from tests.support.rows import insert

ROOM: Final = "!room1:example.org"
OTHER: Final = "!room2:example.org"
ALICE: Final = "@alice:example.org"
REFERENCES: Final = {"room_id", "event_id", "event", "auth", "nid", "line", "redaction", "extremities"}
"""Columns by which a table belongs to rooms."""
KEPT: Final = {
    "blocked_rooms": "a block holds for a room that is not here, too",
    "purged_rooms": "says that the room was purged",
    "purged_memberships": "tells clients that the room is gone",
    "key_backup_sessions": "the users' own backups of their keys",
    "server_notice_txns": "repeating the sending of a notice must not send it once more; forgotten with age",
}
"""Tables that a purge does not touch, and why."""


def tables() -> dict[str, dict[str, str]]:
    """Every table that has to do with rooms or events: its columns and their types."""
    text = "\n".join(
        line for _, sql in migrations() for line in sql.splitlines() if not line.lstrip().startswith("--")
    )
    found: dict[str, dict[str, str]] = {}
    for name, body in re.findall(r"CREATE TABLE (\w+) \((.*?)\)\s*(?:/\*[^*]*\*/)?\s*;", text, re.DOTALL):
        found[name] = dict(re.findall(r"(?:^|,)\s*(\w+) (TEXT|BIGINT|BOOLEAN|BYTEA)\b", body))
    for name, column, kind in re.findall(r"ALTER TABLE (\w+) ADD COLUMN (\w+) (\w+)", text):
        found[name][column] = kind
    return {name: columns for name, columns in found.items() if columns.keys() & REFERENCES}


async def fill(tx: Write, number: int) -> None:
    """A row in every table, all of one room."""
    for table, columns in tables().items():
        row: dict[str, Any] = {}
        for column, kind in columns.items():
            row[column] = {"TEXT": f"{column}{number}", "BIGINT": number, "BOOLEAN": False, "BYTEA": b"[]"}[
                kind
            ]
        row |= {"room_id": f"!room{number}:example.org", "user_id": f"@u{number}:example.org"}
        row |= {"sender": row["user_id"], "device": "D", "txn_device": "D"}
        row |= {"type": "t", "path": f"{row['room_id']}/t", "membership": "leave"}
        row |= {"local": table == "memberships", "must_exist": None, "under_way": True}
        sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(map(':{}'.format, columns))})"
        await tx.run(cast("Any", sql), **{column: row[column] for column in columns})


async def counts(tx: Read) -> dict[str, int]:
    """How many rows each of these tables has."""
    return {table: await tx.value(cast("Any", f"SELECT COUNT(*) FROM {table}")) for table in tables()}


async def empty(db: Database, room_id: str) -> None:
    """Purge a room as a job does."""
    assert await db.write(purge.close, room_id, evict=False)
    for part in purge.PARTS:
        while await db.write(purge.delete_some, room_id, part):
            pass


async def test_no_table_is_forgotten(db: Database) -> None:
    """Of each table that belongs to rooms the purged one's rows go, or it is said why they stay; the other's stay."""
    await db.write(fill, 1)
    await db.write(fill, 2)

    await empty(db, ROOM)

    left = await db.read(counts)
    assert left.keys() >= {"rooms", "events", "event_auth", "state_rows", "state_alias", "receipts"}
    assert {table for table, count in left.items() if count > 1} == set(KEPT)
    assert not {table for table, count in left.items() if count < 1}
    await empty(db, OTHER)
    assert {table for table, count in (await db.read(counts)).items() if count} == set(KEPT)


async def test_a_room_is_closed_when_nobody_of_ours_is_in_it(db: Database) -> None:
    """Or when those who are in it are put out, which they hear of."""
    changes: list[Change] = []
    await db.write(insert, "rooms", room_id=ROOM)
    for user_id, membership, ours in (
        (ALICE, "join", True),
        ("@b:b", "invite", True),
        ("@c:c", "join", False),
    ):
        await db.write(
            insert, "memberships", room_id=ROOM, user_id=user_id, membership=membership, local=ours
        )
    db.subscribe(changes.extend)

    assert not await db.write(purge.close, ROOM, evict=False)
    assert not changes
    assert await db.read(purge.held_by, ROOM, 5) == purge.Held([ALICE, "@b:b"], is_entered=False)
    await db.write(entering.begin, ROOM, "10", 6)
    assert (await db.read(purge.held_by, ROOM, 5)).is_entered
    assert not (await db.read(purge.held_by, ROOM, 6)).is_entered
    assert not await db.read(purged.is_under_way, ROOM)
    assert not await db.write(purge.close, ROOM, evict=True)
    assert await db.write(purge.close, ROOM, evict=True)

    assert await db.read(purged.is_under_way, ROOM)
    assert [(c.kind, c.entity, c.ref) for c in changes] == [
        (kinds.MEMBERSHIP, ALICE, ROOM),
        (kinds.MEMBERSHIP, "@b:b", ROOM),
        (kinds.ROOM, ROOM, "purge"),
    ]
    assert await db.read(purged.left_since, ALICE, changes[0].position - 1) == [ROOM]
    assert await db.read(purged.left_since, ALICE, changes[0].position) == []


async def test_clients_that_have_not_heard_of_the_leave_are_told(db: Database) -> None:
    """Not those who have forgotten the room, and nobody once they are in it again."""
    for user_id, forgotten in ((ALICE, False), ("@b:b", True)):
        await db.write(
            insert,
            "memberships",
            room_id=ROOM,
            user_id=user_id,
            membership="leave",
            local=True,
            position=7,
            forgotten=forgotten,
        )

    await empty(db, ROOM)

    assert await db.read(purged.left_since, ALICE, 6) == [ROOM]
    assert await db.read(purged.left_since, ALICE, 7) == []
    assert await db.read(purged.left_since, "@b:b", 0) == []
    await db.write(insert, "memberships", room_id=ROOM, user_id=ALICE, membership="join", local=True)
    assert await db.read(purged.left_since, ALICE, 6) == []


async def test_many_rows_go_a_few_at_a_time(db: Database) -> None:
    """No transaction touches much more than a thousand rows, however many there are of one thing."""

    async def many(tx: Write) -> None:
        for sql in (
            "INSERT INTO notifications (user_id, room_id, event_id, thread, notify, highlight, actions, position)"
            " VALUES (:alice, :room, :name, '', FALSE, FALSE, '', :number)",
            "INSERT INTO receipts (room_id, user_id, type, thread, event_id, event_position, ts, position)"
            " VALUES (:room, :name, '', '', '', 0, 0, :number)",
            "INSERT INTO state_rows (line, key, from_v, to_v) VALUES (1, :number, 0, 0)",
            "INSERT INTO backward_edges (room_id, missing, referrer, depth) VALUES (:room, :name, :number, 0)",
        ):
            names = set(re.findall(r":(\w+)", sql))
            rows = [
                {"room": ROOM, "alice": ALICE, "name": f"${number}", "number": number}
                for number in range(1_500)
            ]
            await tx.many(sql, [{name: row[name] for name in names} for row in rows])
        for number in range(250):
            await insert(tx, "events", nid=number, event_id=f"${number}", room_id=ROOM)
        await insert(tx, "state_lines", line=1, room_id=ROOM)
        await insert(tx, "memberships", room_id=ROOM, user_id=ALICE, membership="leave", local=True)

    await db.write(many)
    gone: dict[str, list[int]] = {}
    for part in ("members", "receipts", "backward_edges", "state", "events"):
        while count := await db.write(purge.PARTS[part], ROOM):
            gone.setdefault(part, []).append(count)

    assert gone == {
        "members": [1_000, 501],
        "receipts": [1_000, 500],
        "backward_edges": [1_000, 500],
        "state": [1_000, 501],
        "events": [200, 50],
    }


async def test_nobody_comes_in_while_a_room_is_purged(db: Database) -> None:
    """Nor by what was told of it before."""
    assert await db.read(purged.times, ROOM) == 0
    await db.write(purged.begin, ROOM)
    await db.write(purged.begin, ROOM)

    for write in (
        db.write(entering.begin, ROOM, "10", 1),
        db.write(imports.arrive, arrival(0)),
        db.write(imports.arrive, arrival(1)),
    ):
        with pytest.raises(BeingPurged):
            await write
    await db.write(purged.end, ROOM)
    with pytest.raises(BeingPurged):
        await db.write(imports.arrive, arrival(0))
    await db.write(entering.begin, ROOM, "10", 1)
    assert await db.read(purged.times, ROOM) == 1
    await db.write(purged.begin, ROOM)
    await db.write(purged.end, ROOM)
    assert await db.read(purged.times, ROOM) == 2


def arrival(purges: int) -> imports.Arrival:
    """What has to do with purges of an arrival."""
    return cast("imports.Arrival", type("Arrival", (), {"room_id": ROOM, "purges": purges})())


@pytest.mark.parametrize("alone", [True, False])
async def test_an_event_on_a_head_that_is_gone_makes_no_room(db: Database, alone: bool) -> None:
    """Whether it comes alone, where nobody looks first, or not: it is a conflict, as on a head that has moved."""
    unit = commit.Unit(
        room_id=ROOM,
        version="10",
        creator=ALICE,
        created_at=1,
        expected=4,
        head=commit.Head("[]", 1, 0, 5, 0, 0, 0),
        events=[],
        auth=[],
        txns=[],
        redactions=[],
        summary=None,
        spare_line=None,
    )
    if alone:
        assert await db.write_batch(commit.commit, unit) is None
    else:
        other = msgspec.structs.replace(unit, room_id=OTHER)
        assert (
            await asyncio.gather(*(db.write_batch(commit.commit, one) for one in (unit, other))) == [None] * 2
        )

    assert not await db.read(counts_of_rooms)


async def counts_of_rooms(tx: Read) -> int:
    """How many rooms there are."""
    found: int = await tx.value("SELECT COUNT(*) FROM rooms")
    return found
