"""Some servers that share a room over a rough wire, for tests of what they agree upon in the end."""

import asyncio
from pathlib import Path
from typing import Any

from tests.support.asgi import Answer
from tests.support.clock import FakeClock
from tests.support.rng import SeededRng
from tests.support.rough_wire import RoughWire
from tests.support.server import Client, path
from tests.support.tables import select

VISITS = 3
"""So often the third server may come anew."""
REFUSALS = {400, 403, 404, 429, 502, 504}
"""What a client may get for trying what is not allowed, or what needs a server that cannot be reached."""

ROUNDS = 1_000
"""So often it is looked whether all are in: on a busy machine the last of them may take their time."""


class Neighbours:
    """Servers `s0.test`, `s1.test`, …, each with a resident, who never leaves, and a guest, who may.

    On the last of three servers the resident may leave as well: that server can fall out of the room.
    """

    def __init__(self, folder: Path, seed: int, count: int, version: str, pace: float = 0.001) -> None:
        self.folder = folder
        self.pace = pace
        """How many seconds after the one before a user does something; with 0, event ids say what is the latest."""
        self.clock = FakeClock()
        self.wire = RoughWire(seed)
        self.names = [f"s{number}.test" for number in range(count)]
        self.version = version
        self.users: list[Client] = []
        self.room_id = ""
        self.founding: set[str] = set()
        """The events from before all were in: not every server has them in its timeline."""
        self.story: list[str] = []
        """What happened, for whoever reads of a failure."""

    async def move_in(self) -> None:
        """Start the servers, make the room, and have everybody in it."""
        for number, name in enumerate(self.names):
            rng = SeededRng(number + 1)
            server = await self.wire.add(name, self.folder, clock=self.clock, rng=rng)
            for user in (f"resident{number}", f"guest{number}"):
                self.users.append(await server.register(user))
        founder = self.users[0]
        self.room_id = await founder.create_room(preset="public_chat", room_version=self.version)
        for user in self.users[1:]:
            assert (await self.do(user, "POST", "join")).status == 200
            await self.run()
        for resident in self.users[::2]:
            await self._meet(resident)
        await self.wait_until_quiet()
        for name in self.names:
            self.founding.update(await self.timeline(name))

    async def _meet(self, user: Client) -> None:
        """Wait until a user sees all the others in the room."""
        known: set[str] = set()
        for number in range(ROUNDS):
            await self.run()
            if number % 50 == 49:
                # Who joined another server while the user's came is heard of there with what follows alone.
                await self._speak()
            known = await self.members(user)
            if known == {each.user_id for each in self.users}:
                return
        raise AssertionError(f"{user.user_id} knows only of {sorted(known)}")

    async def members(self, user: Client) -> set[str]:
        """Who is in the room, as the user's server sees it; nobody where the user is not."""
        answer = await user.get(path("rooms", self.room_id, "joined_members"))
        return set(answer.json["joined"]) if answer.status == 200 else set()

    async def move_out(self) -> None:
        """Stop the servers."""
        await self.wire.stop()

    @property
    def guests(self) -> list[Client]:
        """Those who may leave the room and be thrown out of it."""
        return [self.users[1], self.users[3], *self.users[4:]]

    # ------------------------------------------------------------------------------------------ what happens

    async def do(self, user: Client, method: str, *parts: str, body: Any = None) -> Answer:
        """Have a user do something in the room, or be refused."""
        if parts == ("join",):
            target = f"{path('join', self.room_id)}?server_name={self.names[0]}&via={self.names[0]}"
        else:
            target = path("rooms", self.room_id, *parts)
        self.clock.skip(self.pace)
        answer = await user.request(method, target, {} if body is None else body)
        self.story.append(f"{user.user_id} {method} {'/'.join(parts)} {body}: {answer.status}")
        assert answer.status == 200 or answer.status in REFUSALS, f"{answer.status}: {answer.body!r}"
        return answer

    async def run(self, seconds: float = 1.0) -> None:
        """Let time pass, in leaps."""
        for _ in range(5):
            await self.clock.leap(seconds / 5)
            await asyncio.sleep(0.002)

    # ------------------------------------------------------------------------------------------ agreement

    async def make_peace(self) -> None:
        """Mend the wire; everybody who is in the room says something once all have heard of the one before."""
        self.wire.heal()
        self.wire.roughness = 0
        self.story.append("peace")
        for seconds in (1, 60, 3600, 24 * 3600, 1):
            await self.run(seconds)
        await self._speak()
        for _ in range(VISITS):
            if not await self._is_beside():
                break
            await self._come_anew()
            await self._speak()

    async def _is_beside(self) -> bool:
        """Whether the third server sees itself in another room than the others do: with other users of its own.

        Where ways met of which one had not heard of its users, these may be thrown out in the eyes of some, by the
        rules. Then one side hears no more of the other, until they come again.
        """
        own = {user.user_id for user in self.users[4:]}
        seen = own & await self.members(self.users[0])
        believed = [own & await self.members(user) for user in self.users[4:]]
        return any(each != seen for each in believed if each) or (bool(seen) and not any(believed))

    async def _come_anew(self) -> None:
        """Have all of the third server leave, so that it knows nothing of the room, and come again."""
        for command in ("leave", "join"):
            for user in self.users[4:]:
                await self.do(user, "POST", command)
            await self.run(2)
            await self.wait_until_quiet()

    async def _speak(self) -> None:
        for _ in range(2):
            for user in self.users[::2]:
                await self.do(
                    user, "PUT", "send", "m.room.message", f"peace{len(self.story)}", body={"body": "bye"}
                )
                await self.run(2)
                await self.wait_until_quiet()

    async def wait_until_quiet(self) -> None:
        """Return when nothing has passed over the wire for a while."""
        passed, calm = -1, 0
        while calm < 3:
            calm = calm + 1 if len(self.wire.passed) == passed and not await self._waiting() else 0
            passed = len(self.wire.passed)
            await self.run(2)

    async def _waiting(self) -> int:
        counts = [
            await select(server, "SELECT count(*) FROM staged_pdus") for server in self.wire.servers.values()
        ]
        return sum(rows[0][0] for rows in counts)

    async def timeline(self, name: str) -> dict[str, bool]:
        """The events that are part of the room at a server, each with whether it came too late to be shown."""
        query = (
            "SELECT event_id, soft_failed FROM events WHERE room_id = :room AND rejected IS NULL"
            " AND (position IS NOT NULL OR soft_failed)"
        )
        rows = await select(self.wire.servers[name], query, room=self.room_id)
        return {event_id: bool(soft_failed) for event_id, soft_failed in rows}

    async def _lost(self, name: str) -> list[str]:
        """The events that only one of a server and the first one has, with what either thinks of them."""
        here, there = await self.timeline(self.names[0]), await self.timeline(name)
        found: list[str] = []
        for event_id in here.keys() ^ there.keys():
            # An invite that its own server gave up, as another refused it, is kept there, but nobody is shown it.
            if event_id not in self.founding and not {**here, **there}[event_id]:
                found += [await self._fate(at, event_id) for at in (self.names[0], name)]
        return found

    async def _fate(self, name: str, event_id: str) -> str:
        """What a server thinks of an event."""
        query = "SELECT position, rejected, soft_failed, pdu FROM events WHERE event_id = :event_id"
        rows = await select(self.wire.servers[name], query, event_id=event_id)
        return f"{event_id} at {name}: {rows[0] if rows else 'unknown'}"

    async def state(self, user: Client) -> dict[tuple[str, str], str] | None:
        """The state of the room at the user's server; None where the user is not in it."""
        answer = await user.get(path("rooms", self.room_id, "state"))
        joined = (await user.get("joined_rooms")).ok()["joined_rooms"]
        if self.room_id not in joined:
            return None
        return {(event["type"], event["state_key"]): event["event_id"] for event in answer.ok()}

    async def differences(self) -> list[str]:
        """In what the servers do not agree."""
        found: list[str] = []
        first = await self.state(self.users[0])
        assert first is not None
        for number, name in enumerate(self.names[1:], 1):
            states = [await self.state(user) for user in self.users[2 * number : 2 * number + 2]]
            theirs = next((state for state in states if state is not None), None)
            if theirs is None:
                found += await self._not_in(number)
                continue
            for key in sorted(first.keys() | theirs.keys()):
                if first.get(key) != theirs.get(key):
                    found.append(f"{key}: {self.names[0]} has {first.get(key)}, {name} has {theirs.get(key)}")
            if self.stays(number):
                found += await self._lost(name)
        return found

    async def _not_in(self, number: int) -> list[str]:
        members = await self.members(self.users[0])
        return [
            f"{user.user_id} is in the room at {self.names[0]} alone"
            for user in self.users[2 * number : 2 * number + 2]
            if user.user_id in members
        ]

    def stays(self, number: int) -> bool:
        """Whether that server is in the room all the time."""
        return number < 2
