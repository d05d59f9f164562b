"""`kill -9` in the middle of work: what was acknowledged is there once, and the next start needs no repair."""

import http.client
import itertools
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from tests.support.postgres import Postgres
from tests.support.process import Process

SENDERS = 4
KILLS = 2
PATIENCE = 60.0
OPTIONS = (
    "--set",
    "registration.enabled=true",
    "--set",
    "passwords.hash_cost=lowest",
    "--set",
    "rate_limits.enabled=false",
)
CLIENT = "/_matrix/client/v3"


class Sender:
    """A user who does one thing after another and writes down what was acknowledged."""

    def __init__(self, number: int, user_id: str, token: str, world: "World") -> None:
        self.number = number
        self.user_id = user_id
        self.token = token
        self.world = world
        self.count = itertools.count()
        self.sent: dict[str, str] = {}
        """Paths of sent messages, and their event ids."""
        self.states: list[str] = []
        self.joined: list[str] = []
        self.told: list[str] = []
        """The paths of to-device messages; the receiver knows them by it."""
        self.kept = -1
        self.in_doubt: tuple[str, str, Any] | None = None
        """What was asked when the server died."""

    def work(self, port: int) -> None:
        """Go on until the server dies."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            while True:
                for kind, path, body in self.round(next(self.count)):
                    self.in_doubt = (kind, path, body)
                    self.note(kind, path, body, ask(connection, kind, path, body, self.token))
                    self.in_doubt = None
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()

    def round(self, n: int) -> Iterator[tuple[str, str, Any]]:
        """The kind, path and body of some requests."""
        room = quote(self.world.room)
        yield (
            "send",
            f"/rooms/{room}/send/m.room.message/{n}",
            {"msgtype": "m.text", "body": f"{self.number}/{n}"},
        )
        yield "state", f"/rooms/{room}/state/test.state/{quote(self.user_id)}", {"n": n}
        told = f"/sendToDevice/test.told/{n}"
        receiver = self.world.receiver
        yield (
            "tell",
            told,
            {"messages": {receiver["user_id"]: {receiver["device_id"]: {"id": f"{self.number}{told}"}}}},
        )
        yield "keep", f"/user/{quote(self.user_id)}/account_data/test.kept", {"n": n}
        if n < len(self.world.rooms):
            yield "join", f"/rooms/{quote(self.world.rooms[n])}/join", {}

    def note(self, kind: str, path: str, body: Any, answer: Any) -> None:
        """Write down what the server said."""
        if kind == "send":
            assert self.sent.setdefault(path, answer["event_id"]) == answer["event_id"]
        elif kind == "state":
            self.states.append(answer["event_id"])
        elif kind == "tell":
            self.told.append(f"{self.number}{path}")
        elif kind == "keep":
            self.kept = body["n"]
        else:
            self.joined.append(answer["room_id"])
        self.world.done()


class World:
    """The rooms and users of a test."""

    def __init__(self, server: Process) -> None:
        self.receiver = register(server, "receiver")
        make = {"preset": "public_chat"}
        self.room = post(server, "/createRoom", make, self.receiver)["room_id"]
        level = {"users": {self.receiver["user_id"]: 100}, "state_default": 0}
        put(server, f"/rooms/{quote(self.room)}/state/m.room.power_levels", level, self.receiver)
        self.rooms = [post(server, "/createRoom", make, self.receiver)["room_id"] for _ in range(10)]
        self.senders = []
        for number in range(SENDERS):
            user = register(server, f"sender{number}")
            post(server, f"/join/{quote(self.room)}", {}, user)
            self.senders.append(Sender(number, user["user_id"], user["access_token"], self))
        self.acknowledged = 0
        self.since: str | None = None
        self.heard: Counter[str] = Counter()
        self._changed = threading.Condition()

    def done(self) -> None:
        """One more request was acknowledged."""
        with self._changed:
            self.acknowledged += 1
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        """Return when so many requests were acknowledged."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.acknowledged >= count, PATIENCE)

    def work_until_killed(self, server: Process, more: int) -> None:
        """Let everyone work, and kill the server when `more` requests were acknowledged."""
        threads = [threading.Thread(target=sender.work, args=(server.port,)) for sender in self.senders]
        for thread in threads:
            thread.start()
        try:
            self.wait_for(self.acknowledged + more)
        finally:
            server.stop(signal.SIGKILL)
            for thread in threads:
                thread.join(PATIENCE)

    def timeline(self, server: Process) -> list[Any]:
        """Every event of the busy room, the oldest first."""
        found: list[Any] = []
        start = ""
        while True:
            path = f"/rooms/{quote(self.room)}/messages?dir=b&limit=1000{start}"
            page = call(server, "GET", path, None, self.receiver)
            found += page["chunk"]
            if "end" not in page:
                return found[::-1]
            start = f"&from={page['end']}"

    def listen(self, server: Process) -> Counter[str]:
        """What the receiver's device was told, however often."""
        while True:
            since = "" if self.since is None else f"&since={quote(self.since)}"
            answer = call(server, "GET", f"/sync?timeout=0{since}", None, self.receiver)
            self.since = answer["next_batch"]
            events = answer.get("to_device", {}).get("events", [])
            self.heard.update(event["content"]["id"] for event in events)
            if not events:
                return self.heard


def ask(connection: http.client.HTTPConnection, kind: str, path: str, body: Any, token: str) -> Any:
    """The answer of the server, which must be good."""
    method = "POST" if kind == "join" else "PUT"
    connection.request(method, CLIENT + path, orjson.dumps(body), {"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    content = answer.read()
    assert answer.status == 200, (path, content)
    return orjson.loads(content)


def call(server: Process, method: str, path: str, body: Any, user: Any) -> Any:
    """The answer to a request that must succeed."""
    status, answer = server.call(method, CLIENT + path, body, user["access_token"])
    assert status == 200, (path, answer)
    return answer


def post(server: Process, path: str, body: Any, user: Any) -> Any:
    """POST."""
    return call(server, "POST", path, body, user)


def put(server: Process, path: str, body: Any, user: Any) -> Any:
    """PUT."""
    return call(server, "PUT", path, body, user)


def register(server: Process, name: str) -> Any:
    """A new user."""
    body = {"username": name, "password": "a long password", "auth": {"type": "m.login.dummy"}}
    status, answer = server.call("POST", f"{CLIENT}/register", body)
    assert status == 200, answer
    return answer


def check(server: Process, world: World) -> None:
    """Everything acknowledged is there exactly once; asking again with a transaction id changes nothing."""
    for sender in world.senders:
        ask_again(server, sender)
    timeline = world.timeline(server)
    times = Counter(event["event_id"] for event in timeline)
    bodies = Counter(event["content"].get("body") for event in timeline)
    assert set(times.values()) == {1}
    heard = world.listen(server)
    for sender in world.senders:
        user = {"access_token": sender.token}
        for path, event_id in sender.sent.items():
            assert times[event_id] == 1, path
            assert bodies[f"{sender.number}/{path.rpartition('/')[2]}"] == 1, path
        assert [event_id for event_id in sender.states if times[event_id] != 1] == []
        assert [told for told in sender.told if heard[told] != 1] == []
        joined = call(server, "GET", "/joined_rooms", None, user)["joined_rooms"]
        assert set(sender.joined) | {world.room} <= set(joined)
        kept = f"/user/{quote(sender.user_id)}/account_data/test.kept"
        assert call(server, "GET", kept, None, user)["n"] == sender.kept
    assert set(heard.values()) == {1}
    check_state(server, world, timeline)


def ask_again(server: Process, sender: Sender) -> None:
    """Repeat every message sent and what was under way when the server died."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    for path, event_id in sender.sent.items():
        assert ask(connection, "send", path, {"body": "again"}, sender.token)["event_id"] == event_id
    if sender.in_doubt is not None:
        kind, path, body = sender.in_doubt
        sender.note(kind, path, body, ask(connection, kind, path, body, sender.token))
        sender.in_doubt = None
    if sender.told:
        told = sender.told[-1].removeprefix(str(sender.number))
        receiver = sender.world.receiver
        body = {"messages": {receiver["user_id"]: {receiver["device_id"]: {"id": sender.told[-1]}}}}
        ask(connection, "tell", told, body, sender.token)
    connection.close()


def check_state(server: Process, world: World, timeline: list[Any]) -> None:
    """The state of the room is what its timeline makes it."""
    told = {(e["type"], e["state_key"]): e["event_id"] for e in timeline if "state_key" in e}
    state = call(server, "GET", f"/rooms/{quote(world.room)}/state", None, world.receiver)
    assert {(e["type"], e["state_key"]): e["event_id"] for e in state} == told
    members = call(server, "GET", f"/rooms/{quote(world.room)}/joined_members", None, world.receiver)
    assert set(members["joined"]) == {s.user_id for s in world.senders} | {world.receiver["user_id"]}


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_what_was_acknowledged_survives_kill_9(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    """Messages, state, joins, to-device messages and account data, after each of several kills."""
    options = OPTIONS
    if kind == "postgres":
        postgres: Postgres = request.getfixturevalue("postgres")
        options = (*OPTIONS, "--database", postgres.new_database())
    with Process(tmp_path, *options) as server:
        world = World(server)
        world.work_until_killed(server, 150)
    for _ in range(KILLS - 1):
        with Process(tmp_path, *options) as server:
            check(server, world)
            world.work_until_killed(server, 150)
    began = time.monotonic()
    with Process(tmp_path, *options) as server:
        assert time.monotonic() - began < PATIENCE
        check(server, world)
        assert server.stop() == 0
    assert "error" not in server.log()
