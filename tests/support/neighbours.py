"""Some servers that share a room over a rough wire, for tests of what they agree upon in the end."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.asgi import Answer
from tests.support.clock import FakeClock
from tests.support.rng import SeededRng
from tests.support.rough_wire import RoughWire
from tests.support.server import Client, Server, path
from tests.support.tables import select

VISITS = 3
"""So often the third server may come anew."""
REFUSALS = {400, 403, 404, 429, 502, 504}
"""What a client may get for trying what is not allowed, or what needs a server that cannot be reached."""

ROUNDS = 1_000
"""So often it is looked whether something has come about: on a busy machine it may take its time."""


class Neighbours:
    """Servers `s0.test`, `s1.test`, …, each with a resident, who never leaves, and a guest, who may.

    On the last of three servers the resident may leave as well: that server can fall out of the room.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        count: int,
        version: str,
        *,
        pace: float = 0.001,
        is_late: bool = False,
    ) -> None:
        self.folder = folder
        self.pace = pace
        """How many seconds after the one before a user does something; with 0, event ids say what is the latest."""
        self.clock = FakeClock()
        self.wire = RoughWire(seed)
        self.names = [f"s{number}.test" for number in range(count)]
        self.version = version
        self.is_late = is_late
        """Whether the third server is not in the room from the beginning."""
        self.users: list[Client] = []
        self.room_id = ""
        self.club_id = ""
        """A room whose members a restricted room lets in, once there is one."""
        self.said: list[str] = []
        """The messages."""
        self.starts = 0
        self.founding: set[str] = set()
        """The events from before all were in: not every server has them in its timeline."""
        self.story: list[str] = []
        """What happened, for whoever reads of a failure."""

    async def move_in(self) -> None:
        """Start the servers, make the room, and have everybody in it."""
        for number in range(len(self.names)):
            server = await self._start(number)
            for user in (f"resident{number}", f"guest{number}"):
                self.users.append(await server.register(user))
        founder = self.users[0]
        self.room_id = await founder.create_room(preset="public_chat", room_version=self.version)
        first = self.users[: 4 if self.is_late else None]
        for user in first[1:]:
            assert (await self.do(user, "POST", "join")).status == 200
            await self.run()
        for resident in first[::2]:
            await self._meet(resident, first)
        await self.wait_until_quiet()
        for name in self.names:
            self.founding.update(await self.timeline(name))

    async def _start(self, number: int) -> Server:
        self.starts += 1
        rng = SeededRng(self.starts)
        return await self.wire.add(self.names[number], self.folder, clock=self.clock, rng=rng)

    async def restart(self, number: int) -> None:
        """Have a server stop, whatever it is at, and come back with what stands in its database."""
        server = self.wire.servers.pop(self.names[number])
        self.story.append(f"{self.names[number]} starts anew")
        await server.stop()
        again = await self._start(number)
        for user in self.users[2 * number : 2 * number + 2]:
            user.server = again

    async def _meet(self, user: Client, others: Sequence[Client]) -> None:
        """Wait until a user sees the others in the room."""
        known: set[str] = set()
        for number in range(ROUNDS):
            await self.run()
            if number % 50 == 49:
                # Who joined another server while the user's came is heard of there with what follows alone.
                await self._speak()
            known = await self.members(user)
            if known == {each.user_id for each in others}:
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
        if parts in {("join",), ("knock",)}:
            target = f"{path(*parts, self.room_id)}?server_name={self.names[0]}&via={self.names[0]}"
        else:
            target = path("rooms", self.room_id, *parts)
        self.clock.skip(self.pace)
        answer = await user.request(method, target, {} if body is None else body)
        self.story.append(f"{user.user_id} {method} {'/'.join(parts)} {body}: {answer.status}")
        assert answer.status == 200 or answer.status in REFUSALS, f"{answer.status}: {answer.body!r}"
        return answer

    async def say(self, user: Client, text: str) -> None:
        """Have a user say something, or be refused."""
        body = {"msgtype": "m.text", "body": text}
        answer = await self.do(user, "PUT", "send", "m.room.message", text, body=body)
        if answer.status == 200:
            self.said.append(answer.json["event_id"])

    async def let_in(self, user: Client, join_rule: str) -> None:
        """Have a user set the join rule; `restricted` lets in who is in the club, as one guest is."""
        body: dict[str, Any] = {"join_rule": join_rule}
        if "restricted" in join_rule:
            if not self.club_id:
                self.club_id = await self.users[0].create_room(preset="public_chat")
                target = path("join", self.club_id, server_name=self.names[0], via=self.names[0])
                await self.users[3].post(target)
            body["allow"] = [{"type": "m.room_membership", "room_id": self.club_id}]
        await self.do(user, "PUT", "state", "m.room.join_rules", "", body=body)

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
                await self.say(user, f"peace{len(self.story)}")
                await self.run(2)
                await self.wait_until_quiet()

    async def wait_until_quiet(self) -> None:
        """Return when nothing has passed over the wire for a while."""
        passed, calm = -1, 0
        for _ in range(ROUNDS):
            if calm == 3:
                return
            calm = calm + 1 if len(self.wire.passed) == passed and not await self._waiting() else 0
            passed = len(self.wire.passed)
            await self.run(2)
        raise AssertionError(f"there is no quiet: {await self._waiting()} events wait")

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

    async def _hidden(self, name: str) -> list[str]:
        """The messages that only one of a server and the first one shows as redacted."""
        here, there = await self._redactions(self.names[0]), await self._redactions(name)
        soft = [
            event_id
            for at in (self.names[0], name)
            for event_id, is_soft in (await self.timeline(at)).items()
            if is_soft
        ]
        return [
            f"{event_id} is redacted by {here[event_id]} at {self.names[0]}, by {there[event_id]} at {name}"
            for event_id in here.keys() & there.keys()
            # What only one of them held for allowed when it came is no redaction to the other.
            if (here[event_id] is None) != (there[event_id] is None)
            and not {here[event_id], there[event_id]}.intersection(soft)
        ]

    async def _redactions(self, name: str) -> dict[str, str | None]:
        query = (
            "SELECT event_id, redacted_by FROM events WHERE event_id = ANY(:said) AND position IS NOT NULL"
        )
        return dict(await select(self.wire.servers[name], query, said=self.said))

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
                found += [*await self._lost(name), *await self._hidden(name)]
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
