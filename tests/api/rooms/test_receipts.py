"""Receipts and read markers: what is kept of how far one has read."""

from typing import Any

import pytest

from chamberlain.store import receipts
from tests.support.server import Client, Server, path


async def read(client: Client, room: str, event: str, kind: str = "m.read", **body: Any) -> Any:
    """Send a receipt."""
    return await client.post(path("rooms", room, "receipt", kind, event), body)


async def receipts_of(server: Server, client: Client, room: str) -> dict[tuple[str, str], str]:
    """The events of a user's receipts, by type and thread."""
    found = await server.app.services.db.read(receipts.of_user, client.user_id, [room])
    return {(receipt.type, receipt.thread): receipt.event_id for receipt in found}


@pytest.mark.parametrize("kind", ["m.read", "m.read.private"])
async def test_a_receipt_moves_forward_only(server: Server, alice: Client, kind: str) -> None:
    """A receipt stands at the newest event that it was sent for."""
    room = await alice.create_room()
    first, second = await alice.say(room, "1"), await alice.say(room, "2")
    for event, stands_at in ((first, first), (second, second), (second, second), (first, second)):
        (await read(alice, room, event, kind)).ok()
        assert await receipts_of(server, alice, room) == {(kind, ""): stands_at}


async def test_others_see_public_receipts(alice: Client, bob: Client) -> None:
    """A public receipt is in the sync of every member; a private one in that of its user alone."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    event = await alice.say(room, "hello")
    for kind, seen_by in (("m.read.private", [bob]), ("m.read", [alice, bob])):
        for client in (alice, bob):
            await client.sync()
        (await read(bob, room, event, kind)).ok()
        for client in (alice, bob):
            joined = (await client.sync()).get("rooms", {}).get("join", {})
            ephemeral = joined.get(room, {}).get("ephemeral", {}).get("events", [])
            shown = [list(one["content"][event][kind]) for one in ephemeral]
            assert shown == ([[bob.user_id]] if client in seen_by else []), (kind, client.user_id)


async def test_receipts_of_threads_are_apart(server: Server, alice: Client) -> None:
    """Each thread, the main timeline and the whole room have receipts of their own."""
    room = await alice.create_room()
    root = await alice.say(room, "root")
    relation = {"rel_type": "m.thread", "event_id": root}
    reply = await alice.say(room, "reply", **{"m.relates_to": relation})
    annotation = {"m.relates_to": {"rel_type": "m.annotation", "event_id": reply, "key": "+"}}
    reaction = await alice.send(room, "m.reaction", annotation)
    (await read(alice, room, reaction, thread_id=root)).ok()
    (await read(alice, room, reply)).ok()
    (await read(alice, room, root, thread_id="main")).ok()
    (await read(alice, room, root, "m.read.private", thread_id=root)).ok()
    assert await receipts_of(server, alice, room) == {
        ("m.read", root): reaction,
        ("m.read", ""): reply,
        ("m.read", "main"): root,
        ("m.read.private", root): root,
    }
    for event, thread in ((reply, "main"), (reaction, "main"), (reply, reply)):
        refused = await read(alice, room, event, thread_id=thread)
        assert (refused.status, refused.json["errcode"]) == (400, "M_INVALID_PARAM")


async def test_receipts_are_refused(alice: Client, bob: Client) -> None:
    """A wrong type or thread, an unknown event, an event of another room, and strangers get an errcode."""
    room, other = await alice.create_room(), await alice.create_room()
    event = await alice.say(room, "hello")
    for body in ({"thread_id": ""}, {"thread_id": 5}, {"thread_id": "none"}):
        refused = await read(alice, room, event, **body)
        assert (refused.status, refused.json["errcode"]) == (400, "M_INVALID_PARAM"), body
    assert (await read(alice, room, event, "m.seen")).json["errcode"] == "M_INVALID_PARAM"
    refused = await read(alice, room, event, "m.fully_read", thread_id="main")
    assert refused.json["errcode"] == "M_INVALID_PARAM"
    for where, what in ((room, "$unknown"), (other, event)):
        refused = await read(alice, where, what)
        assert (refused.status, refused.json["errcode"]) == (404, "M_NOT_FOUND")
    for where in (room, "!unknown:example.org"):
        refused = await read(bob, where, event)
        assert (refused.status, refused.json["errcode"]) == (403, "M_FORBIDDEN")


async def test_the_fully_read_marker(server: Server, alice: Client) -> None:
    """The marker is room account data, moves forward only, and can be sent with the receipts."""
    room = await alice.create_room()
    first, second = await alice.say(room, "1"), await alice.say(room, "2")
    marker = path("user", alice.user_id, "rooms", room, "account_data", "m.fully_read")
    assert (await alice.get(marker)).status == 404
    for event, stands_at in ((first, first), (second, second), (first, second)):
        body = {"m.fully_read": event, "m.read": event, "m.read.private": event}
        (await alice.post(path("rooms", room, "read_markers"), body)).ok()
        assert (await alice.get(marker)).ok() == {"event_id": stands_at}
        assert await receipts_of(server, alice, room) == {
            ("m.read", ""): stands_at,
            ("m.read.private", ""): stands_at,
        }
    (await read(alice, room, await alice.say(room, "3"), "m.fully_read")).ok()
    assert (await alice.get(marker)).ok()["event_id"] not in (first, second)
    (await alice.post(path("rooms", room, "read_markers"))).ok()
    unknown = await alice.post(path("rooms", room, "read_markers"), {"m.fully_read": "$unknown"})
    assert unknown.status == 404
