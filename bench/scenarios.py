"""What is measured. Each scenario builds what it needs, untimed, and then runs its loops."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp

from bench.client import Client
from bench.measure import Result, loop, times
from bench.server import Target


class World:
    """The server under measurement and how much to ask of it."""

    def __init__(self, target: Target, session: aiohttp.ClientSession, seconds: float, scale: float) -> None:
        self.target = target
        self._session = session
        self.seconds = seconds
        self._scale = scale

    def some(self, count: int) -> int:
        """A number of users, rooms or events, scaled."""
        return max(2, int(count * self._scale))

    async def user(self, *, admin: bool = False) -> Client:
        """A new user."""
        return await Client(self._session, self.target.url).register(admin=admin)

    async def users(self, count: int) -> list[Client]:
        """New users, made eight at a time."""
        gate = asyncio.Semaphore(8)

        async def one() -> Client:
            async with gate:
                return await self.user()

        return list(await asyncio.gather(*(one() for _ in range(count))))

    async def full_room(self, members: list[Client], **options: Any) -> str:
        """A public room that all of them are in; the first one made it."""
        room = await members[0].create_room(preset="public_chat", **options)
        for member in members[1:]:
            await member.join(room)
        return room

    async def loop(self, name: str, operation: Any, clients: int) -> Result:
        """A timed loop."""
        return await loop(self.target, name, operation, clients=clients, seconds=self.seconds)


Results = AsyncIterator[Result]


async def accounts(world: World) -> Results:
    """Registering and logging in, password hashing included."""
    users = await world.users(4)
    yield await world.loop("register c4", lambda _: world.user(), 4)
    yield await world.loop("login c4", lambda number: users[number].login(), 4)


async def rooms(world: World) -> Results:
    """Creating rooms and joining one."""
    users = await world.users(8)
    yield await world.loop(
        "create_room c8", lambda number: users[number].create_room(preset="private_chat"), 8
    )
    room = await world.full_room(users)
    newcomers = await world.users(world.some(100))
    yield await times(world.target, "join", lambda number: newcomers[number].join(room), count=len(newcomers))


async def send(world: World) -> Results:
    """Sending: into one room, into many, and into a big one."""
    users = await world.users(64)
    room = await world.full_room(users)
    for clients in (1, 16, 64):
        yield await world.loop(f"send one room c{clients}", lambda number: users[number].send(room), clients)
    many = [await user.create_room(preset="private_chat") for user in users[:20]]
    for clients in (16, 64):
        yield await world.loop(
            f"send 20 rooms c{clients}",
            lambda number: users[number % 20].send(many[number % 20]),
            clients,
        )


async def fanout(world: World) -> Results:
    """From a send to the answer that 50 waiting clients get."""
    users = await world.users(50)
    room = await world.full_room(users)
    delivered: list[float] = []
    sent_at: dict[str, float] = {}
    stop = asyncio.Event()

    async def follow(user: Client) -> None:
        since = (await user.sync())["next_batch"]
        while not stop.is_set():
            answer = await user.sync(since, 2000)
            since = answer["next_batch"]
            joined = answer.get("rooms", {}).get("join", {}).get(room, {})
            for event in joined.get("timeline", {}).get("events", ()):
                started = sent_at.get(event.get("content", {}).get("body", ""))
                if started is not None:
                    delivered.append(time.monotonic() - started)

    following = [asyncio.create_task(follow(user)) for user in users]
    await asyncio.sleep(1)

    async def one(number: int) -> None:
        text = f"message {number} {time.monotonic()}"
        sent_at[text] = time.monotonic()
        await users[0].send(room, text)

    result = await loop(world.target, "fanout to 50", one, clients=1, seconds=world.seconds)
    await asyncio.sleep(1)
    stop.set()
    await users[0].send(room, "the end")
    for task in following:
        task.cancel()
    await asyncio.gather(*following, return_exceptions=True)
    result.latencies = delivered
    yield result


async def sync(world: World) -> Results:
    """Polls without news, with one event, and the first sync of an account with many rooms."""
    user, other = await world.users(2)
    mine = [await world.full_room([user, other], name=f"room {number}") for number in range(world.some(100))]
    for room in mine:
        for _ in range(5):
            await other.send(room)
    since = [(await user.sync())["next_batch"]]
    yield await world.loop("sync no news c8", lambda _: user.sync(since[0]), 8)

    async def news(_: int) -> None:
        await other.send(mine[0])
        since[0] = (await user.sync(since[0], 1000))["next_batch"]

    yield await world.loop("send + sync one event", news, 1)
    yield await times(
        world.target, f"sync initial {len(mine)} rooms", lambda _: user.sync(), count=world.some(10)
    )


async def reading(world: World) -> Results:
    """History, state and members of a room with many members."""
    users = await world.users(world.some(100))
    room = await world.full_room(users)
    for number in range(world.some(300)):
        await users[number % 4].send(room)
    admin = await world.user(admin=True)
    reads = {
        "messages 100 c4": users[0].in_room(room, "messages?dir=b&limit=100"),
        "state c4": users[0].in_room(room, "state"),
        "joined_members c4": users[0].in_room(room, "joined_members"),
    }
    for name, path in reads.items():
        yield await world.loop(name, lambda number, path=path: users[number].ask("GET", path), 4)
    whois = f"/_matrix/client/v3/admin/whois/{users[0].user_id}"
    yield await world.loop("whois c4", lambda _: admin.ask("GET", whois), 4)


async def keys(world: World) -> Results:
    """Uploading one-time keys, querying devices, claiming keys."""
    users = await world.users(16)
    counter = iter(range(1, 1 << 30))

    async def upload(number: int) -> None:
        fresh = {f"curve25519:k{next(counter)}": "a" * 43 for _ in range(50)}
        await users[number].ask("POST", "/_matrix/client/v3/keys/upload", {"one_time_keys": fresh})

    yield await world.loop("keys upload 50 c4", upload, 4)
    query: Any = {"device_keys": {user.user_id: [] for user in users}}
    yield await world.loop(
        "keys query 16 c4", lambda n: users[n].ask("POST", "/_matrix/client/v3/keys/query", query), 4
    )
    claim = {"one_time_keys": {users[0].user_id: {users[0].device_id: "curve25519"}}}
    yield await world.loop(
        "keys claim c4", lambda n: users[n].ask("POST", "/_matrix/client/v3/keys/claim", claim), 4
    )


async def media(world: World) -> Results:
    """One MiB up and down."""
    user = await world.user()
    content = bytes(range(256)) * 4096
    numbers = iter(range(1 << 30))

    async def upload(_: int) -> Any:
        different = next(numbers).to_bytes(8) + content
        return await user.ask("POST", "/_matrix/media/v3/upload?filename=x.bin", raw=different)

    yield await world.loop("media up 1 MiB c4", upload, 4)
    uri = (await upload(0))["content_uri"].removeprefix("mxc://")
    path = f"/_matrix/client/v1/media/download/{uri}"
    yield await world.loop("media down 1 MiB c4", lambda _: user.ask("GET", path), 4)


SCENARIOS: dict[str, Callable[[World], Results]] = {
    "accounts": accounts,
    "rooms": rooms,
    "send": send,
    "fanout": fanout,
    "sync": sync,
    "reading": reading,
    "keys": keys,
    "media": media,
}
