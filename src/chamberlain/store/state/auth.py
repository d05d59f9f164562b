"""What state resolution needs of the graph of auth events: the auth difference, and the events to load.

An auth difference costs what differs, not the room: a walk from the conflicting events, highest first, in
which each event gets the color of every view that reaches it. All reach an event of the unconflicted state.
"""

import heapq
from collections.abc import Collection, Iterable

import msgspec

from chamberlain.matrix.types import StateKey
from chamberlain.store.state.keys import find_keys
from chamberlain.store.state.merge import Comparison
from chamberlain.store.state.read import full
from chamberlain.store.state.write import view_values
from chamberlain.store.tx import Read

FORWARD_PAGE = 64
FORWARD_ROWS = 2_000
"""A forward search that has read this many rows gives up, and whole auth chains are computed."""


class Ingredients(msgspec.Struct, frozen=True):
    """What resolution takes beside the conflicting events."""

    auth_difference: frozenset[int]
    events: frozenset[int]
    """Every event to load: conflicting ones, the auth difference, for v2.1 the paths between conflicting
    events, the auth events of all these, and the power levels that these go back to."""


def conflicting_events(comparison: Comparison) -> set[int]:
    """The events of all conflicting keys."""
    return {event for events in comparison.conflicts.values() for event in events if event is not None}


async def ingredients(tx: Read, comparison: Comparison, *, subgraph: bool) -> Ingredients:
    """What to resolve a comparison with; `subgraph` for state resolution v2.1."""
    conflicting = conflicting_events(comparison)
    difference = await auth_difference(tx, comparison)
    whole = conflicting | difference
    if subgraph:
        whole |= await conflicted_subgraph(tx, conflicting)
    direct = {auth for _, auth in await _auth_edges(tx, whole)}
    levels = await unconflicted(tx, comparison, [("m.room.power_levels", "")])
    mainline = await tx.all(
        "WITH RECURSIVE mainline(nid) AS ("
        " SELECT nid FROM events WHERE nid = ANY(:start)"
        " UNION SELECT e.nid FROM mainline m JOIN event_auth a ON a.event = m.nid"
        " JOIN events e ON e.nid = a.auth WHERE e.type = 'm.room.power_levels' AND e.state_key = '')"
        " SELECT nid FROM mainline",
        start=list(whole.union(levels.values())),
    )
    return Ingredients(frozenset(difference), frozenset(whole | direct | {row[0] for row in mainline}))


async def unconflicted(tx: Read, comparison: Comparison, names: Collection[StateKey]) -> dict[StateKey, int]:
    """Of these keys those in which all views agree, with their events."""
    keys = await find_keys(tx, names)
    agreed = {name: key for name, key in keys.items() if key not in comparison.conflicts}
    values = await view_values(tx, comparison.views[0], set(agreed.values()))
    return {name: values[key] for name, key in agreed.items() if key in values}


async def _auth_edges(tx: Read, events: Iterable[int]) -> list[tuple[int, int]]:
    rows = await tx.all("SELECT event, auth FROM event_auth WHERE event = ANY(:events)", events=list(events))
    return [(event, auth) for event, auth in rows]


async def auth_difference(tx: Read, comparison: Comparison, *, rows: int = FORWARD_ROWS) -> set[int]:
    """The events that are in some, but not all, auth chains of the views; a chain holds the state itself too.

    Of the conflicting events some may be in it and some not: resolution takes them anyhow.
    """
    if not comparison.conflicts:
        return set()
    walk = _Walk(tx, comparison)
    await walk.down()
    difference: set[int] = set()
    reached: set[int] = set()
    for event in walk.uncommon:
        if event not in reached:
            common = await walk.is_reached(event, rows)
            if common is None:
                return await _difference_of_chains(tx, comparison)
            if not common:
                difference.add(event)
                continue
        reached.update(walk.auth[event])
    return difference


class _Walk:
    """The colored walk, and the searches forward from what it leaves."""

    def __init__(self, tx: Read, comparison: Comparison) -> None:
        self._tx = tx
        self._comparison = comparison
        self._all = (1 << len(comparison.views)) - 1
        self._colors: dict[int, int] = {}
        self._heap: list[tuple[int, int]] = []
        self._partial = 0
        self._heights: dict[int, int] = {}
        self._is_common: dict[int, bool] = {}
        self.auth: dict[int, list[int]] = {}
        self.uncommon: list[int] = []

    async def down(self) -> None:
        """Fill `uncommon`, highest first, until everything still to visit is reached by all views."""
        conflicting = conflicting_events(self._comparison)
        rows = await self._tx.all(
            "SELECT nid, auth_height FROM events WHERE nid = ANY(:nids)", nids=list(conflicting)
        )
        self._heights = {nid: height for nid, height in rows}
        self._is_common = dict.fromkeys(conflicting, False)
        for events in self._comparison.conflicts.values():
            for n, event in enumerate(events):
                if event is not None:
                    self._reach(event, 1 << n)
        while self._heap and self._partial:
            event = heapq.heappop(self._heap)[1]
            if event not in self.auth:
                await self._load([event, *(waiting for _, waiting in self._heap)])
            colors = self._colors[event]
            if colors != self._all:
                self._partial -= 1
                self.uncommon.append(event)
            for auth in self.auth[event]:
                self._reach(auth, colors)

    def _reach(self, event: int, colors: int) -> None:
        old = self._colors.get(event)
        if old is None:
            new = self._all if self._is_common[event] else colors
            heapq.heappush(self._heap, (-self._heights[event], event))
            self._partial += new != self._all
        else:
            new = old | colors
            self._partial -= old != self._all and new == self._all
        self._colors[event] = new

    async def _load(self, events: Iterable[int]) -> None:
        wanted = [event for event in events if event not in self.auth]
        rows = await self._tx.all(
            "SELECT a.event, a.auth, e.auth_height, k.key FROM event_auth a JOIN events e ON e.nid = a.auth"
            " LEFT JOIN state_keys k ON k.type = e.type AND k.state_key = e.state_key"
            " WHERE a.event = ANY(:events)",
            events=wanted,
        )
        self.auth.update((event, []) for event in wanted)
        for event, auth, height, _ in rows:
            self.auth[event].append(auth)
            self._heights[auth] = height
        await self._judge({auth: key for _, auth, _, key in rows})

    async def _judge(self, keys: dict[int, int | None]) -> None:
        """Learn which of these events, given with their keys, are of the unconflicted state."""
        conflicts = self._comparison.conflicts
        asked = {
            key for event, key in keys.items() if key is not None and event not in self._is_common
        } - conflicts.keys()
        state = await view_values(self._tx, self._comparison.views[0], asked)
        for event, key in keys.items():
            if event not in self._is_common:
                self._is_common[event] = key is not None and key in asked and state.get(key) == event

    async def is_reached(self, event: int, budget: int) -> bool | None:
        """Whether the unconflicted state goes back to this event; None where that would cost too much."""
        frontier, seen = [event], {event}
        while frontier:
            found: list[tuple[int, int | None]] = []
            for limit in (FORWARD_PAGE, budget + 1):
                rows = await self._tx.all(
                    "SELECT a.event, k.key FROM event_auth a JOIN events e ON e.nid = a.event"
                    " LEFT JOIN state_keys k ON k.type = e.type AND k.state_key = e.state_key"
                    " WHERE a.auth = ANY(:events) ORDER BY a.event DESC LIMIT :limit",
                    events=frontier,
                    limit=limit,
                )
                found = [(nid, key) for nid, key in rows]
                await self._judge(dict(found))
                if any(self._is_common[nid] for nid, _ in found):
                    return True
                if len(found) < limit:
                    break
            budget -= len(found)
            if budget < 0:
                return None
            frontier = [nid for nid, _ in found if nid not in seen]
            seen.update(frontier)
        return False


async def _difference_of_chains(tx: Read, comparison: Comparison) -> set[int]:
    """The same by whole auth chains."""
    first = comparison.views[0]
    state: dict[int, int | None] = {**await full(tx, first.point), **first.changes}
    agreed = [event for key, event in state.items() if event and key not in comparison.conflicts]
    chains = [
        await auth_chain(tx, [events[n] for events in comparison.conflicts.values()])
        for n in range(len(comparison.views))
    ]
    in_some: set[int] = set().union(*chains)
    in_all = in_some.intersection(*chains)
    return in_some - in_all - await auth_chain(tx, agreed)


async def auth_chain(tx: Read, events: Iterable[int | None]) -> set[int]:
    """These events and all that their auth events go back to."""
    rows = await tx.all(
        "WITH RECURSIVE chain(nid) AS (SELECT nid FROM events WHERE nid = ANY(:events)"
        " UNION SELECT a.auth FROM chain c JOIN event_auth a ON a.event = c.nid) SELECT nid FROM chain",
        events=[event for event in events if event is not None],
    )
    return {row[0] for row in rows}


async def conflicted_subgraph(tx: Read, conflicting: Collection[int]) -> set[int]:
    """The events on the ways of auth events from one conflicting event to another, both included."""
    rows = await tx.all("SELECT nid, auth_height FROM events WHERE nid = ANY(:nids)", nids=list(conflicting))
    heights: dict[int, int] = {nid: height for nid, height in rows}
    if not heights:
        return set()
    floor = min(heights.values())
    auth: dict[int, list[int]] = {}
    frontier = list(heights)
    while frontier:
        found = await tx.all(
            "SELECT a.event, a.auth, e.auth_height FROM event_auth a JOIN events e ON e.nid = a.auth"
            " WHERE a.event = ANY(:events) AND e.auth_height >= :floor",
            events=frontier,
            floor=floor,
        )
        auth.update((event, []) for event in frontier)
        for event, cited, height in found:
            auth[event].append(cited)
            heights[cited] = height
        frontier = [nid for nid in {cited for _, cited, _ in found} if nid not in auth]
    leads: dict[int, bool] = {}
    for event in sorted(heights, key=lambda nid: heights[nid]):
        leads[event] = event in conflicting or any(leads[cited] for cited in auth[event])
    return {event for event, does in leads.items() if does}
