"""Two servers that talk to one another, and one of them is killed: what was acknowledged is on both, once."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
import pytest_asyncio

from tests.support.authority import Authority
from tests.support.chamberlain import Chamberlain
from tests.support.door import Door
from tests.support.neighbors import PATIENCE, Neighbor, Person, agree, join_path, shared_room
from tests.support.postgres import Postgres
from tests.support.server import path

pytestmark = pytest.mark.asyncio(loop_scope="module")

BETWEEN_KILLS = 30
"""So many acknowledgements at least, and up to twice as many."""
WORKERS = 2
AGAIN_SECONDS = 0.02
"""Between two attempts to reach a server that is away."""
LOG_CHARACTERS = 20_000
_numbers = itertools.count(1)


class Talker:
    """Says one thing after the other, each until it is acknowledged, and writes down that it was."""

    def __init__(self, person: Person, other: Person, room: str, dice: random.Random) -> None:
        self.person = person
        self.other = other
        self.room = room
        self.said: dict[str, str] = {}
        """Texts of messages, and their event ids."""
        self.told: list[str] = []
        """What the other's device was told."""
        self.states: list[str] = []
        self._dice = dice

    def acknowledged(self) -> list[str]:
        """All events of which the server has said that they are sent."""
        return [*self.said.values(), *self.states]

    async def talk(self, done: Callable[[], None]) -> None:
        """Go on until cancelled, and call `done` after each acknowledgement."""
        for number in itertools.count():
            await self._say(number)
            done()
            if number % 3 == 0:
                await self._tell(number)
                done()
            if number % 5 == 0:
                await self._decide(number)
                done()
            await asyncio.sleep(self._dice.random() * AGAIN_SECONDS)

    async def _say(self, number: int) -> None:
        body = f"{self.person.user_id} {number}"
        target = path("rooms", self.room, "send", "m.room.message", f"say{number}")
        answer = await insist(self.person, target, {"msgtype": "m.text", "body": body})
        self.said[body] = answer["event_id"]

    async def _tell(self, number: int) -> None:
        name = f"{self.person.user_id} {number}"
        messages = {self.other.user_id: {self.other.device_id: {"name": name}}}
        await insist(self.person, path("sendToDevice", "test.told", f"tell{number}"), {"messages": messages})
        self.told.append(name)

    async def _decide(self, number: int) -> None:
        """Change what only this user changes, or what both do."""
        kind, key = self._dice.choice([("m.room.topic", ""), ("test.mine", self.person.user_id)])
        content = {"topic": f"{self.person.user_id} {number}"}
        answer = await insist(self.person, path("rooms", self.room, "state", kind, key), content)
        self.states.append(answer["event_id"])


async def insist(person: Person, target: str, body: Any) -> Any:
    """PUT until there is an answer, which must be good."""
    while True:
        try:
            return (await person.put(target, body)).ok()
        except (aiohttp.ClientError, TimeoutError):
            await asyncio.sleep(AGAIN_SECONDS)


async def ask(person: Person, target: str) -> None:
    """POST to a server that may die over it."""
    with suppress(aiohttp.ClientError):
        await person.post(target)


async def listen(person: Person) -> None:
    """Follow what comes until cancelled, whatever happens to the server."""
    while True:
        try:
            await person.turn(1_000)
        except (aiohttp.ClientError, TimeoutError):
            await asyncio.sleep(AGAIN_SECONDS)


class Conversation:
    """Two users in a room who talk and listen while their servers come and go."""

    def __init__(self, ada: Person, ben: Person, room: str, seed: int) -> None:
        self.dice = random.Random(seed)
        self.room = room
        self.talkers = (
            Talker(ada, ben, room, random.Random(seed + 1)),
            Talker(ben, ada, room, random.Random(seed + 2)),
        )
        self._done = 0
        self._changed = asyncio.Event()

    def _count(self) -> None:
        self._done += 1
        self._changed.set()

    async def go_on(self) -> None:
        """Return after a random number of acknowledgements."""
        goal = self._done + self.dice.randrange(BETWEEN_KILLS, 2 * BETWEEN_KILLS)
        async with asyncio.timeout(PATIENCE):
            while self._done < goal:
                self._changed.clear()
                await self._changed.wait()

    async def during(self, what: Callable[[], Awaitable[None]]) -> None:
        """Do something while both talk and listen."""
        async with asyncio.TaskGroup() as group:
            talks = [group.create_task(talker.talk(self._count)) for talker in self.talkers]
            listens = [group.create_task(listen(talker.person)) for talker in self.talkers]
            await what()
            for task in (*talks, *listens):
                task.cancel()

    async def check(self) -> None:
        """Everything acknowledged has come to both, once; their servers agree, and go on."""
        ada, ben = (talker.person for talker in self.talkers)
        acknowledged = {event_id for talker in self.talkers for event_id in talker.acknowledged()}
        for reader, teller in ((ada, self.talkers[1]), (ben, self.talkers[0])):
            await hear(reader, self.room, acknowledged)
            await reader.until(lambda reader=reader, teller=teller: len(reader.to_device) >= len(teller.told))
            told = Counter(event["content"]["name"] for event in reader.to_device)
            assert told == Counter(teller.told)
        await agree(self.room, ada, ben)
        for reader in (ada, ben):
            await self._check_timeline(reader)
        for speaker, reader in ((ada, ben), (ben, ada)):
            await reader.sees(self.room, await speaker.say(self.room, "and on it goes"))

    async def _check_timeline(self, reader: Person) -> None:
        synced = Counter(event["event_id"] for event in reader.room(self.room).timeline)
        paged = Counter(event["event_id"] for event in await reader.history(self.room))
        bodies = Counter(reader.room(self.room).bodies())
        assert set(synced.values()) == set(paged.values()) == {1}
        assert synced.keys() <= paged.keys()
        for talker in self.talkers:
            assert [event_id for event_id in talker.acknowledged() if synced[event_id] != 1] == []
            assert [body for body in talker.said if bodies[body] != 1] == []


async def hear(reader: Person, room: str, event_ids: set[str]) -> None:
    """Follow the room until all these events have come."""
    missing = set(event_ids)
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while True:
        await reader.fill_gaps(room)
        missing -= {event["event_id"] for event in reader.room(room).timeline}
        if not missing:
            return
        assert asyncio.get_running_loop().time() < deadline, f"{reader.user_id} did not hear of {missing}"
        await reader.turn(1_000)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who vouches for all servers."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """Connections, none of which outlives its request."""
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    async with aiohttp.ClientSession(connector=connector) as opened:
        yield opened


class Pair(NamedTuple):
    """Two servers, and how many processes the other one is."""

    near: Chamberlain
    far: Chamberlain
    workers: int


class Hidden(NamedTuple):
    """A server and the door in front of it."""

    program: Chamberlain
    door: Door


@contextmanager
def running(*programs: Chamberlain) -> Iterator[None]:
    """Have them run; what they logged stands in the report of a test that failed."""
    try:
        for program in programs:
            program.start()
        yield
    finally:
        for program in programs:
            program.kill()
            print(f"--- {program.name}\n{program.log()[-LOG_CHARACTERS:]}")


async def restart(program: Chamberlain) -> None:
    """Start it again, while everything else goes on."""
    await asyncio.to_thread(program.start)


async def people(session: aiohttp.ClientSession, *programs: Chamberlain) -> list[Person]:
    """A new user on each."""
    found = []
    for program in programs:
        person = await Neighbor(program, session).register(f"user{next(_numbers)}")
        assert isinstance(person, Person)
        found.append(person)
    return found


async def equals_room(ada: Person, ben: Person) -> str:
    """A room with both, in which both may change the state."""
    levels = {"state_default": 0, "events": {"m.room.topic": 0}}
    room = await shared_room(ada, ben, power_level_content_override=levels)
    for person in (ada, ben):
        await person.turn()
    return room


@pytest.fixture(params=["sqlite", "postgres"])
def pair(request: pytest.FixtureRequest, tmp_path: Path, authority: Authority) -> Iterator[Pair]:
    """A server on SQLite, and another one, which may be two workers on PostgreSQL."""
    options: tuple[str, ...] = ()
    if request.param == "postgres":
        postgres: Postgres = request.getfixturevalue("postgres")
        options = ("--database", postgres.new_database(), "--workers", str(WORKERS))
    for name in ("near", "far"):
        (tmp_path / name).mkdir()
    near = Chamberlain(tmp_path / "near", authority, "localhost")
    far = Chamberlain(tmp_path / "far", authority, "127.0.0.1", *options)
    with running(near, far):
        yield Pair(near, far, WORKERS if options else 1)


async def test_what_was_acknowledged_outlasts_kills_on_either_side(
    pair: Pair, session: aiohttp.ClientSession
) -> None:
    """Messages, state and messages to devices, while servers and workers are killed at random moments."""
    near, far, workers = pair
    ada, ben = await people(session, near, far)
    conversation = Conversation(ada, ben, await equals_room(ada, ben), seed=7)

    async def kill() -> None:
        await conversation.go_on()
        if workers > 1:
            far.kill_worker(conversation.dice.randrange(1, workers + 1))
            await conversation.go_on()
        for victim in (far, near):
            victim.kill()
            await restart(victim)
            await conversation.go_on()

    await conversation.during(kill)
    await conversation.check()
    for program in (near, far):
        assert "[error" not in program.log().replace("[error    ] a worker ended", "")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def doors(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, session: aiohttp.ClientSession
) -> AsyncIterator[tuple[Hidden, Hidden]]:
    """Two servers that reach one another by doors."""
    hidden = []
    for name in ("near", "far"):
        program = Chamberlain(tmp_path_factory.mktemp(name), authority, "127.0.0.1", has_door=True)
        door = Door(program, session)
        await door.open(authority)
        hidden.append(Hidden(program, door))
    with running(*(server.program for server in hidden)):
        yield hidden[0], hidden[1]
    for server in hidden:
        await server.door.close()


@pytest.mark.parametrize("delay", [None, 0.0, 0.01, 0.04])
async def test_killed_while_entering_a_room(
    doors: tuple[Hidden, Hidden], session: aiohttp.ClientSession, delay: float | None
) -> None:
    """Before the answer to send_join has come (None), or soon afterwards; who asks again is in the room."""
    near, far = doors
    ada, ben = await people(session, near.program, far.program)
    room = await ada.create_room(preset="public_chat")
    said = [await ada.say(room, f"before {number}") for number in range(5)]
    died = asyncio.Event()

    async def die() -> None:
        far.program.kill()
        died.set()

    async def die_soon() -> None:
        asyncio.get_running_loop().call_later(delay or 0.0, lambda: tasks.create_task(die()))

    async with asyncio.TaskGroup() as tasks:
        near.door.answered[b"/send_join/"] = die if delay is None else die_soon
        joining = tasks.create_task(ask(ben, join_path(room, near.program.name)))
        await died.wait()
        await joining
    await restart(far.program)
    (await ben.post(join_path(room, near.program.name))).ok()

    said.append(await ada.say(room, "after"))
    said.append(await ben.say(room, "here I am"))
    for person in (ada, ben):
        await hear(person, room, set(said[-2:]))
    assert set(said) <= {event["event_id"] for event in await ben.history(room)}
    await agree(room, ada, ben)


async def test_killed_with_events_that_wait_to_be_worked_off(
    doors: tuple[Hidden, Hidden], session: aiohttp.ClientSession
) -> None:
    """The server has said that it has them, and dies: it still has them after its next start."""
    near, far = doors
    ada, ben = await people(session, near.program, far.program)
    room = await equals_room(ada, ben)
    far.program.kill()
    said = {await ada.say(room, f"nobody hears {number}") for number in range(49)}
    await restart(far.program)

    async def die() -> None:
        far.program.kill()
        died.set()

    died = asyncio.Event()
    far.door.answered[b"nobody hears"] = die
    said.add(await ben.say(room, "I am back"))
    await asyncio.wait_for(died.wait(), PATIENCE)
    await restart(far.program)
    await hear(ben, room, said)
    await hear(ada, room, said)
    assert set(Counter(event["event_id"] for event in await ben.history(room)).values()) == {1}
    await agree(room, ada, ben)


@pytest.mark.parametrize("moment", ["asked", "answered"])
async def test_killed_with_a_transaction_under_way(
    doors: tuple[Hidden, Hidden], session: aiohttp.ClientSession, moment: str
) -> None:
    """The sender dies before it hears that the other server has it, and sends it once more: nothing is there twice."""
    near, far = doors
    ada, ben = await people(session, near.program, far.program)
    room = await equals_room(ada, ben)
    died = asyncio.Event()

    async def die() -> None:
        near.program.kill()
        died.set()

    messages = {"messages": {ben.user_id: {ben.device_id: {"name": "once"}}}}
    getattr(far.door, moment)[b"test.told"] = die
    (await ada.put(path("sendToDevice", "test.told", "once"), messages)).ok()
    await asyncio.wait_for(died.wait(), PATIENCE)
    await restart(near.program)
    getattr(far.door, moment)[b"m.room.message"] = die
    died.clear()
    said = {await ada.say(room, "once")}
    await asyncio.wait_for(died.wait(), PATIENCE)
    await restart(near.program)
    said.add(await ada.say(room, "and on it goes"))
    await hear(ben, room, said)
    assert set(Counter(event["event_id"] for event in await ben.history(room)).values()) == {1}
    assert [event["content"]["name"] for event in ben.to_device] == ["once"]
    await agree(room, ada, ben)
