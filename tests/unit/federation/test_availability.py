"""Servers that fail are left alone for a while."""

from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest

from chamberlain.federation.availability import FIRST_WAIT_MS, LONGEST_WAIT_MS, Destinations
from chamberlain.store import destinations as rows
from chamberlain.store.connect import open_database
from chamberlain.store.database import Database
from tests.support.clock import FakeClock
from tests.support.rng import SeededRng

FAR = "far.test"


@pytest.fixture
async def database(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Database]:
    opened = await open_database(f"sqlite:///{tmp_path}/x.db", clock.now, synchronous="off")
    yield opened
    await opened.close()


@pytest.fixture
async def known(database: Database, clock: FakeClock) -> AsyncIterator[Destinations]:
    made = Destinations(database, clock, SeededRng())
    await made.start()
    yield made
    await made.close()


async def test_the_wait_grows_to_a_day(known: Destinations, clock: FakeClock) -> None:
    """Each failure after a wait doubles it, about; failures during one do not."""
    waits = []
    for _ in range(16):
        assert await known.may_ask(FAR)
        for _ in range(3):
            known.failed(FAR, "down", is_known=True)
        assert not await known.may_ask(FAR)
        retry_at = known.retry_at(FAR)
        assert retry_at is not None
        waits.append(retry_at - clock.now())
        await clock.advance((retry_at - clock.now()) / 1000)

    assert 0.9 * FIRST_WAIT_MS <= waits[0] <= 1.1 * FIRST_WAIT_MS
    assert all(1.6 * a <= b <= 2.45 * a for a, b in pairwise(waits[:10]))
    assert 0.9 * LONGEST_WAIT_MS <= waits[-1] <= 1.1 * LONGEST_WAIT_MS


async def test_failures_survive_a_restart(known: Destinations, database: Database, clock: FakeClock) -> None:
    """The next process knows them, and goes on where this one was."""
    known.failed(FAR, "down", is_known=True)
    await known.close()

    again = Destinations(database, clock, SeededRng())
    await again.start()
    assert again.retry_at(FAR) == known.retry_at(FAR) is not None
    await clock.advance(FIRST_WAIT_MS / 500)
    again.failed(FAR, "down", is_known=True)
    await again.close()

    kept = await database.read(rows.find, FAR)
    assert kept is not None and kept.retry_interval > 1.5 * FIRST_WAIT_MS
    assert kept.failing_since == clock.now() - FIRST_WAIT_MS * 2 and kept.last_error == "down"


@pytest.mark.parametrize("is_known", [True, False])
async def test_an_answer_or_a_request_of_it_ends_the_wait(
    known: Destinations, clock: FakeClock, is_known: bool
) -> None:
    """Those who wait for it are told once; being heard of counts once in ten seconds."""
    told: list[str] = []
    known.subscribe_recovered(told.append)
    known.heard_of(FAR)
    known.answered(FAR, is_known=is_known)
    known.failed(FAR, "down", is_known=is_known)
    known.answered(FAR, is_known=is_known)
    await known._tasks.settle()
    assert told == [FAR] and await known.may_ask(FAR)

    known.failed(FAR, "down", is_known=is_known)
    known.heard_of(FAR)
    await known._tasks.settle()
    assert told == [FAR, FAR] and await known.may_ask(FAR)

    known.failed(FAR, "down", is_known=is_known)
    known.heard_of(FAR)
    assert not await known.may_ask(FAR)
    await clock.advance(10)
    known.failed("other.test", "down", is_known=is_known)
    known.heard_of(FAR)
    assert await known.may_ask(FAR) and not await known.may_ask("other.test")


async def test_strangers_leave_no_trace(known: Destinations, database: Database) -> None:
    """A server that somebody only named is not written down, but left alone all the same."""
    known.answered("friend.test", is_known=False)
    known.failed(FAR, "down", is_known=False)
    await known.close()

    assert not await known.may_ask(FAR)
    for name in ("friend.test", FAR):
        assert await database.read(rows.find, name) is None


async def test_one_write_for_a_transition(
    known: Destinations, database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand answers are one write, a thousand failures one more."""
    written: list[object] = []
    keep = known._write
    monkeypatch.setattr(known, "_write", lambda fn, *args: (written.append(fn), keep(fn, *args)))
    for _ in range(1000):
        known.answered(FAR, is_known=True)
    for _ in range(1000):
        known.failed(FAR, "down", is_known=True)

    assert len(written) == 2
    await known._tasks.settle()
    kept = await database.read(rows.find, FAR)
    assert kept is not None and kept.last_answered == clock.now() and kept.failing_since == clock.now()


async def test_an_administrator_ends_a_wait(known: Destinations) -> None:
    """Where there was one."""
    known.failed(FAR, "down", is_known=True)

    assert await known.reset(FAR)
    assert await known.may_ask(FAR)
    assert not await known.reset(FAR)


async def test_other_workers_hear_of_it(
    known: Destinations, database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one worker found holds for all, by the change stream alone."""
    from chamberlain.store import destinations as rows
    from chamberlain.store import kinds
    from chamberlain.store.tx import Change

    told: list[str] = []
    known.subscribe_recovered(told.append)
    await database.write(rows.put_failing, rows.Destination(FAR, 1, clock.now() + 5000, 5000, None))
    known._failing.clear()
    known._on_changes([Change(1, kinds.DESTINATION, FAR, rows.FAILING)])
    await known._tasks.settle()
    assert not await known.may_ask(FAR)

    known._on_changes([Change(2, kinds.DESTINATION, FAR, rows.BACK)])
    assert await known.may_ask(FAR) and told == [FAR]
