"""Sending, repeating and redacting, as other clients see it (client-server API, Sending events, Redactions)."""

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest

from tests.api.conformance.table import check, found
from tests.support.server import Client, Server, path, test_config

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXT = {"msgtype": "m.text", "body": "hello"}


def news(answer: dict[str, Any], room: str) -> list[Any]:
    """The timeline of a joined room."""
    events: list[Any] = answer["rooms"]["join"][room]["timeline"]["events"]
    return events


async def test_a_transaction_id_sends_once(server: Server, alice: Client, bob: Client) -> None:
    """Once for each device, room, type and endpoint; twenty at the same time are one, and a failure is no success."""
    room, other = await alice.create_room(preset="public_chat"), await alice.create_room()
    phone = await server.login(alice.user_id)
    target = path("rooms", room, "send", "m.room.message", "txn")
    await bob.join(room)
    await bob.sync()
    answers = await asyncio.gather(*(alice.put(target, TEXT) for _ in range(20)))
    ids = {answer.ok()["event_id"] for answer in answers}
    assert len(ids) == 1
    assert [event["event_id"] for event in news(await bob.sync(), room)] == list(ids)
    assert (await alice.put(target, TEXT | {"body": "changed"})).ok()["event_id"] in ids
    others = [
        (await phone.put(target, TEXT)).ok()["event_id"],
        (await alice.put(path("rooms", other, "send", "m.room.message", "txn"), TEXT)).ok()["event_id"],
        (await alice.put(path("rooms", room, "send", "org.example", "txn"), TEXT)).ok()["event_id"],
        (await alice.put(path("rooms", room, "redact", ids.copy().pop(), "txn"))).ok()["event_id"],
    ]
    assert len({*others, *ids}) == 5
    redact = path("rooms", room, "redact", others[0], "again")
    repeated = [(await alice.put(redact, {})).ok()["event_id"] for _ in range(2)]
    assert repeated[0] == repeated[1]
    late = path("rooms", room, "send", "m.room.message", "late")
    assert (await bob.put(path("rooms", other, "send", "m.room.message", "late"), TEXT)).status == 403
    await alice.invite(other, bob)
    await bob.join(other)
    (await bob.put(path("rooms", other, "send", "m.room.message", "late"), TEXT)).ok()
    assert (await bob.put(late, TEXT)).ok()["event_id"]


async def test_only_its_device_finds_its_transaction_id(server: Server, alice: Client) -> None:
    """In every answer of every endpoint that shows the event, the sending device and no other."""
    phone = await server.login(alice.user_id)
    room = await alice.create_room()
    sent = (await alice.put(path("rooms", room, "send", "m.room.message", "echo"), TEXT)).ok()["event_id"]

    async def shown(client: Client) -> list[Any]:
        pages = (await client.get(path("rooms", room, "messages", dir="b", limit=1))).ok()["chunk"]
        one = (await client.get(path("rooms", room, "event", sent))).ok()
        context = (await client.get(path("rooms", room, "context", sent))).ok()["event"]
        synced = news((await client.get("sync")).ok(), room)[-1]
        return [event["unsigned"].get("transaction_id") for event in (*pages, one, context, synced)]

    assert await shown(alice) == ["echo"] * 4
    assert await shown(phone) == [None] * 4


async def test_transaction_ids_outlive_tokens_and_the_process(tmp_path: Path) -> None:
    """After a refresh of the token, and after a restart of the server, the same device sends nothing twice."""
    config = test_config(tmp_path)
    running = await Server.start(config)
    alice = await running.register("alice", refresh_token=True)
    refresh = (
        await running.anonymous.post(
            "login",
            {
                "type": "m.login.password",
                "identifier": {"type": "m.id.user", "user": "alice"},
                "password": "correct horse battery",
                "refresh_token": True,
                "device_id": alice.device_id,
            },
        )
    ).ok()
    alice.token = refresh["access_token"]
    room = await alice.create_room()
    target = path("rooms", room, "send", "m.room.message", "kept")
    first = (await alice.put(target, TEXT)).ok()["event_id"]
    renewed = (await running.anonymous.post("refresh", {"refresh_token": refresh["refresh_token"]})).ok()
    alice.token = renewed["access_token"]
    assert (await alice.put(target, TEXT)).ok()["event_id"] == first
    await running.stop()

    running = await Server.start(config)
    alice.server = running
    assert (await alice.put(target, TEXT)).ok()["event_id"] == first
    newest = news((await alice.get("sync")).ok(), room)[-1]
    assert newest["event_id"] == first and newest["unsigned"]["transaction_id"] == "kept"
    await running.stop()


async def test_what_sending_refuses(alice: Client, bob: Client) -> None:
    """Strangers, who left, unknown rooms, and contents that no event has."""
    room = await alice.create_room(preset="public_chat")
    send = path("rooms", room, "send", "m.room.message", "x")
    stranger = await bob.put(send, TEXT)
    await bob.join(room)
    await bob.leave(room)
    left = await bob.put(send, TEXT)
    unknown = await bob.put(path("rooms", "!nowhere:example.org", "send", "m.room.message", "x"), TEXT)
    assert {found(answer) for answer in (stranger, left, unknown)} == {(403, "M_FORBIDDEN")}
    deep: Any = {}
    for _ in range(150):
        deep = {"x": deep}
    await check(
        alice,
        [
            ("PUT", send, [], 400, "M_BAD_JSON"),
            ("PUT", send, b"nonsense", 400, "M_NOT_JSON"),
            ("PUT", send, b"", 400, "M_NOT_JSON"),
            ("PUT", send, {"x": 1.0}, 400, "M_BAD_JSON"),
            ("PUT", send, b'{"x": 1e3}', 400, "M_BAD_JSON"),
            ("PUT", send, b'{"x": NaN}', 400, "M_NOT_JSON"),
            ("PUT", send, b'{"x": 9007199254740992}', 400, "M_BAD_JSON"),
            ("PUT", send, b'{"x": "\xff"}', 400, "M_NOT_JSON"),
            ("PUT", send, b'{"x": -9007199254740991}', 200, None),
            (
                "PUT",
                path("rooms", room, "send", "m.room.message", "big"),
                {"body": "x" * 66_000},
                413,
                "M_TOO_LARGE",
            ),
            ("PUT", path("rooms", room, "send", "t" * 300, "x"), {}, 413, "M_TOO_LARGE"),
            ("PUT", path("rooms", room, "send", "m.room.redaction", "x"), {}, 400, "M_BAD_JSON"),
            ("PUT", path("rooms", room, "redact", "$nothing", "x"), {}, 404, "M_NOT_FOUND"),
            ("PUT", path("rooms", room, "redact", "$nothing", "x"), {"reason": 5}, 400, "M_BAD_JSON"),
        ],
    )
    odd = {"body": "\x00 \U0001f600 \u2028", "": {"": []}, "n": None, "deep": [[[]]]}
    event_id = await alice.send(room, "org.example/odd type", odd)
    assert (await alice.get(path("rooms", room, "event", event_id))).ok()["content"] == odd


async def test_sending_without_a_transaction_id(alice: Client, bob: Client) -> None:
    """As older clients do: each POST sends or redacts anew."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    await bob.sync()
    sent = [
        (await alice.post(path("rooms", room, "send", "m.room.message"), TEXT)).ok()["event_id"]
        for _ in range(2)
    ]
    assert [event["event_id"] for event in news(await bob.sync(), room)] == sent
    (await alice.post(path("rooms", room, "redact", sent[0]), {"reason": "r"})).ok()
    gone = (await bob.get(path("rooms", room, "event", sent[0]))).ok()
    assert gone["content"] == {} and gone["unsigned"]["redacted_because"]["content"]["reason"] == "r"


@pytest.mark.parametrize("version", ["1", "10", "11", "12"])
async def test_redactions(alice: Client, bob: Client, carol: Client, version: str) -> None:
    """One's own with no power, others' with it; the content is gone everywhere, what the rules need stays."""
    room = await alice.create_room(preset="public_chat", room_version=version)
    await bob.join(room)
    await carol.join(room)
    his, hers, alices = [await user.say(room, "secret") for user in (bob, carol, alice)]
    name = await alice.set_state(room, "m.room.name", {"name": "secret"})
    member = (
        await alice.get(path("rooms", room, "state", "m.room.member", bob.user_id, format="event"))
    ).ok()
    for user in (alice, bob):
        await user.sync()
    (await bob.put(path("rooms", room, "redact", his, "a"), {"reason": "typo"})).ok()
    assert found(await bob.put(path("rooms", room, "redact", hers, "b"))) == (403, "M_FORBIDDEN")
    assert found(await bob.put(path("rooms", room, "redact", name, "c"))) == (403, "M_FORBIDDEN")
    (await alice.put(path("rooms", room, "redact", hers, "d"))).ok()
    (
        await alice.put(
            path("rooms", room, "send", "m.room.redaction", "e"), {"redacts": alices, "reason": "r"}
        )
    ).ok()
    (await alice.put(path("rooms", room, "redact", name, "f"))).ok()
    (await alice.put(path("rooms", room, "redact", member["event_id"], "g"))).ok()

    events = (await carol.get(path("rooms", room, "messages", dir="b", limit=50))).ok()["chunk"]
    by_id = {event["event_id"]: event for event in events}
    for event_id in (his, hers, alices, name):
        assert by_id[event_id]["content"] == {}
        because = by_id[event_id]["unsigned"]["redacted_because"]
        assert because["type"] == "m.room.redaction" and because["room_id"] == room
        assert event_id in (because.get("redacts"), because["content"].get("redacts"))
    assert by_id[his]["unsigned"]["redacted_because"]["content"]["reason"] == "typo"
    assert by_id[member["event_id"]]["content"] == {"membership": "join"}
    assert (await carol.state(room, "m.room.name")).ok() == {}
    assert (await carol.state(room, "m.room.member", bob.user_id)).ok() == {"membership": "join"}
    told = [event for event in news(await bob.sync(), room) if event["type"] == "m.room.redaction"]
    assert len(told) == 5
    assert b"secret" not in (await carol.get(path("rooms", room, "context", his))).body
    assert b"secret" not in (await carol.get("sync")).body
    foreign = await alice.say(await alice.create_room(room_version=version), "x")
    assert found(await alice.put(path("rooms", room, "redact", foreign, "h"))) == (404, "M_NOT_FOUND")


async def test_many_at_once(alice: Client, bob: Client) -> None:
    """A hundred events and state changes at the same moment: each is there once, in one order for everybody."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    levels = (await alice.state(room, "m.room.power_levels")).ok()
    await alice.set_state(room, "m.room.power_levels", levels | {"state_default": 0})
    sent = await asyncio.gather(
        *(user.say(room, f"{number}") for number in range(40) for user in (alice, bob)),
        *(alice.set_state(room, "org.example", {"n": number}) for number in range(10)),
        *(bob.set_state(room, "org.example", {"n": number}) for number in range(10)),
    )
    assert len(set(sent)) == 100
    orders = []
    for user in (alice, bob):
        events = (await user.get(path("rooms", room, "messages", dir="f", limit=500))).ok()["chunk"]
        orders.append([event["event_id"] for event in events])
    assert orders[0] == orders[1] and set(sent) <= set(orders[0]) and len(orders[0]) == len(set(orders[0]))
    states = [event for event in events if event["type"] == "org.example"]
    assert (await alice.state(room, "org.example")).ok() == states[-1]["content"]
    for before, after in itertools.pairwise(states):
        assert after["unsigned"]["replaces_state"] == before["event_id"]
        assert after["unsigned"]["prev_content"] == before["content"]
