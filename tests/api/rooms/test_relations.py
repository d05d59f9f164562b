"""Events that relate to others: what comes bundled, and what can be asked for."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.clock import TickingClock
from tests.support.server import Client, Server, path, test_config


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """A server on which no two edits are of the same moment: of these the one with the greater id would count."""
    running = await Server.start(test_config(tmp_path), clock=TickingClock())
    yield running
    await running.stop()


def relation(event: str, kind: str, **more: str) -> dict[str, Any]:
    """The content that relates to an event."""
    return {"m.relates_to": {"rel_type": kind, "event_id": event, **more}}


async def edit(client: Client, room: str, event: str, body: str) -> str:
    """Send a replacement of a message."""
    new = {"msgtype": "m.text", "body": body}
    return await client.say(room, f"* {body}", **relation(event, "m.replace"), **{"m.new_content": new})


async def reply(client: Client, room: str, root: str, body: str) -> str:
    """Send a message in a thread."""
    return await client.say(room, body, **relation(root, "m.thread"))


async def bundle(client: Client, room: str, event: str) -> dict[str, Any]:
    """What is bundled with an event, as the single event and the history have it."""
    single = (await client.get(path("rooms", room, "event", event))).ok()
    history = (await client.get(path("rooms", room, "messages", dir="b", limit=100))).ok()["chunk"]
    (listed,) = [found for found in history if found["event_id"] == event]
    found: dict[str, Any] = single["unsigned"].get("m.relations", {})
    assert _without_age(listed["unsigned"].get("m.relations", {})) == _without_age(found)
    return found


def _without_age(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_age(inner) for key, inner in value.items() if key != "age"}
    return [_without_age(inner) for inner in value] if isinstance(value, list) else value


async def related(client: Client, room: str, *parts: str, **query: Any) -> dict[str, Any]:
    """The answer of /relations."""
    target = f"/_matrix/client/v1/{path('rooms', room, 'relations', *parts, **query)}"
    answer: dict[str, Any] = (await client.get(target)).ok()
    return answer


def ids(answer: dict[str, Any]) -> list[str]:
    """The ids of the events in an answer."""
    return [event["event_id"] for event in answer["chunk"]]


async def test_the_newest_edit_is_bundled(alice: Client, bob: Client) -> None:
    """Another member finds it with the event, whose own content stays; redacting it brings back the one before."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    event = await alice.say(room, "one")
    first = await edit(alice, room, event, "two")
    second = await edit(alice, room, event, "three")
    found = await bundle(bob, room, event)
    (await alice.put(path("rooms", room, "redact", second, "t"))).ok()
    before = await bundle(bob, room, event)
    (await alice.put(path("rooms", room, "redact", event, "t2"))).ok()

    assert found["m.replace"]["event_id"] == second
    assert found["m.replace"]["content"]["m.new_content"]["body"] == "three"
    assert before["m.replace"]["event_id"] == first
    assert await bundle(bob, room, event) == {}


async def test_edits_that_do_not_count(alice: Client, bob: Client) -> None:
    """Those of others, of another type, without new content, of edits and of state are ignored."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    event = await alice.say(room, "one")
    good = await edit(alice, room, event, "two")
    await edit(bob, room, event, "not mine")
    await alice.send(room, "org.example.other", relation(event, "m.replace") | {"m.new_content": {}})
    await alice.say(room, "nothing new", **relation(event, "m.replace"))
    await edit(alice, room, good, "an edit of an edit")
    name = await alice.set_state(room, "m.room.name", {"name": "A room"})
    await alice.send(room, "m.room.name", relation(name, "m.replace") | {"m.new_content": {}})

    assert (await bundle(bob, room, event))["m.replace"]["event_id"] == good
    assert await bundle(bob, room, good) == {}
    assert await bundle(bob, room, name) == {}


async def test_threads_are_summed_up(alice: Client, bob: Client) -> None:
    """The root tells the newest event with its own edit, the count and whether one took part."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    root = await alice.say(room, "root")
    await reply(alice, room, root, "first")
    last = await reply(alice, room, root, "second")
    changed = await edit(alice, room, last, "second!")
    for_bob = (await bundle(bob, room, root))["m.thread"]
    for_alice = (await bundle(alice, room, root))["m.thread"]
    await reply(bob, room, root, "third")
    after = (await bundle(bob, room, root))["m.thread"]

    assert (for_bob["count"], for_bob["current_user_participated"]) == (2, False)
    assert for_bob["latest_event"]["event_id"] == last
    assert for_bob["latest_event"]["unsigned"]["m.relations"]["m.replace"]["event_id"] == changed
    assert for_alice["current_user_participated"] is True
    assert (after["count"], after["current_user_participated"]) == (3, True)


async def test_a_redacted_reply_leaves_the_thread(alice: Client) -> None:
    """The count goes down and the one before is the newest."""
    room = await alice.create_room()
    root = await alice.say(room, "root")
    first = await reply(alice, room, root, "first")
    second = await reply(alice, room, root, "second")
    (await alice.put(path("rooms", room, "redact", second, "t"))).ok()
    found = (await bundle(alice, room, root))["m.thread"]

    assert (found["count"], found["latest_event"]["event_id"]) == (1, first)
    assert ids(await related(alice, room, root, "m.thread")) == [first]


async def test_references_are_listed_and_annotations_are_not(alice: Client) -> None:
    """A reference is told by its id; annotations are left to clients."""
    room = await alice.create_room()
    event = await alice.say(room, "one")
    references = [await alice.send(room, "org.example.ref", relation(event, "m.reference")) for _ in range(2)]
    await alice.send(room, "m.reaction", relation(event, "m.annotation", key="+"))

    assert await bundle(alice, room, event) == {
        "m.reference": {"chunk": [{"event_id": reference} for reference in references]}
    }


async def test_those_whom_one_ignores_are_not_counted(alice: Client, bob: Client) -> None:
    """Their replies and references are left out of what is bundled, for the one who ignores them alone."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    root = await alice.say(room, "root")
    first = await reply(alice, room, root, "first")
    await reply(bob, room, root, "second")
    await bob.send(room, "org.example.ref", relation(root, "m.reference"))
    target = path("user", alice.user_id, "account_data", "m.ignored_user_list")
    (await alice.put(target, {"ignored_users": {bob.user_id: {}}})).ok()
    found = await bundle(alice, room, root)

    assert (found["m.thread"]["count"], found["m.thread"]["latest_event"]["event_id"]) == (1, first)
    assert "m.reference" not in found
    assert (await bundle(bob, room, root))["m.thread"]["count"] == 2


async def test_who_left_sees_nothing_newer_in_a_bundle(alice: Client, bob: Client) -> None:
    """An edit from after one's leave does not come with the event."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    event = await alice.say(room, "one")
    await bob.leave(room)
    await edit(alice, room, event, "two")

    assert await bundle(bob, room, event) == {}


async def test_asking_for_relations(alice: Client, bob: Client) -> None:
    """All of them, those of one kind, those of one kind and type; newest first, or oldest first."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    event = await alice.say(room, "one")
    changed = await edit(alice, room, event, "two")
    reaction = await bob.send(room, "m.reaction", relation(event, "m.annotation", key="+"))
    other = await bob.send(room, "org.example.vote", relation(event, "m.annotation", key="+"))
    await alice.say(room, "unrelated")

    assert ids(await related(bob, room, event)) == [other, reaction, changed]
    assert ids(await related(bob, room, event, dir="f")) == [changed, reaction, other]
    assert ids(await related(bob, room, event, "m.annotation")) == [other, reaction]
    assert ids(await related(bob, room, event, "m.annotation", "m.reaction")) == [reaction]
    assert ids(await related(bob, room, event, "m.reference")) == []


async def test_relations_come_in_pages(alice: Client) -> None:
    """Pages join without gap; `to` bounds them; the first has no `prev_batch`, the last no `next_batch`."""
    room = await alice.create_room()
    root = await alice.say(room, "root")
    replies = [await reply(alice, room, root, str(n)) for n in range(5)]
    first = await related(alice, room, root, "m.thread", limit=2)
    second = await related(alice, room, root, "m.thread", limit=2, **{"from": first["next_batch"]})
    third = await related(alice, room, root, "m.thread", limit=2, **{"from": second["next_batch"]})
    bounded = await related(alice, room, root, "m.thread", limit=50, to=first["next_batch"])

    assert ids(first) + ids(second) + ids(third) == replies[::-1]
    assert ids(bounded) == ids(first)
    assert "prev_batch" not in first and second["prev_batch"] == first["next_batch"]
    assert "next_batch" not in third
    target = f"/_matrix/client/v1/{path('rooms', room, 'relations', root)}"
    (await alice.get(f"{target}?from=x")).error(400, "M_INVALID_PARAM")


async def test_relations_of_relations(alice: Client) -> None:
    """With `recurse` three levels come, each event once, and the depth is told; without it only the direct ones."""
    room = await alice.create_room()
    chain = [await alice.say(room, "root")]
    for _ in range(4):
        chain.append(await alice.send(room, "org.example.ref", relation(chain[-1], "m.reference")))
    deep = await related(alice, room, chain[0], recurse="true")
    flat = await related(alice, room, chain[0])

    assert ids(deep) == chain[3:0:-1]
    assert deep["recursion_depth"] >= 3
    assert ids(flat) == [chain[1]]
    assert "recursion_depth" not in flat


async def test_relations_of_what_one_may_not_see(alice: Client, bob: Client) -> None:
    """Outsiders and unknown events give 404."""
    room = await alice.create_room()
    event = await alice.say(room, "one")
    base = "/_matrix/client/v1/"

    (await bob.get(base + path("rooms", room, "relations", event))).error(404, "M_NOT_FOUND")
    (await alice.get(base + path("rooms", room, "relations", "$none"))).error(404, "M_NOT_FOUND")


async def threads(client: Client, room: str, **query: Any) -> dict[str, Any]:
    """The answer of /threads."""
    answer: dict[str, Any] = (
        await client.get(f"/_matrix/client/v1/{path('rooms', room, 'threads', **query)}")
    ).ok()
    return answer


async def test_the_threads_of_a_room(server: Server, alice: Client, bob: Client) -> None:
    """Roots come with their bundles, the thread that moved last first, in pages; or only those one took part in."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    roots = [await alice.say(room, str(n)) for n in range(3)]
    await alice.say(room, "no thread")
    for root in (roots[0], roots[1], roots[2], roots[0]):
        await reply(alice, room, root, "reply")
    await reply(bob, room, roots[1], "mine")
    listed = await threads(bob, room)
    first = await threads(bob, room, limit=2)
    second = await threads(bob, room, limit=2, **{"from": first["next_batch"]})
    carol = await server.register("carol")

    assert ids(listed) == [roots[1], roots[0], roots[2]]
    assert listed["chunk"][0]["unsigned"]["m.relations"]["m.thread"]["count"] == 2
    assert ids(first) + ids(second) == ids(listed)
    assert "next_batch" not in second
    assert ids(await threads(bob, room, include="participated")) == [roots[1]]
    assert ids(await threads(alice, room, include="participated")) == ids(listed)
    target = f"/_matrix/client/v1/{path('rooms', room, 'threads')}"
    (await carol.get(target)).error(403, "M_FORBIDDEN")
    (await bob.get(f"{target}?from=x")).error(400, "M_INVALID_PARAM")


async def test_the_thread_of_an_ignored_user(alice: Client, bob: Client) -> None:
    """Its root is listed without content."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    root = await bob.say(room, "noise")
    await reply(alice, room, root, "reply")
    target = path("user", alice.user_id, "account_data", "m.ignored_user_list")
    (await alice.put(target, {"ignored_users": {bob.user_id: {}}})).ok()
    (found,) = (await threads(alice, room))["chunk"]

    assert (found["event_id"], found["content"]) == (root, {})


async def test_a_thread_cannot_begin_inside_another_relation(alice: Client) -> None:
    """A reply in a thread is no root, nor is an edit; the root itself takes further replies."""
    room = await alice.create_room()
    root = await alice.say(room, "root")
    inner = await reply(alice, room, root, "inner")
    changed = await edit(alice, room, root, "changed")
    for target in (inner, changed):
        content = {"msgtype": "m.text", "body": "x", **relation(target, "m.thread")}
        (await alice.put(path("rooms", room, "send", "m.room.message", f"to {target}"), content)).error(
            400, "M_UNKNOWN"
        )
    await reply(alice, room, root, "another")

    assert (await bundle(alice, room, root))["m.thread"]["count"] == 2


async def test_a_second_annotation_of_the_same_kind(alice: Client, bob: Client) -> None:
    """The same key a second time is refused, a repeated request is not, and works after a redaction."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    event = await alice.say(room, "one")
    content = relation(event, "m.annotation", key="+")
    target = path("rooms", room, "send", "m.reaction", "t1")
    first = (await alice.put(target, content)).ok()
    again = (await alice.put(target, content)).ok()
    second = path("rooms", room, "send", "m.reaction", "t2")
    (await alice.put(second, content)).error(400, "M_DUPLICATE_ANNOTATION")
    await bob.send(room, "m.reaction", content)
    (await alice.put(path("rooms", room, "redact", first["event_id"], "t3"))).ok()
    (await alice.put(second, content)).ok()

    assert again == first
    assert len(ids(await related(bob, room, event, "m.annotation"))) == 2
