"""Events in the order in which they can be judged."""

from chamberlain.matrix.ids import EventID
from chamberlain.rooms.pipeline.outliers import in_order


def test_events_come_after_what_they_need() -> None:
    """What is not among them counts for nothing."""
    graph = {
        EventID(name): tuple(map(EventID, needs)) for name, needs in (("c", "ab"), ("b", "ax"), ("a", ""))
    }

    assert in_order(graph) == ["a", "b", "c"]


def test_circles_are_left_out_however_many_there_are() -> None:
    """And what needs them, which nobody could judge."""
    graph = {EventID("free"): (), EventID("caught"): (EventID("0"), EventID("free"))}
    for n in range(0, 100_000, 2):
        graph |= {EventID(str(n)): (EventID(str(n + 1)),), EventID(str(n + 1)): (EventID(str(n)),)}

    assert in_order(graph) == ["free"]
