"""Who is in which room, on both engines."""

from typing import Any

import pytest

from chamberlain.rooms.restricted import is_in_any
from chamberlain.store.database import Database
from chamberlain.store.tx import Write
from tests.support.rows import insert

ALICE = "@alice:example.org"


async def put(tx: Write, room_id: str, membership: str) -> None:
    """What alice is in a room."""
    await insert(tx, "memberships", room_id=room_id, user_id=ALICE, membership=membership, local=True)


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
