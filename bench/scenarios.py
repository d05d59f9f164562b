"""What is measured. Each scenario makes its own users and rooms, which are not timed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from bench.client import Api, User
from bench.load import Meter

Scenario = Callable[[Api, Meter, float], Awaitable[None]]
CLIENT = "/_matrix/client/v3"


def part(text: str) -> str:
    """Percent-encode a whole path part."""
    return quote(text, safe="")


async def users(api: Api, count: int) -> list[User]:
    """Register users, a few at a time."""
    gate = asyncio.Semaphore(8)

    async def one() -> User:
        async with gate:
            return await api.register()

    return await asyncio.gather(*(one() for _ in range(count)))


async def room_of(api: Api, members: list[User]) -> str:
    """Make a public room that all of them are in."""
    room = await api.create_room(members[0], preset="public_chat")
    for start in range(1, len(members), 16):
        await asyncio.gather(*(api.join(user, room) for user in members[start : start + 16]))
    return room


async def register(api: Api, meter: Meter, scale: float) -> None:
    """Registration and login, password hash included."""
    await meter.loop("register c4", lambda _: api.register(), workers=4)
    user = await api.register("a password")
    body = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": user.user_id},
        "password": "a password",
    }
    await meter.loop("login c4", lambda _: api.call("POST", f"{CLIENT}/login", None, body), workers=4)


async def create_room(api: Api, meter: Meter, scale: float) -> None:
    """New rooms."""
    creators = await users(api, 8)
    await meter.loop(
        "create_room c8",
        lambda n: api.create_room(creators[n % 8], name=f"Room {n}", preset="private_chat"),
        workers=8,
    )


async def join(api: Api, meter: Meter, scale: float) -> None:
    """Joins of one public room."""
    members = await users(api, int(200 * scale))
    room = await api.create_room(members[0], preset="public_chat")
    await meter.loop("join c8", lambda n: api.join(members[n + 1], room), workers=8, count=len(members) - 1)


async def send(api: Api, meter: Meter, scale: float) -> None:
    """Messages to one room and to twenty."""
    senders = await users(api, 20)
    room = await room_of(api, senders)
    for workers in (1, 16, 64):
        await meter.loop(
            f"send one room c{workers}",
            lambda n: api.send(senders[n % 20], room, f"hello {n}"),
            workers=workers,
        )
    rooms = [await api.create_room(sender) for sender in senders]
    for workers in (16, 64):
        await meter.loop(
            f"send 20 rooms c{workers}",
            lambda n: api.send(senders[n % 20], rooms[n % 20], f"hello {n}"),
            workers=workers,
        )


async def fanout(api: Api, meter: Meter, scale: float) -> None:
    """One message to fifty waiting clients, in a room of two hundred."""
    members = await users(api, int(200 * scale))
    room = await room_of(api, members)
    waiting = members[:50]
    tokens = {user.user_id: (await api.sync(user))["next_batch"] for user in waiting}

    async def receive(user: User) -> None:
        answer = await api.sync(user, tokens[user.user_id], 30_000)
        tokens[user.user_id] = answer["next_batch"]
        if room not in answer.get("rooms", {}).get("join", {}):
            raise AssertionError("a waiting client was woken without its message")

    async def once(number: int) -> None:
        receivers = [asyncio.ensure_future(receive(user)) for user in waiting]
        await asyncio.sleep(0)
        await api.send(members[-1], room, f"to all {number}")
        await asyncio.gather(*receivers)

    await meter.loop("fanout to 50", once, count=30)


async def sync(api: Api, meter: Meter, scale: float) -> None:
    """Incremental syncs without news and with one event; initial syncs of many rooms."""
    user, other = await users(api, 2)
    rooms = []
    for _ in range(int(100 * scale)):
        room = await room_of(api, [user, other])
        rooms.append(room)
        for number in range(20):
            await api.send(other, room, f"message {number}")
    await meter.loop("sync initial", lambda _: api.sync(user), count=10)
    token = (await api.sync(user))["next_batch"]
    await meter.loop("sync no news", lambda _: api.sync(user, token))

    async def one_event(number: int) -> None:
        nonlocal token
        await api.send(other, rooms[number % len(rooms)], f"news {number}")
        token = (await api.sync(user, token))["next_batch"]

    await meter.loop("send and sync one event", one_event)


async def reading(api: Api, meter: Meter, scale: float) -> None:
    """Pages of history, state, members."""
    members = await users(api, int(200 * scale))
    room = await room_of(api, members)
    for number in range(int(1_000 * scale)):
        await api.send(members[number % len(members)], room, f"message {number}")
    base, user = f"{CLIENT}/rooms/{part(room)}", members[0]
    pages = [""]

    async def page(_: int) -> None:
        answer = await api.call("GET", f"{base}/messages?dir=b&limit=100{pages[0]}", user)
        pages[0] = f"&from={answer['end']}" if "end" in answer else ""

    await meter.loop("messages, 100 a page c4", page, workers=4)
    await meter.loop("state c4", lambda _: api.call("GET", f"{base}/state", user), workers=4)
    await meter.loop(
        "joined_members c4", lambda _: api.call("GET", f"{base}/joined_members", user), workers=4
    )


async def admin(api: Api, meter: Meter, scale: float) -> None:
    """Reading calls of the administration API."""
    root = await api.register(admin=True)
    user = await api.register()
    whois = f"{CLIENT}/admin/whois/{part(user.user_id)}"
    await meter.loop("whois c4", lambda _: api.call("GET", whois, root), workers=4)
    for name, path in (("user list", "/_synapse/admin/v2/users"), ("room list", "/_synapse/admin/v1/rooms")):
        await meter.loop(f"{name} c4", lambda _, path=path: api.call("GET", path, root), workers=4)


async def keys(api: Api, meter: Meter, scale: float) -> None:
    """One-time keys up, device keys asked for, one-time keys claimed."""
    owners = await users(api, 100)
    for owner in owners:
        device_keys = {
            "user_id": owner.user_id,
            "device_id": owner.device_id,
            "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
            "keys": {f"curve25519:{owner.device_id}": "A" * 43, f"ed25519:{owner.device_id}": "B" * 43},
            "signatures": {owner.user_id: {f"ed25519:{owner.device_id}": "C" * 86}},
        }
        await api.call("POST", f"{CLIENT}/keys/upload", owner, {"device_keys": device_keys})

    def fifty(owner: User, batch: int) -> dict[str, Any]:
        signature = {owner.user_id: {f"ed25519:{owner.device_id}": "D" * 86}}
        return {
            "one_time_keys": {
                f"signed_curve25519:{batch}x{n}": {"key": "E" * 43, "signatures": signature}
                for n in range(50)
            }
        }

    await meter.loop(
        "keys upload 50",
        lambda n: api.call("POST", f"{CLIENT}/keys/upload", owners[n % 100], fifty(owners[n % 100], n)),
    )
    query = {"device_keys": {owner.user_id: [] for owner in owners}}
    await meter.loop("keys query 100", lambda _: api.call("POST", f"{CLIENT}/keys/query", owners[0], query))
    claims = [{"one_time_keys": {owner.user_id: {owner.device_id: "signed_curve25519"}}} for owner in owners]
    await meter.loop(
        "keys claim",
        lambda n: api.call("POST", f"{CLIENT}/keys/claim", owners[0], claims[n % 100]),
        count=500,
    )


async def media(api: Api, meter: Meter, scale: float) -> None:
    """One MiB up and down."""
    user = await api.register()
    blob = bytes(range(256)) * 4096
    uploaded: list[str] = []

    async def upload(number: int) -> None:
        data = number.to_bytes(8, "big") + blob
        answer = await api.call("POST", "/_matrix/media/v3/upload?filename=x.bin", user, data=data)
        uploaded.append(answer["content_uri"].removeprefix("mxc://"))

    await meter.loop("media up 1 MiB c4", upload, workers=4)
    await meter.loop(
        "media down 1 MiB c4",
        lambda n: api.call("GET", f"/_matrix/client/v1/media/download/{uploaded[n % len(uploaded)]}", user),
        workers=4,
    )


SCENARIOS: dict[str, Scenario] = {
    "register": register,
    "create_room": create_room,
    "join": join,
    "send": send,
    "fanout": fanout,
    "sync": sync,
    "reading": reading,
    "admin": admin,
    "keys": keys,
    "media": media,
}
