"""The last changes in memory."""

from typing import Any

import pytest

from chamberlain.matrix.ids import EventID
from chamberlain.rooms.pipeline.consequences import Arrived
from chamberlain.store.receipts import Receipt
from chamberlain.sync import log as module
from chamberlain.sync.interest import Interest
from chamberlain.sync.log import RecentLog
from tests.support.events import make_event

ROOM = "!room:example.org"


def arrived(
    event_id: str, content: dict[str, Any] | None = None, room_id: str = ROOM, size: int = 10
) -> Arrived:
    """An event that has come."""
    event = make_event(content=content, room_id=room_id)
    event.event_id = EventID(event_id)
    return Arrived(event, 1, b"{" + b" " * size + b"}", None, False, False, None, None, 0, None, ())


def found(log: RecentLog, since: int, upto: int = 10**9, room_id: str = ROOM) -> list[str]:
    """The ids of the events of a room."""
    return [entry.event.event_id for entry in log.room(room_id).since(since, upto)]


def test_events_come_back_in_order_within_a_stretch() -> None:
    """What came after one position and not after another is given, the oldest first."""
    log = RecentLog(10)
    for position in range(11, 16):
        log.add(position, arrived(f"${position}"))

    assert found(log, 12) == ["$13", "$14", "$15"]
    assert found(log, 11, 13) == ["$12", "$13"]
    assert found(log, 15) == []
    assert log.room(ROOM).floor == 10


def test_the_oldest_are_forgotten_over_all_rooms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the oldest event goes, and its room's floor rises to it."""
    monkeypatch.setattr(module, "EVENTS_KEPT", 3)
    log = RecentLog(0)
    for position in range(1, 6):
        log.add(position, arrived(f"${position}", room_id=ROOM if position % 2 else "!other:example.org"))

    assert found(log, 0) == ["$3", "$5"]
    assert log.room(ROOM).floor == 1
    assert log.room("!other:example.org").floor == 2


def test_large_events_count_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few large events are as many as many small ones."""
    monkeypatch.setattr(module, "BYTES_KEPT", 100_000)
    log = RecentLog(0)
    for position in range(1, 6):
        log.add(position, arrived(f"${position}", size=40_000))

    assert found(log, 0) == ["$4", "$5"]


def test_a_room_that_begins_anew_does_not_claim_to_know(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that was dropped and made again knows nothing of what came before."""
    monkeypatch.setattr(module, "EVENTS_KEPT", 1)
    log = RecentLog(0)
    log.add(1, arrived("$1"))
    log.add(2, arrived("$2", room_id="!other:example.org"))
    assert ROOM not in log.rooms
    log.add(3, arrived("$3"))

    assert log.room(ROOM).floor >= 1


def test_a_room_with_listeners_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty log stays as long as somebody listens."""
    monkeypatch.setattr(module, "EVENTS_KEPT", 1)
    log = RecentLog(0)
    interest = Interest("@a:example.org", 0)
    interest.enter(log.add(1, arrived("$1")))
    log.add(2, arrived("$2", room_id="!other:example.org"))
    assert ROOM in log.rooms
    left = interest.leave(ROOM)
    assert left is not None
    log.release(left)

    assert ROOM not in log.rooms


def test_what_is_redacted_or_related_to_is_stale() -> None:
    """The database knows better of an event that something else speaks of."""
    log = RecentLog(0)
    log.add(1, arrived("$1"))
    log.add(2, arrived("$2"))
    log.add(3, arrived("$3", {"m.relates_to": {"event_id": "$1", "rel_type": "m.replace"}}))
    redaction = arrived("$4")
    redaction.event.redacts = EventID("$2")
    log.add(4, redaction)

    assert [entry.is_stale for entry in log.room(ROOM).since(0, 9)] == [True, True, False, False]


def test_receipts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the oldest receipt goes, and the floor of the receipts rises to it."""
    monkeypatch.setattr(module, "RECEIPTS_KEPT", 2)
    log = RecentLog(0)
    for position in (1, 2, 3):
        log.add_receipt(position, Receipt(ROOM, f"@{position}:x", "m.read", "", "$1", 1, 5, position))

    assert [receipt.user_id for receipt in log.room(ROOM).receipts_since(0, 9)] == ["@3:x", "@2:x"]
    assert log.room(ROOM).receipts_floor == 1
    assert log.room(ROOM).floor == 0
