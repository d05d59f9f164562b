"""History visibility and erased senders."""

import pytest

from chamberlain.matrix.events import Event
from chamberlain.matrix.ids import UserID
from chamberlain.matrix.visibility import (
    JOINED_NOW,
    HistoryVisibility,
    Point,
    Sight,
    Span,
    Viewer,
    can_see,
    filter_visible,
    parse_history_visibility,
    sees_everything,
    server_can_see,
    sight_of,
)
from tests.support.events import make_event

ALICE = UserID("@alice:example.org")
WORLD, SHARED, INVITED, JOINED = HistoryVisibility


@pytest.mark.parametrize(
    ("visibility", "membership", "joined_later", "visible"),
    [
        (WORLD, "leave", False, True),
        (WORLD, "ban", False, True),
        (SHARED, "leave", False, False),
        (SHARED, "leave", True, True),
        (SHARED, "invite", False, False),
        (SHARED, "invite", True, True),
        (SHARED, "ban", True, True),
        (INVITED, "leave", True, False),
        (INVITED, "invite", False, True),
        (INVITED, "knock", True, False),
        (JOINED, "invite", True, False),
        (JOINED, "leave", True, False),
        (JOINED, "join", False, True),
        (INVITED, "join", False, True),
        (SHARED, "join", False, True),
    ],
)
def test_the_rules_of_the_specification(
    visibility: HistoryVisibility, membership: str, joined_later: bool, visible: bool
) -> None:
    """Each line of the specification's list, and what it leaves out."""
    assert can_see(Point(visibility, membership), joined_later=joined_later) is visible


@pytest.mark.parametrize("content", [None, {}, {"history_visibility": "secret"}, {"history_visibility": []}])
def test_an_unknown_setting_counts_as_shared(content: dict[str, object] | None) -> None:
    """No event, no value and an unknown value all mean `shared`."""
    assert parse_history_visibility(content) is SHARED


def test_a_change_of_the_setting_is_seen_by_whoever_saw_either_side() -> None:
    """A stranger sees the event that closes a world-readable room and the one that opens it, not one between."""
    stranger = Viewer(ALICE)

    def change(value: str) -> Event:
        return make_event("m.room.history_visibility", {"history_visibility": value}, state_key="")

    assert sight_of(change("joined"), 5, Point(WORLD), stranger) is Sight.FULL
    assert sight_of(change("world_readable"), 5, Point(JOINED), stranger) is Sight.FULL
    assert sight_of(change("shared"), 5, Point(JOINED), stranger) is Sight.HIDDEN


@pytest.mark.parametrize(
    ("before", "after", "sight"),
    [
        ("leave", "join", Sight.FULL),
        ("join", "leave", Sight.FULL),
        ("join", "ban", Sight.FULL),
        ("leave", "ban", Sight.HIDDEN),
        ("leave", "invite", Sight.HIDDEN),
    ],
)
def test_users_see_their_own_joins_and_leaves(before: str, after: str, sight: Sight) -> None:
    """Even where the history is for those who are joined alone; the same events of others stay hidden."""
    own = make_event("m.room.member", {"membership": after}, state_key=ALICE)
    other = make_event("m.room.member", {"membership": after}, state_key="@other:example.org")

    assert sight_of(own, 5, Point(JOINED, before), Viewer(ALICE)) is sight
    if before == "leave":
        assert sight_of(other, 5, Point(JOINED, before), Viewer(ALICE)) is Sight.HIDDEN


def test_a_timeline_is_filtered_by_the_state_at_each_event() -> None:
    """Alice joins at 10, leaves at 20, comes back at 30; the room is for joined members from 15 on, shared before."""
    events = [(order, make_event(content={"n": order})) for order in (-3, 5, 12, 17, 22, 32)]
    spans = [
        Span(0, Point(SHARED)),
        Span(11, Point(SHARED, "join")),
        Span(15, Point(JOINED, "join")),
        Span(21, Point(JOINED, "leave")),
        Span(31, Point(JOINED, "join")),
    ]

    def seen(viewer: Viewer) -> list[int]:
        return [event.content["n"] for event, _ in filter_visible(events, spans, viewer)]

    assert seen(Viewer(ALICE, last_join=JOINED_NOW)) == [-3, 5, 12, 17, 32]
    assert seen(Viewer(ALICE, last_join=30)) == [-3, 5, 12, 17, 32]


def test_who_left_sees_no_shared_event_sent_after_their_last_join() -> None:
    """In a shared room the history before the last join stays visible, what came after the leave does not."""
    events = [(order, make_event(content={"n": order})) for order in (5, 25)]
    spans = [Span(0, Point(SHARED)), Span(11, Point(SHARED, "join")), Span(21, Point(SHARED))]

    visible = filter_visible(events, spans, Viewer(ALICE, last_join=10))

    assert [event.content["n"] for event, _ in visible] == [5]


def test_events_of_erased_users_are_redacted_for_who_was_not_there() -> None:
    """Who was joined when the event was sent, and the erased user, still see it in full."""
    event = make_event(sender="@gone:example.org")
    erased = frozenset(("@gone:example.org",))
    late = Viewer(ALICE, JOINED_NOW, erased)

    assert sight_of(event, 5, Point(SHARED), late) is Sight.REDACTED
    assert sight_of(event, 5, Point(WORLD), Viewer(ALICE, None, erased)) is Sight.REDACTED
    assert sight_of(event, 5, Point(SHARED, "join"), late) is Sight.FULL
    assert sight_of(event, 5, Point(JOINED), late) is Sight.HIDDEN
    assert sight_of(make_event(), 5, Point(SHARED), late) is Sight.FULL
    assert sight_of(event, 5, Point(SHARED), Viewer(event.sender, JOINED_NOW, erased)) is Sight.FULL


def test_the_short_cut_is_taken_only_when_everything_is_visible() -> None:
    """Joined and shared needs no look at the events; erased users, closed spans and strangers do."""
    spans = [Span(0, Point(SHARED)), Span(9, Point(SHARED, "join"))]
    erased = frozenset(("@gone:example.org",))

    assert sees_everything(spans, Viewer(ALICE, JOINED_NOW))
    assert sees_everything(spans[1:], Viewer(ALICE, JOINED_NOW, erased))
    assert not sees_everything(spans, Viewer(ALICE, JOINED_NOW, erased))
    assert not sees_everything(spans, Viewer(ALICE, 10))
    assert not sees_everything([Span(0, Point(JOINED)), *spans], Viewer(ALICE, JOINED_NOW))


def test_a_server_sees_what_its_users_may_see() -> None:
    """Shared history is for every server of the room, the rest for those with a user there at the event."""
    assert server_can_see(WORLD, [])
    assert server_can_see(SHARED, ["leave"])
    assert server_can_see(INVITED, ["leave", "invite"])
    assert not server_can_see(INVITED, ["leave"])
    assert server_can_see(JOINED, ["invite", "join"])
    assert not server_can_see(JOINED, ["invite"])
