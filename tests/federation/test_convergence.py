"""Whatever the wire does and whoever fights with whom: in the end all servers agree on what the room is.

`HYPOTHESIS_PROFILE=deep` tells many more and longer stories.
"""

import asyncio
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.support.neighbours import Neighbours
from tests.support.server import Client

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
VERSIONS = ["1", "2", "6", "10", "11", "12"]

ROUNDS = 100
"""How often it is looked whether they agree: on a busy machine the last events may take their time."""

users = st.integers(0, 5)
servers = st.integers(0, 2)


class Quarrel(RuleBasedStateMachine):
    """Two or three servers in one room, whose users do what they like while the wire comes and goes."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(prefix="chamberlain-quarrel-"))
        self.room: Neighbours
        self.is_furnished = False
        # The clock stands still while a client waits for members.
        self.patience = patch("chamberlain.rooms.reading.MEMBERS_SECONDS", 0.05)
        self.patience.start()

    def wait(self, what: Any) -> Any:
        """Run the loop until this is done."""
        return self.loop.run_until_complete(what)

    @initialize(
        seed=st.integers(0, 2**32),
        count=st.sampled_from([2, 2, 3]),
        version=st.sampled_from(VERSIONS),
        pace=st.sampled_from([0.0, 0.001]),
        is_late=st.booleans(),
    )
    def begin(self, seed: int, count: int, version: str, pace: float, is_late: bool) -> None:
        self.room = Neighbours(self.folder, seed, count, version, pace=pace, is_late=is_late)
        self.wait(self.room.move_in())
        self.is_furnished = True

    def user(self, number: int) -> Client:
        """One of the users."""
        return self.room.users[number % len(self.room.users)]

    def guest(self, number: int) -> Client:
        """One of those who may leave."""
        return self.room.guests[number % len(self.room.guests)]

    def do(self, number: int, method: str, *parts: str, body: Any = None) -> None:
        self.wait(self.room.do(self.user(number), method, *parts, body=body))

    # ------------------------------------------------------------------------------------------ the room

    @rule(user=users, times=st.integers(1, 3))
    def say(self, user: int, times: int) -> None:
        for _ in range(times):
            self.wait(self.room.say(self.user(user), f"t{len(self.room.story)}"))

    @rule(user=users, number=st.integers(0, 20))
    def redact(self, user: int, number: int) -> None:
        if self.room.said:
            target = self.room.said[-1 - number % len(self.room.said)]
            self.do(user, "PUT", "redact", target, f"t{len(self.room.story)}")

    @rule(user=users, kind=st.sampled_from(["m.room.topic", "m.room.name", "org.example.thing"]))
    def set_state(self, user: int, kind: str) -> None:
        self.do(user, "PUT", "state", kind, "", body={kind.split(".")[-1]: f"{len(self.room.story)}"})

    @rule(user=users)
    def come(self, user: int) -> None:
        self.wait(self.room.do(self.guest(user), "POST", "join"))

    @rule(user=users)
    def go(self, user: int) -> None:
        self.wait(self.room.do(self.guest(user), "POST", "leave"))

    @rule(user=users, other=users, what=st.sampled_from(["kick", "ban", "ban", "unban", "invite"]))
    def treat(self, user: int, other: int, what: str) -> None:
        self.do(user, "POST", what, body={"user_id": self.guest(other).user_id})

    @rule(user=users, other=users, level=st.sampled_from([0, 50, 100]), state=st.sampled_from([0, 50]))
    def set_power(self, user: int, other: int, level: int, state: int) -> None:
        founder, named = self.room.users[0].user_id, self.user(other).user_id
        levels = {self.user(user).user_id: 100, named: level}
        if self.room.version != "12":
            levels = {founder: 100, **levels}
        elif founder in levels:
            del levels[founder]
        body = {"users": levels, "state_default": state, "events": {"m.room.name": 0}}
        self.do(user, "PUT", "state", "m.room.power_levels", "", body=body)

    @rule(user=users, join_rule=st.sampled_from(["public", "public", "invite", "knock", "restricted"]))
    def set_join_rule(self, user: int, join_rule: str) -> None:
        self.wait(self.room.let_in(self.user(user), join_rule))

    @rule(user=users)
    def knock(self, user: int) -> None:
        self.wait(self.room.do(self.guest(user), "POST", "knock"))

    # ------------------------------------------------------------------------------------------ the wire

    @rule(server=servers)
    def part(self, server: int) -> None:
        self.room.wire.part(self.room.names[server % len(self.room.names)])
        self.room.story.append(f"s{server % len(self.room.names)} is cut off")

    @rule()
    def heal(self) -> None:
        self.room.wire.heal()
        self.room.story.append("the wire is whole")

    @rule(roughness=st.sampled_from([0.0, 0.3, 0.8]))
    def shake(self, roughness: float) -> None:
        self.room.wire.roughness = roughness
        self.room.story.append(f"the wire is rough: {roughness}")

    @rule(seconds=st.sampled_from([1, 30, 600]))
    def time_passes(self, seconds: int) -> None:
        self.wait(self.room.run(seconds))
        self.room.story.append(f"{seconds} s pass")

    @rule(server=servers)
    def restart(self, server: int) -> None:
        self.wait(self.room.restart(server % len(self.room.names)))

    def teardown(self) -> None:
        try:
            if self.is_furnished:
                self.wait(self.end())
        finally:
            if hasattr(self, "room"):
                self.wait(self.room.move_out())
            self.patience.stop()
            self.loop.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    async def end(self) -> None:
        await self.room.make_peace()
        found = await self.room.differences()
        for _ in range(ROUNDS):
            if not found:
                break
            await self.room.run(5)
            found = await self.room.differences()
        assert not found, "\n".join(["they do not agree:", *found, "the story:", *self.room.story])


Quarrel.TestCase.settings = settings(
    max_examples=400 if DEEP else 12,
    stateful_step_count=60 if DEEP else 25,
    deadline=None,
    derandomize=not DEEP,
    suppress_health_check=list(HealthCheck),
    # A failing story is told in full; to find a shorter one would take long.
    phases=[Phase.explicit, Phase.generate],
)
TestConvergence = Quarrel.TestCase
