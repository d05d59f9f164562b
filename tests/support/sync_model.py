"""Incremental equals full: what a client that kept up knows is what a fresh client is told.

    await assert_incremental_equals_full(client)

The first call for a client begins to keep up; each later call folds what has come since into what the client knew
and compares the result with a fresh initial sync of the same device.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

import orjson

from tests.support.server import Client

TAIL = 10
"""As many events of a timeline as a server sends where nothing is asked."""

_followers: "WeakKeyDictionary[Client, Follower]" = WeakKeyDictionary()


class Room:
    """What a client knows of a room that it is joined to."""

    def __init__(self) -> None:
        self.state: dict[tuple[str, str], Any] = {}
        self.timeline: list[Any] = []
        self.account_data: dict[str, Any] = {}
        self.receipts: dict[tuple[str, str, str], tuple[str, int]] = {}
        self.typing: list[str] = []
        self.unread: Any = None
        self.threads: Any = None
        self.summary: dict[str, Any] = {}

    def fold(self, part: dict[str, Any], *, state_after: bool) -> None:
        """Take in one answer's part about the room."""
        timeline = part["timeline"]["events"]
        if part["timeline"]["limited"]:
            self.timeline = []
        known = {event["event_id"] for event in self.timeline}
        self.timeline += [event for event in timeline if event["event_id"] not in known]
        _apply_redactions(self.timeline, timeline)
        changes = part["state_after" if state_after else "state"]["events"]
        if not state_after:
            changes = [*changes, *(event for event in timeline if "state_key" in event)]
        for event in changes:
            self.state[event["type"], event["state_key"]] = event
        for event in part["account_data"]["events"]:
            self.account_data[event["type"]] = event["content"]
        for event in part["ephemeral"]["events"]:
            if event["type"] == "m.typing":
                self.typing = sorted(event["content"]["user_ids"])
            else:
                self._fold_receipts(event["content"])
        self.summary.update(part["summary"])
        if "unread_notifications" in part:
            self.unread = part["unread_notifications"]
            self.threads = part.get("unread_thread_notifications", {})

    def _fold_receipts(self, content: dict[str, Any]) -> None:
        for event_id, kinds in content.items():
            for kind, users in kinds.items():
                for user, value in users.items():
                    self.receipts[kind, user, value.get("thread_id", "")] = (event_id, value["ts"])

    def picture(self) -> dict[str, Any]:
        """All of it, in a form that can be compared."""
        return {
            "state": {"/".join(key): event["event_id"] for key, event in sorted(self.state.items())},
            "timeline": [_plain(event) for event in self.timeline[-TAIL:]],
            "account_data": self.account_data,
            "receipts": {str(key): value for key, value in sorted(self.receipts.items())},
            "typing": self.typing,
            "unread": self.unread,
            "threads": self.threads,
            "summary": self.summary,
        }


class Follower:
    """A client that keeps up."""

    def __init__(self, client: Client, *, state_after: bool = False, filter: Any = None) -> None:
        self.client = client
        self.state_after = state_after
        self.filter = filter
        self.since: str | None = None
        self.joined: dict[str, Room] = {}
        self.pending: dict[str, Any] = {}
        self.account_data: dict[str, Any] = {}

    async def sync(self, **query: Any) -> dict[str, Any]:
        """Take in what has come."""
        asked = {"timeout": 0, "set_presence": "offline", **query}
        if self.since is not None:
            asked["since"] = self.since
        if self.state_after:
            asked["use_state_after"] = "true"
        if self.filter is not None:
            asked["filter"] = orjson.dumps(self.filter).decode()
        answer: dict[str, Any] = (await self.client.get(f"sync?{urlencode(asked)}")).ok()
        self.since = answer["next_batch"]
        self.fold(answer)
        return answer

    def fold(self, answer: dict[str, Any]) -> None:
        """Take in one answer."""
        rooms = answer.get("rooms", {})
        for event in answer.get("account_data", {}).get("events", []):
            self.account_data[event["type"]] = event["content"]
        for room_id in rooms.get("leave", {}):
            self.joined.pop(room_id, None)
            self.pending.pop(room_id, None)
        for section, name in (("invite", "invite_state"), ("knock", "knock_state")):
            for room_id, part in rooms.get(section, {}).items():
                self.joined.pop(room_id, None)
                self.pending[room_id] = [section, part[name]["events"]]
        for room_id, part in rooms.get("join", {}).items():
            self.pending.pop(room_id, None)
            self.joined.setdefault(room_id, Room()).fold(part, state_after=self.state_after)

    def picture(self) -> dict[str, Any]:
        """All that the client knows, in a form that can be compared."""
        return {
            "joined": {room_id: room.picture() for room_id, room in sorted(self.joined.items())},
            "pending": dict(sorted(self.pending.items())),
            "account_data": self.account_data,
        }


async def assert_incremental_equals_full(client: Client) -> None:
    """What this client has been told bit by bit is what a fresh initial sync says."""
    follower = _followers.get(client)
    if follower is None:
        follower = _followers[client] = Follower(client)
    await follow(follower)


async def follow(follower: Follower) -> None:
    """The same for a follower of one's own, with its way of asking."""
    fresh = Follower(follower.client, state_after=follower.state_after, filter=follower.filter)
    await fresh.sync()
    await follower.sync()
    while _position(follower) != _position(fresh):
        # Something came in between, from the server's background work.
        fresh = Follower(follower.client, state_after=follower.state_after, filter=follower.filter)
        await fresh.sync()
        await follower.sync()
    kept, full = follower.picture(), fresh.picture()
    for room_id, room in full["joined"].items():
        # A client that keeps up may know more of the past than a fresh one is told.
        mine = kept["joined"].get(room_id, {"timeline": []})
        mine["timeline"] = mine["timeline"][max(len(mine["timeline"]) - len(room["timeline"]), 0) :]
    differences = list(_differences("", kept, full))
    assert not differences, "\n".join(differences)


def _position(follower: Follower) -> str:
    assert follower.since is not None
    return follower.since.split("_")[1]


def _differences(where: str, kept: Any, full: Any) -> Iterator[str]:
    if isinstance(kept, dict) and isinstance(full, dict):
        for key in sorted(kept.keys() | full.keys(), key=str):
            yield from _differences(f"{where}/{key}", kept.get(key), full.get(key))
    elif kept != full:
        yield f"{where}\n    kept {kept}\n    full {full}"


def _plain(event: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in event.items() if key != "unsigned"}
    unsigned = {key: value for key, value in event["unsigned"].items() if key not in _CHANGING}
    return {**kept, "unsigned": unsigned}


_CHANGING = frozenset({"age", "redacted_because", "redacted_by", "m.relations", "prev_content"})
"""What may be different each time that an event is sent."""


def _apply_redactions(timeline: list[Any], news: list[Any]) -> None:
    for redaction in news:
        if redaction["type"] == "m.room.redaction":
            for event in timeline:
                if event["event_id"] == redaction.get("redacts") and "state_key" not in event:
                    event["content"] = {}
