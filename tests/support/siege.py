"""A server under attack: it is in a room of a hostile peer, and whatever that one does has to leave no trace."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from chamberlain.matrix.events import Event
from tests.support.peer import Pdu, Peer
from tests.support.peer_room import PeerRoom, forge
from tests.support.server import Client, Server, path, until
from tests.support.tables import select, table_counts
from tests.support.wire import Wire

BOOKKEEPING = frozenset(
    {
        "changes",
        "destinations",
        "followers",
        "outbox_newest",
        "outbox_rooms",
        "outbox_servers",
        "received_transactions",
    }
)
"""Tables that say what was heard and how far others are with it, not what was believed."""


class Siege:
    """`near.test` with `@alice`, who is in a room of `evil.test`; `@mallory` of `evil.test` is in it without power."""

    def __init__(self, wire: Wire, near: Server, alice: Client, peer: Peer, room: PeerRoom) -> None:
        self.wire = wire
        self.near = near
        self.alice = alice
        self.peer = peer
        self.room = room
        self.mallory = peer.user("mallory")

    @classmethod
    async def lay(cls, wire: Wire, folder: Path, version: str = "10", **settings: Any) -> "Siege":
        """Begin one, in a room of that version; `settings` are those of the server."""
        near = await wire.add("near.test", folder, **settings)
        alice = await near.register("alice")
        peer = Peer.on(wire, "evil.test")
        room = peer.room(version).furnish()
        room.member(peer.user("mallory"), "join")
        siege = cls(wire, near, alice, peer, room)
        await siege.join(room)
        return siege

    async def join(self, room: PeerRoom, client: Client | None = None) -> None:
        """Have a user of ours join a room of the peer."""
        target = f"{path('join', room.room_id)}?server_name={self.peer.name}&via={self.peer.name}"
        (await (client or self.alice).post(target)).ok()

    # ------------------------------------------------------------------------------------------ attacks

    async def send(self, *pdus: Pdu, edus: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
        """Send a transaction, which must be answered with a 200; what is said of each PDU."""
        answer = await self.peer.send("near.test", pdus, edus)
        assert answer.status == 200, f"{answer.status}: {answer.body!r}"
        found: dict[str, Any] = orjson.loads(answer.body)["pdus"]
        return found

    async def attack(self, *pdus: Pdu) -> dict[str, Any]:
        """Send PDUs one to a transaction, and return when they have been worked off; what was said of them."""
        said: dict[str, Any] = {}
        for pdu in pdus:
            said |= await self.send(pdu)
        await self.settle()
        return said

    async def settle(self, seconds: float = 60) -> Event:
        """Send an honest message and return when alice can read it: all that came before was dealt with."""
        event = self.room.say(self.peer.user(), "all is well")
        await self.send(event)
        await until(lambda: self.sees(event.event_id), seconds=seconds)
        await until(self._is_idle, seconds=seconds)
        return event

    async def _is_idle(self) -> bool:
        return not await select(self.near, "SELECT position FROM staged_pdus")

    def message(self, **how: Any) -> Event:
        """An honest message of mallory, not in the room yet; a basis for dishonest ones."""
        return self.room.build("m.room.message", self.mallory, {"msgtype": "m.text", "body": "psst"}, **how)

    def forged(self, **fields: Any) -> bytes:
        """A message of mallory with other fields, hashed and signed as if they were all right."""
        return self.forge(orjson.loads(self.message().pdu) | fields)

    def forge(self, fields: dict[str, Any]) -> bytes:
        """A PDU of these fields, hashed and signed by the peer."""
        return forge(self.room.version, fields, self.peer.name, self.peer.key)

    # ------------------------------------------------------------------------------------------ traces

    async def sees(self, event_id: str) -> bool:
        """Whether alice can read the event."""
        return (await self.read(event_id)).status == 200

    async def read(self, event_id: str) -> Any:
        """The answer to alice, who asks for the event."""
        return await self.alice.get(path("rooms", self.room.room_id, "event", event_id))

    async def row(self, event_id: str) -> dict[str, Any] | None:
        """Of the event as it is stored, if it is: `depth`, `pdu`, `rejected`."""
        sql = "SELECT depth, pdu, rejected FROM events WHERE event_id = :event_id"
        rows = await select(self.near, sql, event_id=event_id)
        return dict(zip(("depth", "pdu", "rejected"), rows[0], strict=True)) if rows else None

    async def counts(self) -> dict[str, int]:
        """How many rows each table has, bookkeeping aside."""
        counts = await table_counts(self.near)
        return {
            name: count for name, count in counts.items() if name not in BOOKKEEPING and "search" not in name
        }

    async def growth(self) -> dict[str, int]:
        """By how many rows an honest message makes the tables grow."""
        before = await self.counts()
        await self.settle()
        return difference(before, await self.counts())

    async def state(self) -> dict[tuple[str, str], str]:
        """The current state of the room, as alice sees it."""
        events = (await self.alice.get(path("rooms", self.room.room_id, "state"))).ok()
        return {(event["type"], event["state_key"]): event["event_id"] for event in events}

    async def timeline(self) -> list[dict[str, Any]]:
        """The newest events of the room, as alice sees them."""
        target = f"{path('rooms', self.room.room_id, 'messages')}?dir=b&limit=100"
        chunk: list[dict[str, Any]] = (await self.alice.get(target)).ok()["chunk"]
        return chunk


def difference(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """What has changed in a count of rows."""
    return {name: after[name] - count for name, count in before.items() if after[name] != count}
