"""Rooms drawn by hand: events with made-up ids, whose auth events come out of a given state."""

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chamberlain.matrix.auth_rules.check import check
from chamberlain.matrix.auth_rules.power_levels import CREATE_KEY
from chamberlain.matrix.auth_rules.selection import auth_keys
from chamberlain.matrix.events import Event
from chamberlain.matrix.ids import EventID, RoomID, UserID
from chamberlain.matrix.resolution import resolve, separate
from chamberlain.matrix.types import StateKey
from chamberlain.matrix.versions import RoomVersion

State = dict[StateKey, EventID]

POWER = ("m.room.power_levels", "")
RULES = ("m.room.join_rules", "")
TOPIC = ("m.room.topic", "")


def member(user: str) -> StateKey:
    """The key of a user's membership."""
    return ("m.room.member", user)


class Dag:
    """The events of one room; `@a:x` makes it."""

    def __init__(self, version: RoomVersion) -> None:
        self.version = version
        self.events: dict[EventID, Event] = {}
        self.rejected: set[EventID] = set()

    def draw(
        self,
        state: Mapping[StateKey, EventID],
        event_type: str,
        sender: str,
        content: dict[str, Any],
        state_key: str = "",
        *,
        ts: int | None = None,
        depth: int | None = None,
        name: str | None = None,
        auth: Sequence[str] | None = None,
    ) -> Event:
        """An event, not yet in the room; `ts` and the name follow from how many there are."""
        number = len(self.events)
        event_id = EventID(f"${name or f'e{number:04}'}:x")
        if auth is None:
            keys = auth_keys(self.version, event_type, sender, state_key, content)
            auth = sorted(state[key] for key in keys if key in state)
        if depth is None:
            depth = 1 + max((self.events[EventID(cited)].depth for cited in auth), default=0)
        return Event(
            event_id,
            RoomID("!e0000:x"),
            event_type,
            state_key,
            UserID(sender),
            content,
            number * 10 if ts is None else ts,
            depth,
            () if event_type == "m.room.create" else (EventID("$before:x"),),
            tuple(EventID(cited) for cited in auth),
            None,
            b"",
            self.version,
        )

    def put(self, event: Event) -> Event:
        """Add an event to the room."""
        self.events[event.event_id] = event
        return event

    def send(
        self,
        state: State,
        event_type: str,
        sender: str,
        content: dict[str, Any],
        state_key: str = "",
        **how: Any,
    ) -> EventID:
        """Add a state event to the room and to the state, whether it is allowed or not; its id."""
        event = self.put(self.draw(state, event_type, sender, content, state_key, **how))
        state[(event_type, state_key)] = event.event_id
        return event.event_id

    def membership(self, state: State, sender: str, target: str, membership: str, **how: Any) -> EventID:
        """`sender` sets the membership of `target`."""
        return self.send(state, "m.room.member", sender, {"membership": membership}, target, **how)

    def is_allowed(self, state: Mapping[StateKey, EventID], event: Event) -> bool:
        """Whether the event passes in this state."""
        return check(event, {key: self.events[event_id] for key, event_id in state.items()}).allowed

    def begin(self, levels: Mapping[str, int], rule: str = "public") -> State:
        """A room that `@a:x` made, with these power levels besides its own."""
        state: State = {}
        self.send(state, "m.room.create", "@a:x", {"creator": "@a:x", "room_version": self.version.id})
        self.membership(state, "@a:x", "@a:x", "join")
        users = dict(levels) if self.version.creators_have_infinite_power else {"@a:x": 100, **levels}
        self.send(state, "m.room.power_levels", "@a:x", {"users": users})
        self.send(state, "m.room.join_rules", "@a:x", {"join_rule": rule})
        for user in levels:
            self.membership(state, user, user, "join")
        return state

    # ------------------------------------------------------------------------------------------ resolution

    def chain(self, ids: Iterable[EventID]) -> set[EventID]:
        """These events and all that their auth events go back to."""
        found: set[EventID] = set()
        waiting = list(ids)
        while waiting:
            event_id = waiting.pop()
            if event_id not in found:
                found.add(event_id)
                waiting.extend(self.events[event_id].auth_events)
        return found

    def auth_difference(self, states: Sequence[State]) -> set[EventID]:
        """What is in some auth chains of the states, but not in all."""
        chains = [self.chain(state.values()) for state in states]
        return set[EventID]().union(*chains) - set.intersection(*chains)

    def resolve(self, *states: State) -> State:
        """The resolution of some states."""
        unconflicted, conflicted = separate(states)
        return resolve(
            self.version, unconflicted, conflicted, self.auth_difference(states), self.events, self.rejected
        )


USERS = ("@a:x", "@b:x", "@c:x", "@d:x", "@e:x")


def grow(dag: Dag, state: State, rnd: random.Random, ts: int, past: Sequence[State] = ()) -> None:
    """One more state event that the state allows, if the dice find one; it may cite what held in the past."""
    sender = rnd.choice([*USERS, "@a:x", "@a:x"])
    dice = rnd.random()
    if dice < 0.45:
        content, key = {"membership": rnd.choice(["join", "join", "leave"])}, member(sender)
    elif dice < 0.6:
        content, key = {"membership": rnd.choice(["leave", "ban", "invite"])}, member(rnd.choice(USERS[1:]))
    elif dice < 0.75:
        content, key = {"users": levels_for(dag, rnd), "state_default": rnd.choice([0, 50])}, POWER
    elif dice < 0.82:
        content, key = {"join_rule": rnd.choice(["public", "invite"])}, RULES
    else:
        content, key = {"topic": str(ts)}, (rnd.choice(["m.room.topic", "m.room.name", "x"]), "")
    cited = rnd.choice(past) if past and rnd.random() < 0.25 else state
    event = dag.draw(cited, key[0], sender, content, key[1], ts=ts)
    if dag.is_allowed(state, event):
        state[key] = dag.put(event).event_id


def levels_for(dag: Dag, rnd: random.Random) -> dict[str, int]:
    """Power levels under which the room's creator keeps its power."""
    levels = {rnd.choice(USERS[1:]): rnd.choice([50, 100]), rnd.choice(USERS[1:]): 50}
    return levels if dag.version.creators_have_infinite_power else {"@a:x": 100, **levels}


def forked_room(version: RoomVersion, rnd: random.Random) -> tuple[Dag, list[State]]:
    """A room with a common past and some sides, one of which may be the resolution of others."""
    dag = Dag(version)
    base = dag.begin({"@b:x": 50})
    ts = 1000
    past = [dict(base)]
    for _ in range(rnd.randint(0, 20)):
        ts += 10
        grow(dag, base, rnd, ts, past)
        past.append(dict(base))
    sides: list[State] = []
    for _ in range(rnd.choice([2, 2, 3])):
        side = dict(rnd.choice([base, *sides]))
        if len(sides) >= 2 and rnd.random() < 0.3:
            side = dag.resolve(*sides)
        for _ in range(rnd.randint(1, 10)):
            grow(dag, side, rnd, ts + rnd.randint(1, 100), past)
        sides.append(side)
    if rnd.random() < 0.2:
        del sides[0][rnd.choice([key for key in sides[0] if key != CREATE_KEY])]
    return dag, sides
