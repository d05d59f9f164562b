"""What one listening user has to be told of."""

import pytest

from chamberlain.store import kinds
from chamberlain.sync import interest as module
from chamberlain.sync.interest import Interest, Note
from chamberlain.sync.lazy import KnownMembers


def test_news_are_those_after_the_token() -> None:
    """A touched room is news before its position and none after it."""
    interest = Interest("@a:x", 100)
    interest.touch("!r:x", 7)

    assert interest.has_news(None, 6, 100)
    assert not interest.has_news(None, 7, 100)
    assert interest.rooms_since(6) == ["!r:x"]


def test_only_rooms_with_news_are_looked_at() -> None:
    """The rooms come by their newest change."""
    interest = Interest("@a:x", 0)
    for position, room in enumerate(["!a:x", "!b:x", "!a:x", "!c:x"], 1):
        interest.touch(room, position)

    assert interest.rooms_since(2) == ["!c:x", "!a:x"]


def test_news_of_another_device_are_none() -> None:
    """To-device messages and key counts concern one device alone."""
    interest = Interest("@a:x", 0)
    interest.note(Note(5, kinds.TO_DEVICE, "PHONE"))
    assert interest.has_news("PHONE", 4, 0)
    assert not interest.has_news("LAPTOP", 4, 0)
    interest.note(Note(6, kinds.ACCOUNT_DATA, "m.direct"))
    interest.note(Note(7, kinds.ONE_TIME_KEYS, "PHONE"))

    assert interest.has_news("LAPTOP", 4, 0)
    assert not interest.has_news("LAPTOP", 6, 0)


def test_a_late_note_takes_its_place() -> None:
    """What is found out late stands where it belongs, so that nothing behind it is missed."""
    interest = Interest("@a:x", 0)
    for position in (3, 9, 5):
        interest.note(Note(position, kinds.DEVICE_LIST, "@b:x"))

    assert [note.position for note in interest.notes] == [3, 5, 9]
    assert interest.has_news(None, 6, 0)
    assert [note.position for note in interest.notes_since(3, 8)] == [5]


def test_forgotten_notes_raise_the_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token from before what is remembered has to be answered by the database."""
    monkeypatch.setattr(module, "NOTES_KEPT", 2)
    interest = Interest("@a:x", 0)
    for position in (3, 4, 5):
        interest.note(Note(position, kinds.ACCOUNT_DATA, "a"))

    assert interest.floor == 3


def test_what_is_not_durable_has_places_of_its_own() -> None:
    """Typing and presence count by the other half of the token."""
    interest = Interest("@a:x", 10)
    interest.typing_moved("!r:x", 11)
    interest.presence_moved("@b:x", 12)
    interest.presence_moved("@c:x", 13)
    interest.presence_moved("@b:x", 14)

    assert interest.has_news(None, 99, 13) and not interest.has_news(None, 99, 14)
    assert interest.typed_since(10) == ["!r:x"] and interest.typed_since(11) == []
    assert interest.present_since(12) == ["@b:x", "@c:x"]


def test_members_are_known_from_the_answer_on_that_brought_them() -> None:
    """Each room and device has its own, and a fresh block begins anew."""
    known = KnownMembers()
    known.sent("@a:x", "PHONE", "!r:x", ["@b:x"], 5, anew=True)
    known.sent("@a:x", "PHONE", "!r:x", ["@c:x"], 8, anew=False)

    assert known.of("@a:x", "PHONE", "!r:x") == {"@b:x": 5, "@c:x": 8}
    assert known.of("@a:x", "LAPTOP", "!r:x") == {}
    known.sent("@a:x", "PHONE", "!r:x", ["@d:x"], 9, anew=True)
    assert known.of("@a:x", "PHONE", "!r:x") == {"@d:x": 9}
