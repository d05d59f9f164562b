"""What a scenario works with: the hand-made servers, one server under test, and the figures."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import quote

import msgspec

from bench.client import Api, Refused, User
from bench.federation.targets import NAME
from bench.processes import cpu_seconds
from bench.target import Target
from chamberlain.matrix.events import Event
from tests.support.peer import Peer
from tests.support.peer_room import PeerRoom

CLIENT = "/_matrix/client/v3"
WINDOW = 50
PATIENCE = 1800.0
"""Seconds that anything may take."""


class Figure(msgspec.Struct, frozen=True):
    """Something measured. `is_cost`: less is better."""

    name: str
    unit: str
    value: float
    is_cost: bool = True


class Side:
    """One server under test, with a user who sees what arrives."""

    def __init__(self, name: str, target: Target, api: Api, user: User, peers: Sequence[Peer]) -> None:
        self.name = name
        self.target = target
        self.api = api
        self.user = user
        self.peers = peers
        self.figures: list[Figure] = []

    def note(self, name: str, unit: str, value: float, *, is_cost: bool = True) -> None:
        """Keep and print a figure."""
        self.figures.append(Figure(name, unit, value, is_cost))
        print(f"{self.name:12} {name:64} {value:12.2f} {unit}", flush=True)

    def adopt(self, room: PeerRoom) -> PeerRoom:
        """A copy of the room, which all peers serve from now on."""
        mine = room.copy()
        for peer in self.peers:
            peer.rooms[mine.room_id] = mine
        return mine

    async def join(self, room: PeerRoom) -> None:
        """Have our user join."""
        server = quote(room.creator.partition(":")[2], safe="")
        path = f"{CLIENT}/join/{part(room.room_id)}?server_name={server}&via={server}"
        await self.api.call("POST", path, self.user, {})

    async def enter(self, room: PeerRoom) -> PeerRoom:
        """Have our user join a copy of the room, and give the copy."""
        mine = self.adopt(room)
        await self.join(mine)
        return mine

    async def feed(self, peer: Peer, events: Sequence[Event], batch: int) -> None:
        """Have the peer send these, one transaction after the other, but never more than `WINDOW` ahead.

        Synapse throws away what has queued up in a room beyond some hundred, to fetch it in another way some time.
        """
        for start in range(0, len(events), batch):
            if start >= WINDOW and start % WINDOW == 0:
                await self.see(events[start - WINDOW])
            answer = await peer.send(NAME, events[start : start + batch])
            found = msgspec.json.decode(answer.body)
            if answer.status != 200 or any(result.get("error") for result in found["pdus"].values()):
                raise Refused(f"/send: {answer.status} {answer.body[:300]!r}")

    async def see(self, event: Event) -> None:
        """Return when our user can read the event."""
        pause = 0.005
        async with asyncio.timeout(PATIENCE):
            while not await self.sees(event):
                await asyncio.sleep(pause)
                pause = min(2 * pause, 0.1)

    async def sees(self, event: Event) -> bool:
        """Whether our user can read the event."""
        path = f"{CLIENT}/rooms/{part(event.room_id)}/event/{part(event.event_id)}"
        try:
            await self.api.call("GET", path, self.user)
        except Refused:
            return False
        return True

    async def measure(self, work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
        """The seconds that the work took, and the CPU seconds of the server until it was at rest again."""
        await self.rest()
        used, began = cpu_seconds(self.target.pids), time.perf_counter()
        await work()
        elapsed = time.perf_counter() - began
        await self.rest()
        return elapsed, cpu_seconds(self.target.pids) - used

    async def rest(self) -> None:
        """Return when the server does next to nothing."""
        async with asyncio.timeout(PATIENCE):
            before = cpu_seconds(self.target.pids)
            while True:
                await asyncio.sleep(1)
                now = cpu_seconds(self.target.pids)
                if now - before <= 0.05:
                    return
                before = now


def part(text: str) -> str:
    """Percent-encode a whole path part."""
    return quote(text, safe="")
