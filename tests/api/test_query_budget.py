"""How many statements the hot paths may send to the database."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.support.server import Client, Server, test_config
from tests.support.statements import Statements, counted

TRANSACTION = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")
TRIES = 5


@pytest.fixture
def statements() -> Iterator[Statements]:
    """What the server asks its database."""
    with counted() as found:
        yield found


@pytest.fixture
async def server(tmp_path: Path, database_url: str, statements: Statements) -> AsyncIterator[Server]:
    """A server on each database."""
    running = await Server.start(test_config(tmp_path, database_url))
    yield running
    await running.stop()


async def cost(statements: Statements, work: Callable[[], Awaitable[object]]) -> list[str]:
    """The statements of the cheapest of several runs, after one that fills the caches."""
    await work()
    runs = []
    for _ in range(TRIES):
        statements.taken()
        await work()
        runs.append([sql for sql in statements.taken() if not sql.startswith(TRANSACTION)])
    return min(runs, key=len)


async def crowd(server: Server, room: str, count: int) -> None:
    """Let so many more users join."""
    for number in range(count):
        await (await server.register(f"member{number}")).join(room)


async def test_sending_costs_a_handful(statements: Statements, alice: Client) -> None:
    """A message in a room that was used before."""
    room = await alice.create_room(preset="public_chat")

    spent = await cost(statements, lambda: alice.say(room, "hello"))

    assert len(spent) <= 7, spent
    assert sum(sql.startswith("SELECT") for sql in spent) <= 2, spent


async def test_sending_costs_the_same_in_a_crowd(
    server: Server, statements: Statements, alice: Client
) -> None:
    """The number of members is not in it."""
    room = await alice.create_room(preset="public_chat")

    async def least() -> int:
        """Of several tries: what the newcomers' devices give to do goes on in the background."""
        return min([len(await cost(statements, lambda: alice.say(room, "hello"))) for _ in range(5)])

    alone = await least()
    await crowd(server, room, 30)

    assert await least() <= alone + 1


async def test_a_sync_without_news_costs_nothing(statements: Statements, alice: Client, bob: Client) -> None:
    """Neither at once nor after waiting."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    await bob.sync()
    await bob.sync()

    assert await cost(statements, bob.sync) == []
    assert await cost(statements, lambda: bob.sync(timeout_ms=5)) == []


async def test_a_sync_with_one_event_costs_next_to_nothing(
    statements: Statements, alice: Client, bob: Client
) -> None:
    """An event that came a moment ago."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    await bob.sync()

    async def work() -> None:
        await alice.say(room, "hello")
        statements.taken()
        answer = await bob.sync()
        assert len(answer["rooms"]["join"][room]["timeline"]["events"]) == 1

    assert len(await cost(statements, work)) <= 1


async def test_a_first_sync_costs_the_same_in_a_crowd(
    server: Server, statements: Statements, alice: Client
) -> None:
    """As many statements for a room of thirty as for a room of one, and few for each more room."""

    async def first_sync() -> None:
        alice.since = None
        await alice.sync()

    room = await alice.create_room(preset="public_chat")
    alone = len(await cost(statements, first_sync))
    await crowd(server, room, 30)
    crowded = len(await cost(statements, first_sync))
    for _ in range(10):
        await alice.create_room()

    assert alone <= 28
    assert crowded <= alone + 2
    assert len(await cost(statements, first_sync)) <= crowded + 10 * 4


async def test_reading_costs_a_handful(statements: Statements, alice: Client) -> None:
    """A page of messages, the state, the members, who one is."""
    room = await alice.create_room(preset="public_chat")
    for number in range(20):
        await alice.say(room, f"hello {number}")
    targets = {
        f"rooms/{room}/messages?dir=b&limit=20": 10,
        f"rooms/{room}/state": 4,
        f"rooms/{room}/members": 4,
        f"rooms/{room}/joined_members": 4,
        "account/whoami": 0,
        "joined_rooms": 1,
    }

    spent = {target: len(await cost(statements, lambda t=target: alice.get(t))) for target in targets}

    assert {target: count for target, count in spent.items() if count > targets[target]} == {}
