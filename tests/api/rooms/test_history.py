"""Paging through a room's history: order, ends, filters, who sees what."""

from typing import Any

import orjson
import pytest

from chamberlain.rooms import walk
from tests.support.server import Client, Server, path


async def page(client: Client, room: str, **query: Any) -> dict[str, Any]:
    """One page of /messages, backwards unless told otherwise."""
    query.setdefault("dir", "b")
    if isinstance(query.get("filter"), dict):
        query["filter"] = orjson.dumps(query["filter"]).decode()
    answer: dict[str, Any] = (await client.get(path("rooms", room, "messages", **query))).ok()
    return answer


async def whole(client: Client, room: str, **query: Any) -> list[dict[str, Any]]:
    """All that paging gives, until there is no `end`."""
    events: list[dict[str, Any]] = []
    for _ in range(50):
        answer = await page(client, room, **query)
        events += answer["chunk"]
        if "end" not in answer:
            return events
        query["from"] = answer["end"]
    raise AssertionError("paging does not end")


def bodies(events: list[dict[str, Any]]) -> list[str]:
    """The bodies of the messages among the events."""
    return [event["content"].get("body", "") for event in events if event["type"] == "m.room.message"]


async def test_pages_go_back_to_the_beginning(alice: Client, bob: Client) -> None:
    """Another member pages through everything, newest first, without gap or repetition, and then there is no end."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    for n in range(25):
        await alice.say(room, str(n))
    first = await page(bob, room, limit=10)
    second = await page(bob, room, limit=10, **{"from": first["end"]})
    again = await page(bob, room, limit=10, **{"from": first["end"]})
    everything = await whole(bob, room, limit=7)

    assert bodies(first["chunk"]) == [str(n) for n in range(24, 14, -1)]
    assert bodies(second["chunk"]) == [str(n) for n in range(14, 4, -1)]
    assert second["start"] == first["end"]
    assert [event["event_id"] for event in again["chunk"]] == [event["event_id"] for event in second["chunk"]]
    assert bodies(everything) == [str(n) for n in range(24, -1, -1)]
    assert everything[-1]["type"] == "m.room.create"
    assert len({event["event_id"] for event in everything}) == len(everything)


async def test_forwards_is_the_reverse_of_backwards(alice: Client) -> None:
    """From the beginning forwards come the same events, and the start of a page leads back to before it."""
    room = await alice.create_room()
    for n in range(12):
        await alice.say(room, str(n))
    back = await whole(alice, room, limit=5)
    forth = await whole(alice, room, limit=5, dir="f")
    third = await page(alice, room, limit=3, **{"from": (await page(alice, room, limit=3))["end"]})
    forward = await page(alice, room, limit=3, dir="f", **{"from": third["end"]})

    assert [event["event_id"] for event in forth] == [event["event_id"] for event in reversed(back)]
    assert [event["event_id"] for event in forward["chunk"]] == [
        event["event_id"] for event in reversed(third["chunk"])
    ]


async def test_forwards_there_may_be_more_later(alice: Client) -> None:
    """A page that ends with the newest event says where to go on; one without events does not."""
    room = await alice.create_room()
    since = (await alice.sync())["next_batch"]
    event_id = await alice.say(room, "one")
    first = await page(alice, room, dir="f", **{"from": since})
    assert [event["event_id"] for event in first["chunk"]] == [event_id]
    assert "end" not in await page(alice, room, dir="f", **{"from": first["end"]})
    event_id = await alice.say(room, "two")

    second = await page(alice, room, dir="f", **{"from": first["end"]})
    assert [event["event_id"] for event in second["chunk"]] == [event_id]


async def test_to_bounds_a_page(alice: Client) -> None:
    """Nothing beyond `to` comes, in either direction."""
    room = await alice.create_room()
    for n in range(10):
        await alice.say(room, str(n))
    middle = (await page(alice, room, limit=5))["end"]
    back = await whole(alice, room, limit=2, to=middle)
    forth = await whole(alice, room, limit=50, dir="f", to=middle)

    assert bodies(back) == ["9", "8", "7", "6", "5"]
    assert bodies(forth) == ["0", "1", "2", "3", "4"]


async def test_tokens_of_sync_work_too(alice: Client, bob: Client) -> None:
    """`prev_batch` leads to what came before the timeline, `next_batch` to what came before or after the sync."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    for n in range(30):
        await alice.say(room, str(n))
    answer = await bob.sync()
    timeline = answer["rooms"]["join"][room]["timeline"]
    await alice.say(room, "later")
    before = await page(bob, room, limit=5, **{"from": timeline["prev_batch"]})
    upto = await page(bob, room, limit=5, **{"from": answer["next_batch"]})
    after = await page(bob, room, limit=5, dir="f", **{"from": answer["next_batch"]})
    shown = bodies(timeline["events"])

    assert bodies(before["chunk"]) == [str(n) for n in range(int(shown[0]) - 1, int(shown[0]) - 6, -1)]
    assert bodies(upto["chunk"]) == ["29", "28", "27", "26", "25"]
    assert bodies(after["chunk"]) == ["later"]


async def test_bad_queries_are_refused(alice: Client) -> None:
    """Wrong directions, tokens, limits and filters give a 4xx with an errcode; a huge limit is cut."""
    room = await alice.create_room()
    for query in ({"dir": "x"}, {"dir": "b", "from": "nonsense"}, {"dir": "b", "limit": "-1"}):
        (await alice.get(path("rooms", room, "messages", **query))).error(400, "M_INVALID_PARAM")
    (await alice.get(path("rooms", room, "messages"))).error(400, "M_MISSING_PARAM")
    (await alice.get(path("rooms", room, "messages", dir="b", filter="{"))).error(400, "M_NOT_JSON")
    (await alice.get(path("rooms", room, "messages", dir="b", filter='{"types":1}'))).error(400, "M_BAD_JSON")
    many = await page(alice, room, limit=10**12)

    assert many["chunk"][-1]["type"] == "m.room.create"


async def test_filters(alice: Client, bob: Client) -> None:
    """Types with wildcards, senders, URLs and relations are filtered; what is left still pages to the end."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    root = await alice.say(room, "one")
    await bob.say(room, "two")
    await bob.send(
        room, "m.room.message", {"msgtype": "m.image", "body": "pic", "url": "mxc://example.org/a"}
    )
    annotation = {"m.relates_to": {"rel_type": "m.annotation", "event_id": root, "key": "+"}}
    await bob.send(room, "m.reaction", annotation)

    async def found(**wanted: Any) -> list[str]:
        return bodies(await whole(alice, room, limit=1, filter=wanted))

    assert await found(types=["m.room.message"]) == ["pic", "two", "one"]
    assert await found(types=["m.room.mess*"], senders=[bob.user_id]) == ["pic", "two"]
    assert await found(not_types=["m.room.m*"]) == []
    assert await found(not_senders=[bob.user_id]) == ["one"]
    assert await found(contains_url=True) == ["pic"]
    assert await found(contains_url=False) == ["two", "one"]
    assert await found(related_by_rel_types=["m.annotation"]) == ["one"]
    assert await found(related_by_rel_types=["m.thread"]) == []
    assert await found(related_by_senders=[alice.user_id]) == []
    assert await found(rooms=["!other:example.org"]) == []
    assert len((await page(alice, room, filter={"limit": 2}))["chunk"]) == 2


async def test_lazy_members(alice: Client, bob: Client) -> None:
    """With lazy loading the page brings the member events of its senders and no others."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    await bob.say(room, "hello")
    answer = await page(alice, room, limit=1, filter={"lazy_load_members": True})
    without = await page(alice, room, limit=1)

    assert [event["state_key"] for event in answer["state"]] == [bob.user_id]
    assert answer["state"][0]["type"] == "m.room.member"
    assert "state" not in without


async def test_outsiders_see_nothing(server: Server, alice: Client, bob: Client) -> None:
    """Who never was in the room is refused, and so is one who was only invited; an unknown room is no different."""
    room = await alice.create_room()
    event = await alice.say(room, "secret")
    carol = await server.register("carol")
    await alice.invite(room, carol)

    for client in (bob, carol):
        (await client.get(path("rooms", room, "messages", dir="b"))).error(403, "M_FORBIDDEN")
        (await client.get(path("rooms", room, "context", event))).error(403, "M_FORBIDDEN")
        (await client.get(path("rooms", room, "event", event))).error(404, "M_NOT_FOUND")
    (await bob.get(path("rooms", "!none:example.org", "messages", dir="b"))).error(403, "M_FORBIDDEN")
    (await server.anonymous.get(path("rooms", room, "messages", dir="b"))).error(401, "M_MISSING_TOKEN")


async def test_the_world_may_read_a_world_readable_room(alice: Client, bob: Client) -> None:
    """Without ever joining, one sees what was sent while everyone may read it, and only that."""
    room = await alice.create_room(preset="public_chat")
    hidden = await alice.say(room, "before")
    await alice.set_state(room, "m.room.history_visibility", {"history_visibility": "world_readable"})
    shown = await alice.say(room, "now")

    assert bodies(await whole(bob, room)) == ["now"]
    (await bob.get(path("rooms", room, "event", hidden))).error(404, "M_NOT_FOUND")
    assert (await bob.get(path("rooms", room, "event", shown))).ok()["content"]["body"] == "now"


async def test_what_a_new_member_sees_of_the_past(server: Server, alice: Client, bob: Client) -> None:
    """`shared` shows all of it, `invited` from the invitation on, `joined` from the join on; paging ends."""
    seen = {}
    for visibility in ("shared", "invited", "joined"):
        initial = [{"type": "m.room.history_visibility", "content": {"history_visibility": visibility}}]
        room = await alice.create_room(initial_state=initial)
        for n in range(120):
            await alice.say(room, f"before {n}")
        await alice.invite(room, bob)
        await alice.say(room, "invited")
        await bob.join(room)
        await alice.say(room, "joined")
        seen[visibility] = bodies(await whole(bob, room, limit=30))
        forwards = bodies(await whole(bob, room, limit=30, dir="f"))
        assert forwards == seen[visibility][::-1]

    assert len(seen["shared"]) == 122
    assert seen["invited"] == ["joined", "invited"]
    assert seen["joined"] == ["joined"]


async def test_hidden_stretches_are_passed_over(
    alice: Client, bob: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much there is that one may not see, paging back does not go through it; what lies before it comes."""
    monkeypatch.setattr(walk, "ROUNDS", 2)
    monkeypatch.setattr(walk, "AT_ONCE", 5)
    room = await alice.create_room(preset="public_chat")
    await alice.say(room, "shared")
    await alice.set_state(room, "m.room.history_visibility", {"history_visibility": "joined"})
    for n in range(50):
        await alice.say(room, f"hidden {n}")
    await bob.join(room)
    await alice.say(room, "seen")
    first = await page(bob, room, limit=5)
    second = await page(bob, room, limit=5, **{"from": first["end"]})

    assert bodies(first["chunk"]) == ["seen"]
    assert bodies(second["chunk"]) == ["shared"]
    assert bodies(await whole(bob, room)) == ["seen", "shared"]


async def test_who_left_sees_up_to_the_leave(alice: Client, bob: Client) -> None:
    """Nothing after one's leave or ban is shown, in either direction; what was before stays."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    await alice.say(room, "before")
    await bob.leave(room)
    late = await alice.say(room, "after")
    back, forth = await whole(bob, room), await whole(bob, room, dir="f", limit=4)
    sync_token = (await alice.sync())["next_batch"]
    from_now = await page(bob, room, **{"from": sync_token})

    assert bodies(back) == bodies(forth) == bodies(from_now["chunk"]) == ["before"]
    assert back[0]["content"]["membership"] == "leave"
    (await bob.get(path("rooms", room, "event", late))).error(404, "M_NOT_FOUND")
    (await bob.post(path("rooms", room, "forget"))).ok()
    (await bob.get(path("rooms", room, "messages", dir="b"))).error(403, "M_FORBIDDEN")


async def test_who_came_back_sees_shared_history(alice: Client, bob: Client) -> None:
    """After a second join the time of absence is shown as well, where history is shared."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    await bob.leave(room)
    await alice.say(room, "meanwhile")
    await bob.join(room)

    assert bodies(await whole(bob, room)) == ["meanwhile"]


async def test_redacted_events_show_as_redacted(alice: Client, bob: Client) -> None:
    """The event stays in the history without its content, and says why."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    event = await alice.say(room, "oops")
    redaction = (await alice.put(path("rooms", room, "redact", event, "t"), {"reason": "typo"})).ok()[
        "event_id"
    ]
    shown = next(found for found in await whole(bob, room) if found["event_id"] == event)
    single = (await bob.get(path("rooms", room, "event", event))).ok()

    assert shown["content"] == single["content"] == {}
    assert shown["unsigned"]["redacted_because"]["event_id"] == redaction


async def test_unsigned(alice: Client, bob: Client) -> None:
    """The sender's device finds its transaction id, others do not; state says what it replaced."""
    room = await alice.create_room(preset="public_chat", name="old")
    await bob.join(room)
    await alice.set_state(room, "m.room.name", {"name": "new"})
    event = await alice.say(room, "hi")
    own = (await alice.get(path("rooms", room, "event", event))).ok()
    other = (await bob.get(path("rooms", room, "event", event))).ok()
    name = next(found for found in await whole(bob, room) if found["type"] == "m.room.name")

    assert "transaction_id" in own["unsigned"]
    assert "transaction_id" not in other["unsigned"]
    assert other["unsigned"]["membership"] == "join"
    assert other["unsigned"]["age"] >= 0
    assert name["unsigned"]["prev_content"] == {"name": "old"}


async def test_an_erased_sender(server: Server, alice: Client, bob: Client) -> None:
    """What an erased user sent is shown in full to those who were there, without content to those who came later."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    await alice.say(room, "mine")
    password = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "alice"}}
    auth = password | {"password": "correct horse battery"}
    first = await alice.post("account/deactivate", {"erase": True})
    auth["session"] = first.json["session"]
    (await alice.post("account/deactivate", {"erase": True, "auth": auth})).ok()
    carol = await server.register("carol")
    await carol.join(room)
    here, late = await whole(bob, room), await whole(carol, room)

    assert bodies(here) == ["mine"]
    assert bodies(late) == [""]


async def test_the_whole_room_at_once(alice: Client, bob: Client, server: Server) -> None:
    """A peeking user gets state and newest events of a world-readable room, an outsider of a private one nothing."""
    room = await alice.create_room(preset="public_chat", visibility="public")
    private = await alice.create_room()
    await alice.set_state(room, "m.room.history_visibility", {"history_visibility": "world_readable"})
    for n in range(25):
        await alice.say(room, str(n))
    peeked = (await bob.get(path("rooms", room, "initialSync"))).ok()
    own = (await alice.get(path("rooms", room, "initialSync"))).ok()
    earlier = await page(bob, room, limit=1, **{"from": peeked["messages"]["start"]})

    assert bodies(peeked["messages"]["chunk"]) == [str(n) for n in range(5, 25)]
    assert "m.room.create" in {event["type"] for event in peeked["state"]}
    assert peeked["visibility"] == "public" and "membership" not in peeked
    assert own["membership"] == "join"
    assert bodies(earlier["chunk"]) == ["4"]
    (await bob.get(path("rooms", private, "initialSync"))).error(403, "M_FORBIDDEN")
