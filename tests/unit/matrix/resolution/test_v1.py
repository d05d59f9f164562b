"""State resolution of room version 1, on forks drawn by hand."""

import hashlib

from chamberlain.matrix.versions import V1
from tests.support.dag import POWER, RULES, TOPIC, Dag, State, member


def room() -> tuple[Dag, State]:
    """A public room of Alice (100) and Bob (50)."""
    dag = Dag(V1)
    return dag, dag.begin({"@b:x": 50})


def test_what_only_one_side_has_is_no_conflict() -> None:
    """A key that the other side lacks is taken as it is, allowed or not."""
    dag, base = room()
    one, other = dict(base), dict(base)
    topic = dag.send(one, "m.room.topic", "@stranger:x", {})

    assert dag.resolve(one, other)[TOPIC] == topic


def test_the_deepest_allowed_topic_wins() -> None:
    """Of topics that are allowed the one of the greatest depth wins, whatever its time."""
    dag, base = room()
    one, other, third = dict(base), dict(base), dict(base)
    dag.send(one, "m.room.topic", "@a:x", {}, depth=20, ts=900)
    deep = dag.send(other, "m.room.topic", "@b:x", {}, depth=21, ts=5)
    dag.send(third, "m.room.topic", "@stranger:x", {}, depth=99)

    assert dag.resolve(one, other, third)[TOPIC] == deep


def test_equal_depths_go_by_the_least_sha1() -> None:
    """Of topics of one depth the one whose id has the least SHA-1 wins."""
    dag, base = room()
    sides = [dict(base) for _ in range(4)]
    topics = [dag.send(side, "m.room.topic", "@a:x", {}, depth=20) for side in sides]

    expected = min(topics, key=lambda event_id: hashlib.sha1(event_id.encode()).hexdigest())
    assert dag.resolve(*sides)[TOPIC] == expected


def test_where_no_topic_is_allowed_the_shallowest_stays() -> None:
    """Of topics that nobody may set the one of the least depth is kept."""
    dag, base = room()
    one, other = dict(base), dict(base)
    shallow = dag.send(one, "m.room.topic", "@x:x", {}, depth=20)
    dag.send(other, "m.room.topic", "@y:x", {}, depth=30)

    assert dag.resolve(one, other)[TOPIC] == shallow


def test_power_levels_are_followed_as_far_as_they_are_allowed() -> None:
    """The shallowest power levels stand; each deeper one counts if the one before allows it."""
    dag, base = room()
    one, other, third = dict(base), dict(base), dict(base)
    dag.send(one, "m.room.power_levels", "@a:x", {"users": {"@a:x": 100}}, depth=20)
    second = dag.send(other, "m.room.power_levels", "@a:x", {"users": {"@a:x": 100, "@c:x": 1}}, depth=21)
    dag.send(third, "m.room.power_levels", "@b:x", {"users": {"@a:x": 100, "@b:x": 50}}, depth=22)

    assert dag.resolve(one, other, third)[POWER] == second
    fourth = dict(base)
    dag.send(fourth, "m.room.power_levels", "@a:x", {"users": {"@a:x": 100}}, depth=23)
    assert dag.resolve(one, other, third, fourth)[POWER] == second


def test_power_levels_are_settled_before_what_hangs_on_them() -> None:
    """Bob, who lost his power on one side, has set neither join rules nor topic on the other."""
    dag, base = room()
    dag.send(base, "m.room.topic", "@a:x", {}, depth=10)
    one, other = dict(base), dict(base)
    dag.send(one, "m.room.power_levels", "@a:x", {"users": {"@a:x": 100}}, depth=20)
    dag.send(other, "m.room.join_rules", "@b:x", {"join_rule": "invite"}, depth=30)
    dag.send(other, "m.room.topic", "@b:x", {}, depth=31)
    levels = dict(base)
    dag.send(levels, "m.room.power_levels", "@a:x", {"users": {"@a:x": 100}, "kick": 60}, depth=21)

    resolved = dag.resolve(one, {**other, POWER: levels[POWER]})

    assert resolved[POWER] == levels[POWER]
    assert resolved[RULES] == base[RULES]
    assert resolved[TOPIC] == base[TOPIC]


def test_a_ban_stands_against_a_deeper_join() -> None:
    """A user who was banned on one side has not joined again on the other."""
    dag, base = room()
    dag.membership(base, "@c:x", "@c:x", "join", depth=10)
    one, other = dict(base), dict(base)
    ban = dag.membership(one, "@a:x", "@c:x", "ban", depth=20)
    dag.membership(other, "@c:x", "@c:x", "join", depth=30)

    assert dag.resolve(one, other)[member("@c:x")] == ban
