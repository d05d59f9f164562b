"""Unread counts against a plain model: random stories, counted anew after every step (client-server API, Push)."""

import random
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.server import Client, Server, path, test_config

pytestmark = pytest.mark.asyncio(loop_scope="module")

THREADS = orjson.dumps({"room": {"timeline": {"unread_thread_notifications": True}}}).decode()
Counts = tuple[int, int]
KINDS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "text": ("m.room.message", {"msgtype": "m.text", "body": "hi"}, True),
    "encrypted": ("m.room.encrypted", {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x"}, True),
    "notice": ("m.room.message", {"msgtype": "m.notice", "body": "beep"}, False),
    "other": ("org.example.thing", {}, False),
}

ACTIONS = {"send": 10, "receipt": 4, "answer": 2, "rename": 1, "mute": 1, "ignore": 1}
"""What happens, and how often."""


class Model:
    """What bob has not read, by the words of the specification."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str | None, bool, bool]] = []
        """Event id, thread, whether it notifies, whether it highlights; None for an id: nothing to count."""
        self.read: dict[str | None, int] = {}
        """How many events are read: in the main timeline (None) and in each thread."""

    def add(self, event_id: str, thread: str | None, notifies: bool, highlights: bool) -> None:
        """Somebody else sent something."""
        self.events.append((event_id, thread, notifies, highlights))

    def read_up_to(self, place: int, threads: list[str | None]) -> None:
        """The events up to a place are read in these threads."""
        for thread in threads:
            self.read[thread] = max(self.read.get(thread, 0), place + 1)

    def threads(self) -> list[str]:
        """Every thread."""
        return list(dict.fromkeys(thread for _, thread, _, _ in self.events if thread is not None))

    def counts(self) -> dict[str | None, Counts]:
        """Notifications and highlights of the main timeline, and of each thread that has any."""
        found: dict[str | None, Counts] = {None: (0, 0)}
        for place, (_, thread, notifies, highlights) in enumerate(self.events):
            if place >= self.read.get(thread, 0) and (notifies or highlights):
                notify, highlight = found.get(thread, (0, 0))
                found[thread] = (notify + notifies, highlight + highlights)
        return found


def counts_in(part: dict[str, Any]) -> dict[str | None, Counts]:
    """The same from an answer."""

    def pair(count: dict[str, int]) -> Counts:
        return count["notification_count"], count["highlight_count"]

    threads = part.get("unread_thread_notifications", {})
    return {
        None: pair(part["unread_notifications"]),
        **{thread: pair(count) for thread, count in threads.items()},
    }


class Story:
    """Alice, bob and carol in a room; bob's counts are watched."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.model = Model()
        self.room = ""
        self.since = ""
        self.known: dict[str | None, Counts] = {None: (0, 0)}
        self.renamed = 0
        self.is_muted = False
        self.ignores_carol = False
        self.roots: list[str] = []
        """Events at which a thread can begin."""

    async def step(self, alice: Client, bob: Client, carol: Client) -> None:
        """One thing happens."""
        action = self.rng.choices(list(ACTIONS), list(ACTIONS.values()))[0]
        await getattr(self, f"_{action}")(alice, bob, carol)

    def _thread(self) -> str | None:
        threads: list[str | None] = [*self.model.threads(), None, None]
        if self.roots and self.rng.random() < 0.2:
            threads.append(self.rng.choice(self.roots))
        return self.rng.choice(threads)

    async def _send(self, alice: Client, bob: Client, carol: Client) -> None:
        sender = self.rng.choice([alice, carol])
        kind, content, notifies = KINDS[self.rng.choice(list(KINDS))]
        content, thread = dict(content), self._thread()
        highlights = False
        way = self.rng.random()
        if way < 0.2:
            content["m.mentions"] = {"user_ids": [bob.user_id]}
            # A notice is silenced before mentions are looked at.
            highlights = content.get("msgtype") != "m.notice"
            notifies = notifies or highlights
        elif way < 0.3:
            content["m.mentions"] = {"room": True}
            # Only who has the power of it mentions the room.
            highlights = sender is alice and content.get("msgtype") != "m.notice"
            notifies = notifies or highlights
        elif way < 0.45 and self.model.events:
            # An edit belongs to where the edited is, and is silent.
            target, thread, _, _ = self.rng.choice(self.model.events)
            content["m.relates_to"] = {"rel_type": "m.replace", "event_id": target}
            content["m.new_content"] = {"body": "edited"}
            notifies = False
        if thread is not None and "m.relates_to" not in content:
            content["m.relates_to"] = {"rel_type": "m.thread", "event_id": thread}
        event_id = await sender.send(self.room, kind, content)
        if "m.relates_to" not in content:
            self.roots.append(event_id)
        if self.ignores_carol and sender is carol:
            notifies = highlights = False
        elif self.is_muted:
            notifies = highlights
        self.model.add(event_id, thread, notifies, highlights)

    async def _receipt(self, alice: Client, bob: Client, carol: Client) -> None:
        if not self.model.events:
            return
        place = self.rng.randrange(max(0, len(self.model.events) - 6), len(self.model.events))
        event_id, thread, _, _ = self.model.events[place]
        kind = self.rng.choice(["m.read", "m.read.private"])
        way = self.rng.choice(["whole", "thread"])
        body = {} if way == "whole" else {"thread_id": thread or "main"}
        (await bob.post(path("rooms", self.room, "receipt", kind, event_id), body)).ok()
        self.model.read_up_to(place, [None, *self.model.threads()] if way == "whole" else [thread])

    async def _answer(self, alice: Client, bob: Client, carol: Client) -> None:
        """Bob says something himself: what was there is read."""
        thread = self._thread()
        content: dict[str, Any] = {"msgtype": "m.text", "body": "me"}
        if thread is not None:
            content["m.relates_to"] = {"rel_type": "m.thread", "event_id": thread}
        event_id = await bob.send(self.room, "m.room.message", content)
        self.model.add(event_id, thread, False, False)
        self.model.read_up_to(len(self.model.events) - 1, [thread])

    async def _rename(self, alice: Client, bob: Client, carol: Client) -> None:
        """Bob has another name: that is no reading."""
        self.renamed += 1
        member = {"membership": "join", "displayname": f"Bob {self.renamed}"}
        await bob.set_state(self.room, "m.room.member", member, bob.user_id)

    async def _mute(self, alice: Client, bob: Client, carol: Client) -> None:
        """Bob silences the room, but for mentions, or no longer; what came before stays as it was counted."""
        self.is_muted = not self.is_muted
        target = path("pushrules", "global", "room", self.room)
        answer = await (bob.put(target, {"actions": []}) if self.is_muted else bob.delete(target))
        answer.ok()

    async def _ignore(self, alice: Client, bob: Client, carol: Client) -> None:
        """Bob ignores carol, or no longer."""
        self.ignores_carol = not self.ignores_carol
        ignored = {"ignored_users": {carol.user_id: {}} if self.ignores_carol else {}}
        (await bob.put(path("user", bob.user_id, "account_data", "m.ignored_user_list"), ignored)).ok()

    async def check(self, bob: Client) -> None:
        """What bob is told bit by bit, and what he is told who begins anew, is what the model says."""
        answer = (await bob.get(path("sync", since=self.since, filter=THREADS))).ok()
        self.since = answer["next_batch"]
        part = answer.get("rooms", {}).get("join", {}).get(self.room)
        if part is not None:
            self.known = counts_in(part)
        expected = self.model.counts()
        assert self.known == expected
        fresh = (await bob.get(path("sync", filter=THREADS))).ok()["rooms"]["join"][self.room]
        assert counts_in(fresh) == expected
        plain = (await bob.get("sync")).ok()["rooms"]["join"][self.room]["unread_notifications"]
        assert plain["notification_count"] == sum(notify for notify, _ in expected.values())
        assert plain["highlight_count"] == sum(highlight for _, highlight in expected.values())


@pytest.mark.parametrize("seed", range(4))
async def test_counts_are_those_of_the_model(tmp_path: Path, seed: int) -> None:
    """After each of many random steps, over a restart in the middle."""
    config = test_config(tmp_path)
    running = await Server.start(config)
    users = [await running.register(name) for name in ("alice", "bob", "carol")]
    alice, bob, carol = users
    story = Story(seed)
    story.room = await alice.create_room(preset="public_chat")
    await bob.join(story.room)
    await carol.join(story.room)
    story.since = (await bob.sync())["next_batch"]
    for number in range(40):
        await story.step(*users)
        await story.check(bob)
        if number == 20:
            await running.stop()
            running = await Server.start(config)
            for user in users:
                user.server = running
    await running.stop()
