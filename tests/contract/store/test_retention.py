"""What is forgotten, and what is not, on both databases."""

import pytest

from chamberlain.store import cursors, nonces, retention, sync
from chamberlain.store.database import Database
from chamberlain.store.retention import Retention
from chamberlain.store.tx import Read, Write
from tests.support.clock import FakeClock
from tests.support.rows import insert

DAY_MS = 24 * 3_600_000


async def change(tx: Write, kind: str, count: int) -> None:
    """Make changes."""
    for number in range(count):
        tx.place(kind, f"entity {number}")


async def kept(tx: Read) -> list[int]:
    """The positions of the changes that are there."""
    return [row[0] for row in await tx.all("SELECT position FROM changes ORDER BY position")]


async def txn_ids(tx: Read) -> list[str]:
    """The transaction ids that are known."""
    return [row[0] for row in await tx.all("SELECT txn_id FROM event_txns ORDER BY txn_id")]


async def test_old_changes_are_forgotten_and_new_ones_kept(
    db: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Age decides, a page at a time; but the newest positions stay, however old they are."""
    monkeypatch.setattr(retention, "ROWS", 4)
    await db.write(change, "test", 10)
    await clock.advance(3600)
    between = clock.now()
    await db.write(change, "test", 5)

    assert await db.write(retention.forget_changes, between, 2) == 4
    assert await db.write(retention.forget_changes, between, 2) == 4
    assert await db.write(retention.forget_changes, between, 2) == 2
    assert await db.write(retention.forget_changes, between, 2) == 0
    assert await db.read(kept) == [11, 12, 13, 14, 15]
    assert await db.write(retention.forget_changes, clock.now() + 1, 2) == 2
    assert await db.read(kept) == [13, 14, 15]


async def test_who_was_away_for_long_misses_nothing(db: Database, clock: FakeClock) -> None:
    """A room with news from before what is kept of the changes is found by its events."""

    async def make(tx: Write) -> None:
        await insert(
            tx, "memberships", room_id="!a:x.org", user_id="@a:x.org", membership="join", forgotten=False
        )
        await insert(tx, "events", nid=1, event_id="$e", room_id="!a:x.org", position=1)
        for number in range(retention.ALWAYS_KEPT + 1):
            tx.place("event" if number == 0 else "test", "!a:x.org")
        await cursors.advance(tx, "search", 1)

    await db.write(make)
    assert await db.write(retention.forget_changes, clock.now() + 1) == 0
    await db.write(change, "test", 1)
    assert await db.write(retention.forget_changes, clock.now() + 1) == 1

    assert await db.read(sync.rooms_with_news, "@a:x.org", 0, db.position) == ["!a:x.org"]


@pytest.mark.parametrize(("kind", "follower"), [("profile", "profile fan-out"), ("event", "search")])
async def test_followers_are_waited_for(db: Database, clock: FakeClock, kind: str, follower: str) -> None:
    """A change that its follower has not read stays, and all that came after it."""
    await db.write(change, "test", 2)
    await db.write(change, kind, 2)
    await db.write(change, "test", 2)

    await db.write(retention.forget_changes, clock.now() + 1, 0)
    assert await db.read(kept) == [3, 4, 5, 6]
    await db.write(cursors.advance, follower, 3)
    await db.write(retention.forget_changes, clock.now() + 1, 0)
    assert await db.read(kept) == [4, 5, 6]
    await db.write(cursors.advance, follower, 4)
    await db.write(retention.forget_changes, clock.now() + 1, 0)
    assert await db.read(kept) == [6]


async def test_transaction_ids_are_forgotten_after_a_week(db: Database, clock: FakeClock) -> None:
    """Old ones go, a page at a time in one run; new ones stay."""
    old = clock.now()

    async def make(tx: Write) -> None:
        for number in range(retention.ROWS + 5):
            await insert(tx, "event_txns", txn_id=f"old {number}", at=old + number)
        await insert(tx, "event_txns", txn_id="new", at=old + 8 * DAY_MS)

    await db.write(make)
    await clock.advance(8 * 24 * 3600)

    running = Retention(db, clock, 30 * DAY_MS)
    running.start()
    await clock.advance(retention.FIRST_S)
    while len(await db.read(txn_ids)) > 1:
        await clock.advance(retention.PAUSE_S)
    await running.close()

    assert await db.read(txn_ids) == ["new"]


async def test_expired_secrets_are_forgotten(db: Database, clock: FakeClock) -> None:
    """Sessions and one-time tokens go when they have expired, and not before."""
    now = clock.now()
    tables = ("uia_sessions", "login_tokens", "openid_tokens", "registration_nonces")
    keys = {"uia_sessions": "session", "registration_nonces": "nonce"}

    async def make(tx: Write) -> None:
        await insert(tx, "users", user_id="@a:x.org")
        for table in tables:
            for name, expires_at in (("old", now), ("new", now + 1)):
                key = keys.get(table, "hash")
                await insert(
                    tx, table, **{key: name.encode() if key == "hash" else name, "expires_at": expires_at}
                )

    async def count(tx: Read) -> list[int]:
        return [
            (await tx.value("SELECT count(*) FROM uia_sessions")),
            (await tx.value("SELECT count(*) FROM login_tokens")),
            (await tx.value("SELECT count(*) FROM openid_tokens")),
            (await tx.value("SELECT count(*) FROM registration_nonces")),
        ]

    await db.write(make)
    await Retention(db, clock, DAY_MS).run()

    assert await db.read(count) == [1, 1, 1, 1]
    assert await db.write(nonces.use, "new", now)
