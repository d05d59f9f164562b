"""A homeserver made by hand, for tests and benchmarks: it has keys and rooms, answers like one, and lies when told.

In process it stands on the `Wire` (`Peer.on`); `tests.support.peer_http` puts it behind real sockets.
"""

import inspect
import itertools
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import msgspec
import orjson

from chamberlain.federation.request_signing import authorize, parse_authorization
from chamberlain.federation.transport import TransportAnswer
from chamberlain.matrix import canonical_json
from chamberlain.matrix.events import Event, sign
from chamberlain.matrix.ids import EventID, server_of
from chamberlain.matrix.server_keys import own_keys
from chamberlain.matrix.signing import SigningKey
from chamberlain.matrix.types import JsonObject
from chamberlain.matrix.versions import ROOM_VERSIONS, get_room_version
from tests.support.peer_room import PeerRoom
from tests.support.wire import Wire

Reach = Callable[[str, str, str, Mapping[str, str], bytes | None], Awaitable[TransportAnswer]]
"""(destination, method, target, headers, body) to an answer."""
Pdu = Event | bytes | JsonObject
DAY_MS = 24 * 3_600_000


class Asked(msgspec.Struct, frozen=True):
    """A request that came in."""

    name: str
    """What stands after the version in the path: `send`, `state_ids`, `key`."""
    method: str
    parts: tuple[str, ...]
    """The decoded parts of the path after the name."""
    query: Mapping[str, list[str]]
    origin: str | None
    """Who says to have signed it."""
    body: Any


class Refusal(Exception):
    """The honest answer is an error."""

    def __init__(self, status: int, errcode: str) -> None:
        self.status = status
        self.body = {"errcode": errcode, "error": "No"}
        super().__init__(errcode)


Lie = Callable[[Asked, Any], Any]
"""(request, honest answer; None where that is an error) to what is answered, or to an awaitable of it.

JSON is sent with status 200, a TransportAnswer as it is. Waiting, or raising what a transport raises, is allowed.
"""


class Peer:
    """One homeserver. What a test changes holds for the next request."""

    def __init__(self, name: str, *, now: Callable[[], int] | None = None) -> None:
        self.name = name
        self.key = SigningKey(sha256(name.encode()).digest(), "peer")
        self.keys = {name: self.key}
        """With which its rooms sign; a test may add those of other servers."""
        self.now = now or (lambda: int(time.time() * 1000))
        """The time in ms; the server under test must have about the same."""
        self.rooms: dict[str, PeerRoom] = {}
        self.asked: list[Asked] = []
        """Every request, in order."""
        self.transactions: list[JsonObject] = []
        """The bodies of all `/send`s that came in."""
        self.invites: list[Event] = []
        self.lies: dict[str, Lie] = {}
        """By the name of the endpoint (`Asked.name`)."""
        self.omits_members = False
        """Whether a join is answered without the members, if the other side can do with that."""
        self.reach: Reach | None = None
        self._txn = itertools.count(1)

    @classmethod
    def on(cls, wire: Wire, name: str, **how: Any) -> "Peer":
        """A peer at the wire."""
        peer = cls(name, **how)
        wire.peers[name] = peer.handle
        transport = wire.transport(name)

        async def reach(
            destination: str, method: str, target: str, headers: Mapping[str, str], body: bytes | None
        ) -> TransportAnswer:
            return await transport.send(
                destination, method, target, headers, body, timeout=60, max_bytes=2**30
            )

        peer.reach = reach
        return peer

    def user(self, name: str = "eve") -> str:
        """The id of a user here."""
        return f"@{name}:{self.name}"

    def room(self, version: str = "10", *, name: str | None = None, **how: Any) -> PeerRoom:
        """A new, empty room of `@eve`: the create event alone."""
        how.setdefault("ts", self.now() - DAY_MS // 24)
        room = PeerRoom(self.keys, self.user(), version, name=name or f"room{len(self.rooms) + 1}", **how)
        self.rooms[room.room_id] = room
        return room

    # ------------------------------------------------------------------------------------------ asking

    async def request(
        self, destination: str, method: str, target: str, body: Any = None, *, origin: str | None = None
    ) -> TransportAnswer:
        """Make a request, signed with our key; `body` is JSON, or bytes of canonical JSON."""
        assert self.reach is not None, "the peer is not connected"
        content = body if body is None or isinstance(body, bytes) else canonical_json.encode_unchecked(body)
        header = authorize(self.key, origin or self.name, destination, method, target, content)
        headers = {"authorization": header, "content-type": "application/json"}
        return await self.reach(destination, method, target, headers, content)

    async def send(
        self,
        destination: str,
        pdus: Sequence[Pdu],
        edus: Sequence[JsonObject] = (),
        *,
        txn: str | None = None,
        origin: str | None = None,
    ) -> TransportAnswer:
        """Send a transaction; PDUs of bytes go as they are."""
        target = f"/_matrix/federation/v1/send/{quote(txn or f't{next(self._txn)}', safe='')}"
        body = b'{"edus":%s,"origin":%s,"origin_server_ts":%d,"pdus":[%s]}' % (
            canonical_json.encode_lenient(list(edus)),
            orjson.dumps(origin or self.name),
            self.now(),
            b",".join(map(as_bytes, pdus)),
        )
        return await self.request(destination, "PUT", target, body, origin=origin)

    # ------------------------------------------------------------------------------------------ answering

    async def handle(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> TransportAnswer:
        """Answer a request: honestly, unless there is a lie for it."""
        asked = self._read(method, target, headers, body)
        self.asked.append(asked)
        status = 200
        try:
            answer = await self._honest(asked)
        except Refusal as refusal:
            status, answer = refusal.status, refusal.body
        lie = self.lies.get(asked.name)
        if lie is not None:
            told = lie(asked, answer if status == 200 else None)
            answer, status = (await told if inspect.isawaitable(told) else told), 200
        if isinstance(answer, TransportAnswer):
            return answer
        content = answer if isinstance(answer, bytes) else orjson.dumps(answer)
        return TransportAnswer(status, {"content-type": "application/json"}, content)

    def _read(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Asked:
        split = urlsplit(target)
        parts = [unquote(part) for part in split.path.split("/")]
        # "", "_matrix", "federation", "v1", name, …   or   "", "_matrix", "key", "v2", "server"
        name = "key" if parts[2:3] == ["key"] else parts[4] if len(parts) > 4 else ""
        header = next((value for key, value in headers.items() if key.lower() == "authorization"), "")
        return Asked(
            name,
            method,
            tuple(parts[5:]),
            parse_qs(split.query),
            parse_authorization(header).get("origin"),
            canonical_json.decode_lenient(body) if body else None,
        )

    async def _honest(self, asked: Asked) -> Any:
        handler = getattr(self, f"_answer_{asked.name}", None)
        if handler is None:
            raise Refusal(404, "M_UNRECOGNIZED")
        return handler(asked)

    def _room(self, asked: Asked) -> PeerRoom:
        room = self.rooms.get(asked.parts[0]) if asked.parts else None
        if room is None:
            raise Refusal(404, "M_NOT_FOUND")
        return room

    def _event(self, event_id: str) -> tuple[PeerRoom, Event]:
        for room in self.rooms.values():
            event = room.events.get(EventID(event_id))
            if event is not None:
                return room, event
        raise Refusal(404, "M_NOT_FOUND")

    def _answer_key(self, asked: Asked) -> JsonObject:
        if asked.parts:
            raise Refusal(404, "M_UNRECOGNIZED")
        return own_keys(self.name, [self.key], [], self.now() + DAY_MS)

    def _answer_version(self, asked: Asked) -> JsonObject:
        return {"server": {"name": "peer", "version": "1"}}

    def _answer_send(self, asked: Asked) -> JsonObject:
        self.transactions.append(asked.body)
        for pdu in asked.body.get("pdus", []):
            room = self.rooms.get(pdu.get("room_id"))
            if room is not None:
                room.put(Event.from_dict(pdu, room.version))
        return {"pdus": {}}

    def _answer_make_join(self, asked: Asked) -> JsonObject:
        return self._make(asked, "join")

    def _answer_make_leave(self, asked: Asked) -> JsonObject:
        return self._make(asked, "leave")

    def _answer_make_knock(self, asked: Asked) -> JsonObject:
        return self._make(asked, "knock")

    def _make(self, asked: Asked, membership: str) -> JsonObject:
        room = self._room(asked)
        if membership != "leave" and room.version.id not in asked.query.get("ver", ["1"]):
            raise Refusal(400, "M_INCOMPATIBLE_ROOM_VERSION")
        template = room.template(asked.parts[1], {"membership": membership})
        return {"room_version": room.version.id, "event": template}

    def _answer_send_join(self, asked: Asked) -> JsonObject:
        room = self._room(asked)
        event = Event.from_dict(asked.body, room.version)
        authorizer = event.content.get("join_authorised_via_users_server")
        if isinstance(authorizer, str) and server_of(authorizer) == self.name:
            event = sign(event, self.name, self.key)
        state = list(room.state_after(event.prev_events).values())
        joined = {
            server_of(key)
            for (kind, key), event_id in room.state.items()
            if kind == "m.room.member" and room.events[event_id].content.get("membership") == "join"
        }
        room.put(event)
        omitted = self.omits_members and asked.query.get("omit_members") == ["true"]
        if omitted:
            state = [event_id for event_id in state if room.events[event_id].type != "m.room.member"]
        chain = room.auth_chain([*state, *event.auth_events]) - set(state)
        return {
            "origin": self.name,
            "members_omitted": omitted,
            "servers_in_room": sorted(joined),
            "event": orjson.Fragment(event.pdu),
            "state": fragments(room, state),
            "auth_chain": fragments(room, sorted(chain)),
        }

    def _answer_send_leave(self, asked: Asked) -> JsonObject:
        room = self._room(asked)
        room.put(Event.from_dict(asked.body, room.version))
        return {}

    def _answer_send_knock(self, asked: Asked) -> JsonObject:
        room = self._room(asked)
        room.put(Event.from_dict(asked.body, room.version))
        return {"knock_room_state": []}

    def _answer_invite(self, asked: Asked) -> JsonObject:
        event = Event.from_dict(asked.body["event"], get_room_version(asked.body["room_version"]))
        self.invites.append(event)
        return {"event": orjson.Fragment(sign(event, self.name, self.key).pdu)}

    def _answer_event(self, asked: Asked) -> JsonObject:
        _, event = self._event(asked.parts[0])
        return self._transaction([event.pdu])

    def _answer_state_ids(self, asked: Asked) -> JsonObject:
        room, state = self._state_before(asked)
        return {"pdu_ids": sorted(state), "auth_chain_ids": sorted(room.auth_chain(state))}

    def _answer_state(self, asked: Asked) -> JsonObject:
        room, state = self._state_before(asked)
        return {
            "pdus": fragments(room, sorted(state)),
            "auth_chain": fragments(room, sorted(room.auth_chain(state) - set(state))),
        }

    def _state_before(self, asked: Asked) -> tuple[PeerRoom, list[EventID]]:
        room, event_id = self._room(asked), EventID(asked.query["event_id"][0])
        if event_id not in room.events:
            raise Refusal(404, "M_NOT_FOUND")
        return room, list(room.state_before(event_id).values())

    def _answer_event_auth(self, asked: Asked) -> JsonObject:
        room, event = self._room(asked), self._event(asked.parts[1])[1]
        return {"auth_chain": fragments(room, sorted(room.auth_chain(event.auth_events)))}

    def _answer_backfill(self, asked: Asked) -> JsonObject:
        limit = min(int(asked.query["limit"][0]), 100)
        return self._transaction([event.pdu for event in self._room(asked).before(asked.query["v"], limit)])

    def _answer_get_missing_events(self, asked: Asked) -> JsonObject:
        room = self._room(asked)
        latest = [event_id for event_id in asked.body["latest_events"] if event_id in room.events]
        starts = [prev for event_id in latest for prev in room.events[event_id].prev_events]
        found = room.before(starts, min(asked.body.get("limit", 10), 20), asked.body["earliest_events"])
        return {"events": [orjson.Fragment(event.pdu) for event in reversed(found)]}

    def _transaction(self, pdus: Sequence[bytes]) -> JsonObject:
        return {
            "origin": self.name,
            "origin_server_ts": self.now(),
            "pdus": [orjson.Fragment(pdu) for pdu in pdus],
        }


def fragments(room: PeerRoom, event_ids: Sequence[EventID]) -> list[orjson.Fragment]:
    """The events as they stand in an answer."""
    return [orjson.Fragment(room.events[event_id].pdu) for event_id in event_ids]


def as_bytes(pdu: Pdu) -> bytes:
    """The JSON of a PDU; bytes stay as they are."""
    if isinstance(pdu, Event):
        return pdu.pdu
    return pdu if isinstance(pdu, bytes) else canonical_json.encode_lenient(pdu)


ALL_VERSIONS = tuple(ROOM_VERSIONS)
