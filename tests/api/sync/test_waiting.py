"""Long polls of /sync: woken at once, ended at once, free while nothing happens."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from chamberlain.store.database import Database
from tests.support.asgi import Exchange, begin
from tests.support.clock import FakeClock
from tests.support.server import Client, Server


def poll(client: Client, *, timeout_ms: int = 30_000, **query: Any) -> Exchange:
    """Begin to wait for news."""
    text = urlencode({"since": client.since, "timeout": timeout_ms, **query})
    headers = {"Authorization": f"Bearer {client.token}"}
    return begin(client.server.app.asgi, "GET", f"/_matrix/client/v3/sync?{text}", headers)


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def a_room(*clients: Client) -> str:
    """A room of these, all of whom have synced until nothing was left."""
    room = await clients[0].create_room(preset="public_chat")
    for other in clients[1:]:
        await other.join(room)
    for client in clients:
        await client.sync()
        await client.sync()
        await client.sync()
    return room


@contextmanager
def counted(db: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The store functions that are run meanwhile."""
    ran: list[str] = []
    with monkeypatch.context() as patch:
        for name in ("read", "snapshot", "write", "write_batch"):
            patch.setattr(type(db), name, _noting(getattr(type(db), name), ran))
        yield ran


def _noting(method: Callable[..., Awaitable[Any]], ran: list[str]) -> Callable[..., Awaitable[Any]]:
    async def call(self: Database, fn: Any, *args: Any, **kwargs: Any) -> Any:
        ran.append(f"{fn.__module__}.{fn.__name__}")
        return await method(self, fn, *args, **kwargs)

    return call


async def test_a_message_ends_the_waiting_at_once(alice: Client, bob: Client) -> None:
    """No time passes between the message and the answer of who waits."""
    room = await a_room(alice, bob)
    waiting = poll(bob)
    await settle()
    assert not waiting.task.done()
    await alice.say(room, "hello")
    answer = (await waiting.answer()).ok()

    assert answer["rooms"]["join"][room]["timeline"]["events"][0]["content"]["body"] == "hello"


async def test_each_kind_of_news_ends_the_waiting(alice: Client, bob: Client, server: Server) -> None:
    """Typing, receipts, account data, to-device messages, invitations and keys wake who waits."""
    room = await a_room(alice, bob)
    event_id = await alice.say(room, "hello")
    message = {"messages": {bob.user_id: {bob.device_id: {}}}}
    for news in (
        lambda: alice.put(f"rooms/{room}/typing/{alice.user_id}", {"typing": True, "timeout": 20_000}),
        lambda: alice.post(f"rooms/{room}/receipt/m.read/{quote(event_id)}"),
        lambda: bob.put(f"user/{bob.user_id}/account_data/org.example.a", {"a": 1}),
        lambda: bob.put(f"user/{bob.user_id}/rooms/{room}/tags/u.a", {}),
        lambda: alice.put("sendToDevice/org.example.b/t1", message),
        lambda: alice.create_room(invite=[bob.user_id]),
        lambda: server.login("alice"),
        lambda: bob.post("keys/upload", {"one_time_keys": {"signed_curve25519:A": {"key": "A"}}}),
        lambda: alice.put(f"presence/{alice.user_id}/status", {"presence": "unavailable"}),
    ):
        while set(await bob.sync()) & {"rooms", "to_device", "account_data", "presence", "device_lists"}:
            pass
        waiting = poll(bob)
        await settle()
        assert not waiting.task.done()
        await news()
        bob.since = (await waiting.answer()).ok()["next_batch"]


async def test_time_is_up(alice: Client, clock: FakeClock) -> None:
    """Without news the answer comes when the client wanted it, and is nearly empty."""
    await a_room(alice)
    waiting = poll(alice, timeout_ms=5_000)
    await settle()
    await clock.advance(4.9)
    assert not waiting.task.done()
    await clock.advance(0.2)

    assert set((await waiting.answer()).ok()) == {
        "next_batch",
        "device_one_time_keys_count",
        "device_unused_fallback_key_types",
    }


async def test_what_concerns_nobody_does_not_end_the_waiting(
    alice: Client, bob: Client, carol: Client
) -> None:
    """News of other rooms, other devices and what the filter drops leave a client waiting."""
    room = await a_room(alice, bob)
    waiting = poll(bob, filter='{"room":{"timeline":{"not_types":["org.example.noise"]}}}')
    await settle()
    other = await carol.create_room()
    await carol.say(other, "elsewhere")
    await alice.send(room, "org.example.noise", {})
    await settle()
    assert not waiting.task.done()
    await alice.say(room, "hello")

    part = (await waiting.answer()).ok()["rooms"]["join"][room]
    assert [event["type"] for event in part["timeline"]["events"]] == ["m.room.message"]


async def test_logging_out_ends_the_waiting(alice: Client, server: Server) -> None:
    """A token that dies while its client waits is refused then and there; those of other devices are not."""
    await a_room(alice)
    other = await server.login("alice")
    for client in (alice, other, alice, other):
        await client.sync()
    mine, theirs = poll(alice), poll(other)
    await settle()
    assert not mine.task.done() and not theirs.task.done()
    (await alice.post("logout")).ok()

    (await mine.answer()).error(401, "M_UNKNOWN_TOKEN")
    assert (await theirs.answer()).ok()["device_lists"]["changed"] == [alice.user_id]


async def test_the_server_answers_who_waits_when_it_stops(alice: Client, server: Server) -> None:
    """A shutdown ends every wait with an answer that the client can go on from."""
    await a_room(alice)
    waiting = poll(alice)
    await settle()
    server.app.services.shutdown.set()

    assert (await waiting.answer()).ok()["next_batch"]


async def test_who_hangs_up_leaves_nothing_behind(alice: Client, server: Server) -> None:
    """A client that goes away is no longer waited for."""
    await a_room(alice)
    waiting = poll(alice)
    await settle()
    interest = server.app.services.sync.waiting.find(alice.user_id)
    assert interest is not None and len(interest.waiters) == 1
    waiting.hang_up()
    await waiting.task

    assert not interest.waiters


async def test_idle_polls_ask_no_database(
    alice: Client, bob: Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A poll without news, with or without waiting, runs no query."""
    await a_room(alice, bob)
    with counted(server.app.services.db, monkeypatch) as ran:
        await alice.sync()
        waiting = poll(alice, timeout_ms=10)
        await settle()
        waiting.hang_up()
        await waiting.task

    assert ran == []


async def test_a_message_to_many_costs_no_query_for_each(
    server: Server, alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits gets a message without the database being asked."""
    others = [await server.register(f"u{number}") for number in range(5)]
    room = await a_room(alice, *others)
    await alice.say(room, "warm")
    for other in others:
        await other.sync()
    waiting = [poll(other) for other in others]
    await settle()
    with counted(server.app.services.db, monkeypatch) as ran:
        await alice.say(room, "hello")
        answers = [(await one.answer()).ok() for one in waiting]

    assert all(room in answer["rooms"]["join"] for answer in answers)
    assert [
        name for name in ran if "pipeline" not in name and "commit" not in name and "find_by_txn" not in name
    ] == []


async def test_a_token_that_is_ahead_is_waited_for(alice: Client, clock: FakeClock) -> None:
    """A token from a worker that knows more is answered when this one has caught up, or after a while."""
    room = await a_room(alice)
    assert alice.since is not None
    start, position, rest = alice.since.split("_")
    alice.since = f"{start}_{int(position) + 1}_{rest}"
    waiting = poll(alice, timeout_ms=0)
    await settle()
    assert not waiting.task.done()
    await alice.say(room, "catching up")

    assert (await waiting.answer()).ok()["next_batch"]
