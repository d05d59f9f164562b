"""Where events of other servers enter (server-server API, Checks performed on receipt of a PDU).

    checks      signatures, content hash
    fetch       what is missing before them and of their auth events
    policy      what the room's policy server says, where it has one
    authorize   by their auth events, by the state before them, by the current state
    persist     where the state is the current one in one unit; on forks each by itself

An event is dropped that is badly signed or whose auth events nobody gives; everything else is kept: accepted, rejected
or soft-failed. To give one again is harmless.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from chamberlain.matrix.auth_rules.power_levels import CREATE_KEY
from chamberlain.matrix.errors import BadlySigned, Forbidden
from chamberlain.matrix.events import Event, client_skeleton, redact
from chamberlain.matrix.types import StateKey
from chamberlain.rooms.pipeline.authorize import Reject, by_auth_events, by_state, keys_for
from chamberlain.rooms.pipeline.beside import Beside
from chamberlain.rooms.pipeline.chain import Chain
from chamberlain.rooms.pipeline.checks import Checks
from chamberlain.rooms.pipeline.consequences import follow_from, plain_row
from chamberlain.rooms.pipeline.fetch import Fetch
from chamberlain.rooms.pipeline.fork import UNFOUNDED, Forking
from chamberlain.rooms.pipeline.head import Head, Heads, Stored
from chamberlain.rooms.pipeline.ids import EventIds
from chamberlain.rooms.pipeline.notifications import Notifications
from chamberlain.rooms.pipeline.policy import Policy
from chamberlain.rooms.pipeline.redact import redact_if_allowed, redactions_of
from chamberlain.rooms.pipeline.submit import TRIES, Submit
from chamberlain.rooms.pipeline.threads import thread_of
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.log import get_logger
from chamberlain.store.database import Database
from chamberlain.store.events import list_events_by_nid
from chamberlain.store.known import Known, find_known

_UNIT: Final = 50
"""How many events are written together."""
_STATES_TOLD: Final = 10
"""For so many events of one call others are asked what the state before them was; the rest is dropped."""
_CHAINS_TOLD: Final = 20
"""So often others are asked in one call what an event goes back to by its auth events."""

log = get_logger("rooms")


class Unfounded(Forbidden):
    """What was before the event is not known here."""

    def __init__(self) -> None:
        super().__init__("What was before the event is not known here")


class _Told(msgspec.Struct, frozen=True):
    """A run of events that can be placed one after the other; `state`: what is before the first, as others have it.

    `unwelcome`: why the policy server does not recommend those that it does not, by their ids.
    """

    events: Sequence[Event]
    state: Mapping[int, int] | None = None
    unwelcome: Mapping[str, str] = {}


class _Budget:
    """How often others may still be asked in one call, for states and for auth chains."""

    def __init__(self) -> None:
        self._states = _STATES_TOLD
        self._chains = _CHAINS_TOLD

    def may_ask_for_state(self) -> bool:
        """Whether they may be asked for a state once more."""
        self._states -= 1
        return self._states >= 0

    def may_ask_for_chain(self) -> bool:
        """Whether they may be asked for an auth chain once more."""
        self._chains -= 1
        return self._chains >= 0


class Accept:
    """Takes events of other servers to where they belong."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        heads: Heads,
        submit: Submit,
        ids: EventIds,
        checks: Checks,
        fetch: Fetch,
        forking: Forking,
        notifications: Notifications,
        policy: Policy,
    ) -> None:
        self._db = db
        self._clock = clock
        self._heads = heads
        self._submit = submit
        self._ids = ids
        self._checks = checks
        self._fetch = fetch
        self._forking = forking
        self._notifications = notifications
        self._policy = policy

    async def accept(self, origin: str, room_id: str, events: Sequence[Event]) -> None:
        """Have the events of a room that we are in, which `origin` sent, where they belong.

        They are looked at in this order; what is known already is passed over, what is bad is dropped.
        """
        head = await self._heads.find(room_id)
        if head is None:
            return
        # What names no predecessors could only begin the room anew.
        mine = [event for event in events if event.room_id == room_id and event.prev_events]
        pending = await self._checks.passed(mine)
        budget = _Budget()
        while pending:
            ready = await self._connected(pending)
            for start in range(0, ready, _UNIT):
                await self._take(room_id, _Told(pending[start : min(start + _UNIT, ready)]))
            pending = pending[ready:]
            if pending:
                await self._connect(origin, head, pending.pop(0), budget)

    async def receive(self, origin: str, event: Event) -> Event:
        """Have an event in a room that we are in, which came into it through us: the others are told of it.

        Raises:
            BadlySigned: it is.
            Unfounded: what it follows, or what it cites, is not here, and the origin does not give it.
            Forbidden: it is not allowed: here and now, or ever.
        """
        passed = await self._checks.passed([event])
        if not passed:
            raise BadlySigned
        head = await self._heads.get(event.room_id)
        if not await self._connected(passed):
            budget = _Budget()
            for one in await self._fetch.gap_before(origin, head, event):
                await self._place_founded(origin, head, one, budget)
            await self._fetch_auth(origin, passed[0], budget)
            if not await self._connected(passed):
                raise Unfounded
        refused = await self._take(event.room_id, _Told(passed), outgoing=True)
        reason = refused.get(event.event_id)
        if reason is not None:
            raise Forbidden(reason)
        return passed[0]

    # ------------------------------------------------------------------------------------- what is missing

    async def _connected(self, events: Sequence[Event]) -> int:
        """How many of the events, from the first on, have all that they name here or before them."""
        named = {name for event in events for name in (*event.prev_events, *event.auth_events)}
        found = await self._db.read(find_known, named | {event.event_id for event in events})
        known = {event_id: one for event_id, one in found.items() if not one.is_bare}
        before: set[str] = set()
        for place, event in enumerate(events):
            own = known.get(event.event_id)
            is_here = own is not None and own.is_placed
            if not is_here and not (
                all(auth in known or auth in before for auth in event.auth_events)
                and all(
                    prev in before or (prev in known and known[prev].is_placed) for prev in event.prev_events
                )
            ):
                return place
            before.add(event.event_id)
        return len(events)

    async def _connect(self, origin: str, head: Head, event: Event, budget: "_Budget") -> None:
        """Place an event that names what is not here, after what leads to it."""
        if await self._place_founded(origin, head, event, budget):
            return
        gap = [
            one for one in await self._fetch.gap_before(origin, head, event) if one.event_id != event.event_id
        ]
        for one in (*gap, event):
            if await self._place_founded(origin, head, one, budget):
                continue
            if not budget.may_ask_for_state():
                log.warning("an event was dropped: too much around it is missing", event_id=one.event_id)
                continue
            await self._place_told(origin, head, one)

    async def _place_founded(self, origin: str, head: Head, event: Event, budget: "_Budget") -> bool:
        """Place an event whose predecessors are all here; whether they are."""
        await self._fetch_auth(origin, event, budget)
        if not await self._connected([event]):
            return False
        await self._take(head.room_id, _Told([event]))
        return True

    async def _place_told(self, origin: str, head: Head, event: Event) -> None:
        """Place an event whose predecessors nobody gives, by the state that others say was before it."""
        state = await self._fetch.state_before(origin, event)
        if state is None:
            log.warning("an event was dropped: nobody gives the state before it", event_id=event.event_id)
            return
        await self._take(head.room_id, _Told([event], state))

    async def _fetch_auth(self, origin: str, event: Event, budget: "_Budget") -> None:
        known = await self._db.read(find_known, event.auth_events)
        if any(auth not in known for auth in event.auth_events) and budget.may_ask_for_chain():
            await self._fetch.auth_events(origin, event)

    # ------------------------------------------------------------------------------------- in the room's turn

    async def _take(self, room_id: str, told: _Told, *, outgoing: bool = False) -> dict[str, str]:
        """Place events; give the reasons of those that are not part of the timeline."""
        events, unwelcome = await self._policy.screened(room_id, told.events)
        told = _Told(events, told.state, unwelcome)
        return await self._submit.in_turn(room_id, partial(self._try, room_id, told, outgoing))

    async def _try(self, room_id: str, told: _Told, outgoing: bool) -> dict[str, str]:
        for _ in range(TRIES):
            # What an attempt found that came to nothing is no verdict.
            refused: dict[str, str] = {}
            if await self._place_all(room_id, told, outgoing, refused):
                return refused
            self._heads.forget(room_id)
        raise RuntimeError(f"the head of {room_id} moves too fast")

    async def _place_all(self, room_id: str, told: _Told, outgoing: bool, refused: dict[str, str]) -> bool:
        """Place the events that are not placed yet; False where another worker was faster."""
        named = {name for event in told.events for name in (*event.prev_events, *event.auth_events)}
        ids = [event.event_id for event in told.events]
        known = await self._db.read(find_known, named.union(ids))
        head = await self._heads.get(room_id)
        chain = Chain(head)
        redactions = await redactions_of(self._db, self._heads, chain, told.events)
        beside = Beside(self._db, told.events)
        for event in told.events:
            own = known.get(event.event_id)
            if own is not None and own.is_placed:
                if not own.counts:
                    refused.setdefault(event.event_id, "It was refused before")
                continue
            redacted_by = redactions.get(event.event_id)
            is_plain = told.state is None and event.event_id not in told.unwelcome
            if is_plain and (_follows(chain, event) or await beside.holds(chain, event)):
                await self._extend(chain, event, known, outgoing, refused, redacted_by)
                if event.event_id in chain.drafted:
                    beside.extended(chain, event)
                continue
            if not await self._commit(chain):
                return False
            head = await self._heads.get(room_id)
            if not await self._fork(head, event, told, outgoing, refused, redacted_by):
                return False
            head = await self._heads.get(room_id)
            chain = Chain(head)
            beside.moved()
            known = await self._db.read(find_known, named.union(ids))
        return await self._commit(chain)

    async def _commit(self, chain: Chain) -> bool:
        if not chain.writes and not chain.unplaced:
            return True
        return await self._submit.commit_chain(chain)

    async def _extend(
        self,
        chain: Chain,
        event: Event,
        known: dict[str, Known],
        outgoing: bool,
        refused: dict[str, str],
        redacted_by: str | None,
    ) -> None:
        """Place an event that follows the head, or stands beside it: the state before it is the current one."""
        if redacted_by is not None:
            event = redact(event)
        keys = keys_for(event)
        if event.key is not None:
            keys = {*keys, event.key}
        await self._heads.load(chain.head, keys)
        cited = await self._cited(chain, event, keys, known)
        if cited is None:
            refused[event.event_id] = UNFOUNDED
            return
        state = {key: found.event for key in keys if (found := chain.state(key)) is not None}
        if chain.head.is_partial:
            # Of members who are not known yet the event itself tells.
            state = {auth.event.key: auth.event for auth in cited if auth.event.key is not None} | state
        reason = self._verdict(event, cited, state, known)
        own = known.get(event.event_id)
        nid = own.nid if own is not None else (await self._ids.events.take(1))[0]
        stored = Stored(event, nid, 1 + max((entry.height for entry in cited), default=0))
        known[event.event_id] = Known(
            event.event_id, nid, event.room_id, stored.height, True, reason is not None, False
        )
        if event.state_key is not None and (own is None or own.is_bare):
            # What cites the same twice is rejected, and kept.
            chain.auth.extend((nid, auth) for auth in {entry.nid for entry in cited})
        now = self._clock.now()
        if reason is not None:
            refused[event.event_id] = reason
            log.info("an event was rejected", event_id=event.event_id, reason=reason)
            row = plain_row(stored, client_skeleton(event), now)
            row |= {"rejected": reason, "before_line": chain.head.line, "before_ver": chain.ver}
            chain.unplaced.append(row)
            return
        previous = chain.state(event.key) if event.key is not None else None
        if event.redacts is not None:
            await redact_if_allowed(self._db, self._heads, chain, event)
        follow_from(
            chain,
            stored,
            previous,
            await self._notifications.of(event, chain),
            server_name=self._submit.server_name,
            received_at=now,
            txn=None,
            thread=await thread_of(self._db, event),
            outgoing=outgoing,
            is_known=own is not None,
        )
        chain.drafted[event.event_id] = event
        chain.writes[-1].row["redacted_by"] = redacted_by

    def _verdict(
        self,
        event: Event,
        cited: Sequence[Stored],
        state: Mapping[StateKey, Event],
        known: Mapping[str, Known],
    ) -> str | None:
        """Why the event is rejected, by its auth events or by the state before it; None where it is not."""
        auth = [entry.event for entry in cited]
        rejected = {one.event_id for one in auth if one.event_id in known and known[one.event_id].is_rejected}
        verdict = by_auth_events(event, auth, state.get(CREATE_KEY), rejected=rejected)
        if not isinstance(verdict, Reject) and not _are(auth, state):
            verdict = by_state(event, state)
        return verdict.reason if isinstance(verdict, Reject) else None

    async def _cited(
        self, chain: Chain, event: Event, keys: set[StateKey], known: Mapping[str, Known]
    ) -> list[Stored] | None:
        """The auth events of an event; None where one is not here."""
        at_hand = {found.event.event_id: found for key in keys if (found := chain.state(key)) is not None}
        missing = [auth for auth in event.auth_events if auth not in at_hand]
        if missing:
            if any(auth not in known for auth in missing):
                return None
            loaded = await self._db.read(list_events_by_nid, [known[auth].nid for auth in missing])
            at_hand |= {entry[0].event_id: Stored(*entry) for entry in loaded.values()}
            for one in chain.writes:
                if one.row["event_id"] in missing:
                    written = chain.drafted[one.row["event_id"]]
                    at_hand[written.event_id] = Stored(written, one.row["nid"], one.row["auth_height"])
        if any(auth not in at_hand for auth in event.auth_events):
            return None
        return [at_hand[auth] for auth in event.auth_events]

    async def _fork(
        self,
        head: Head,
        event: Event,
        told: _Told,
        outgoing: bool,
        refused: dict[str, str],
        redacted_by: str | None,
    ) -> bool:
        outcome = await self._forking.enter(
            head,
            event,
            told.state,
            outgoing=outgoing,
            redacted_by=redacted_by,
            unwelcome=told.unwelcome.get(event.event_id),
        )
        if outcome is None:
            return False
        if outcome.refused is not None:
            refused[event.event_id] = outcome.refused
            log.info("an event was refused", event_id=event.event_id, reason=outcome.refused)
        return True


def _follows(chain: Chain, event: Event) -> bool:
    return {end.event_id for end in chain.extremities} == set(event.prev_events)


def _are(cited: Sequence[Event], state: Mapping[StateKey, Event]) -> bool:
    """Whether the auth events are the ones that the state has, no more and no less, so that it says the same."""
    own = {event.key: event.event_id for event in cited if event.key != CREATE_KEY}
    return own == {key: event.event_id for key, event in state.items() if key != CREATE_KEY}
