"""A room as a hand-made homeserver keeps it: events that it built or was sent, with the state at each of them."""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import Any

from chamberlain.matrix.auth_rules.selection import select_auth_events
from chamberlain.matrix.canonical_json import MAX_INTEGER
from chamberlain.matrix.events import Draft, Event, build, unsigned_pdu
from chamberlain.matrix.hashes import content_hash, decode_for, encode_for, reference_hash, signed_bytes
from chamberlain.matrix.ids import EventID, RoomID, server_of
from chamberlain.matrix.resolution import resolve, separate
from chamberlain.matrix.signing import SigningKey, encode_base64
from chamberlain.matrix.types import JsonObject, StateKey
from chamberlain.matrix.versions import RoomVersion, get_room_version

State = dict[StateKey, EventID]
FAR = 100


class PeerRoom:
    """Builds events and keeps whatever it is given; nobody checks whether the rules allow it.

    `keys` are the signing keys by server name: an event is signed by the server of its sender.
    """

    def __init__(
        self,
        keys: Mapping[str, SigningKey],
        creator: str,
        version: str = "10",
        *,
        ts: int,
        name: str = "room",
        create_content: JsonObject | None = None,
    ) -> None:
        self.keys = keys
        self.version: RoomVersion = get_room_version(version)
        self.ts = ts
        """When the next event is sent, in ms; each moves it on by one."""
        self.events: dict[EventID, Event] = {}
        self.heads: set[EventID] = set()
        self.state: State = {}
        """The state after all heads."""
        self.rejected: set[EventID] = set()
        """Events that count for no state, though others may point to them."""
        self._hashes: dict[str, str] = {}
        self._after: dict[EventID, State] = {}
        self.room_id = RoomID(f"!{name}:{server_of(creator)}")
        self.creator = creator
        content: JsonObject = {"room_version": version, **(create_content or {})}
        if self.version.creator_in_content:
            content.setdefault("creator", creator)
        create = self.send("m.room.create", creator, content, "")
        self.room_id = create.room_id

    def furnish(self, join_rule: str = "public", **levels: Any) -> "PeerRoom":
        """Have the creator in, who sets power levels, the join rule and that history is shared."""
        self.member(self.creator, "join")
        power: JsonObject = {"users": {self.creator: 100}, **levels}
        if self.version.creators_have_infinite_power:
            power["users"].pop(self.creator, None)
        self.send("m.room.power_levels", self.creator, power, "")
        self.send("m.room.join_rules", self.creator, {"join_rule": join_rule}, "")
        self.send("m.room.history_visibility", self.creator, {"history_visibility": "shared"}, "")
        return self

    def copy(self) -> "PeerRoom":
        """The same room, which then goes its own way."""
        other = copy(self)
        other.events, other.heads, other.state = dict(self.events), set(self.heads), dict(self.state)
        other.rejected, other._hashes, other._after = set(self.rejected), dict(self._hashes), {}
        return other

    # ------------------------------------------------------------------------------------------ building

    def build(
        self,
        type: str,
        sender: str,
        content: JsonObject,
        state_key: str | None = None,
        *,
        redacts: str | None = None,
        prev: Sequence[str] | None = None,
        auth: Sequence[str] | None = None,
        depth: int | None = None,
        ts: int | None = None,
    ) -> Event:
        """An event after `prev` (the heads), signed by its sender's server; the room stays as it is.

        What it cites comes out of the state after `prev`, unless `auth` says it.
        """
        following = sorted(self.heads) if prev is None else list(prev)
        if auth is None:
            state = self.state if prev is None else self.state_after(following)
            auth = select_auth_events(self.version, type, sender, state_key, content, state)
        if depth is None:
            known = [self.events[EventID(before)].depth for before in following if before in self.events]
            depth = min(1 + max(known, default=0), self.deepest)
        if ts is None:
            ts = self.ts
            self.ts += 1
        server = server_of(sender)
        return build(
            Draft(
                room_id=self.room_id,
                type=type,
                sender=sender,
                content=content,
                state_key=state_key,
                redacts=redacts,
                origin_server_ts=ts,
            ),
            version=self.version,
            prev_events=following,
            auth_events=auth,
            depth=depth,
            server_name=server,
            signing_key=self.keys[server],
            reference_hashes=self._hashes,
        )

    def template(self, user_id: str, content: JsonObject) -> JsonObject:
        """The membership event that a server of that user would complete and sign."""
        return unsigned_pdu(
            Draft(
                room_id=self.room_id,
                type="m.room.member",
                sender=user_id,
                content=content,
                state_key=user_id,
                origin_server_ts=self.ts,
            ),
            version=self.version,
            prev_events=sorted(self.heads),
            auth_events=select_auth_events(
                self.version, "m.room.member", user_id, user_id, content, self.state
            ),
            depth=min(1 + max(self.events[head].depth for head in self.heads), self.deepest),
            reference_hashes=self._hashes,
        )

    @property
    def deepest(self) -> int:
        """The depth that is not gone beyond."""
        return MAX_INTEGER if self.version.strict_canonical_json else 2**63 - 1

    def send(
        self, type: str, sender: str, content: JsonObject, state_key: str | None = None, **how: Any
    ) -> Event:
        """Build an event and put it into the room."""
        return self.put(self.build(type, sender, content, state_key, **how))

    def say(self, sender: str, body: str, **how: Any) -> Event:
        """A text message."""
        return self.send("m.room.message", sender, {"msgtype": "m.text", "body": body}, **how)

    def member(self, user_id: str, membership: str, sender: str | None = None, **how: Any) -> Event:
        """A change of membership."""
        return self.send("m.room.member", sender or user_id, {"membership": membership}, user_id, **how)

    # ------------------------------------------------------------------------------------------ the graph

    def put(self, event: Event, *, rejected: bool = False) -> Event:
        """Put an event into the room; a rejected one changes no state and is no head."""
        if event.event_id in self.events:
            return event
        self.events[event.event_id] = event
        if not self.version.has_hash_event_ids:
            digest = reference_hash(signed_bytes(decode_for(self.version, event.pdu), self.version))
            self._hashes[event.event_id] = encode_base64(digest)
        if rejected:
            self.rejected.add(event.event_id)
            return event
        is_next = set(event.prev_events) == self.heads
        self.heads = (self.heads - set(event.prev_events)) | {event.event_id}
        if not is_next:
            self.state = self.state_after(self.heads)
        elif event.key is not None:
            self.state[event.key] = event.event_id
        return event

    def state_before(self, event_id: str) -> State:
        """The state that an event was sent into."""
        return self.state_after(self.events[EventID(event_id)].prev_events)

    def state_after(self, event_ids: Iterable[str]) -> State:
        """The state after all these events, those that the room does not have left out; a new dict."""
        known = sorted({EventID(event_id) for event_id in event_ids if event_id in self.events})
        states = [self._state_after(event_id) for event_id in known]
        if len(states) < 2:
            return dict(states[0]) if states else {}
        unconflicted, conflicted = separate(states)
        if not conflicted:
            return unconflicted
        chains = [self.auth_chain(state.values()) for state in states]
        difference = set[EventID]().union(*chains) - set.intersection(*chains)
        return resolve(self.version, unconflicted, conflicted, difference, self.events, self.rejected)

    def _state_after(self, event_id: EventID) -> State:
        """The same after one event: a way back to where the state is known, and forth again."""
        way: list[Event] = []
        state: State = {}
        while True:
            kept = self._after.get(event_id)
            if kept is not None:
                state = dict(kept)
                break
            event = self.events[event_id]
            way.append(event)
            before = [prev for prev in event.prev_events if prev in self.events]
            if len(before) != 1:
                state = self.state_after(before)
                break
            event_id = before[0]
        for event in reversed(way):
            if event.key is not None and event.event_id not in self.rejected:
                state[event.key] = event.event_id
        if len(way) > FAR or (way and len(way[-1].prev_events) > 1):
            # Far from where the state is known, or beyond a merge, it is costly to find again.
            self._after[way[0].event_id] = dict(state)
        return state

    def auth_chain(self, event_ids: Iterable[str]) -> set[EventID]:
        """These events, and all that their auth events lead to."""
        found: set[EventID] = set()
        waiting = [EventID(event_id) for event_id in event_ids]
        while waiting:
            event_id = waiting.pop()
            if event_id not in found and event_id in self.events:
                found.add(event_id)
                waiting.extend(self.events[event_id].auth_events)
        return found

    def before(self, event_ids: Iterable[str], limit: int, stop: Iterable[str] = ()) -> list[Event]:
        """At most `limit` events, newest first, to which these lead back; not further than `stop`."""
        seen = set(stop)
        found: list[Event] = []
        waiting = list(event_ids)
        while waiting and len(found) < limit:
            event_id = EventID(waiting.pop(0))
            if event_id not in seen and event_id in self.events:
                seen.add(event_id)
                found.append(self.events[event_id])
                waiting.extend(self.events[event_id].prev_events)
        return found


def forge(version: RoomVersion, fields: JsonObject, server: str, key: SigningKey) -> bytes:
    """The PDU of any fields, hashed and signed as if all were well with them."""
    whole = {name: value for name, value in fields.items() if name not in ("hashes", "signatures")}
    whole["hashes"] = {"sha256": encode_base64(content_hash(whole, version))}
    return resign(version, whole, server, key)


def resign(version: RoomVersion, fields: JsonObject, server: str, key: SigningKey) -> bytes:
    """The PDU of these fields, `hashes` as they are, with this server's signature and no other."""
    whole = {name: value for name, value in fields.items() if name != "signatures"}
    whole["signatures"] = {server: {key.key_id: key.sign(signed_bytes(whole, version))}}
    return encode_for(version, whole)
