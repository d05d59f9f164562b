"""Who is in which room, on both engines."""

from typing import Any

import pytest

from chamberlain.rooms.restricted import is_in_any
from chamberlain.store.database import Database
from chamberlain.store.memberships import has_joined_to_any
from chamberlain.store.tx import Write
from tests.support.rows import insert

ALICE = "@alice:example.org"


async def put(tx: Write, room_id: str, membership: str) -> None:
    """What alice is in a room."""
    await insert(tx, "memberships", room_id=room_id, user_id=ALICE, membership=membership, local=True)


async def test_whether_a_server_is_in_one_of_several_rooms(db: Database) -> None:
    """By its joined users alone."""
    for room_id, user_id, membership in (
        ("!in:a.test", "@a:a.test", "join"),
        ("!out:a.test", "@a:a.test", "leave"),
        ("!out:a.test", "@b:b.test", "join"),
    ):
        server = user_id.partition(":")[2]
        row = {
            "room_id": room_id,
            "user_id": user_id,
            "membership": membership,
            "local": False,
            "server": server,
        }
        await db.write(_insert, row)

    assert await db.read(has_joined_to_any, ["!none:a.test", "!out:a.test", "!in:a.test"], "a.test")
    assert not await db.read(has_joined_to_any, ["!none:a.test", "!out:a.test"], "a.test")
    assert await db.read(has_joined_to_any, ["!out:a.test"], "b.test")


async def _insert(tx: Write, row: dict[str, Any]) -> None:
    await insert(tx, "memberships", **row)


async def test_one_question_for_any_number_of_rooms(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another server may name as many as it likes."""
    await db.write(put, "!in:a.test", "join")
    await db.write(put, "!out:a.test", "leave")
    many = [f"!{n}:a.test" for n in range(2_000)]
    read = db.read
    questions = 0

    async def count(*args: Any) -> Any:
        nonlocal questions
        questions += 1
        return await read(*args)

    monkeypatch.setattr(db, "read", count)

    assert await is_in_any(db, [*many, "!in:a.test"], ALICE)
    assert not await is_in_any(db, [*many, "!out:a.test"], ALICE)
    assert not await is_in_any(db, [], ALICE)
    assert questions == 2
