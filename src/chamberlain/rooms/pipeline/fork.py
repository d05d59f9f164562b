"""An event that does not follow the head of its room: the state before it, the verdicts, the state after all."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.events import Event, client_skeleton
from chamberlain.matrix.ids import find_server_of
from chamberlain.matrix.types import StateKey
from chamberlain.rooms.pipeline.authorize import Reject, by_state, keys_for
from chamberlain.rooms.pipeline.chain import Chain, with_end
from chamberlain.rooms.pipeline.consequences import Notified, count, notification_rows, plain_row
from chamberlain.rooms.pipeline.head import Extremity, Head, Heads, Stored
from chamberlain.rooms.pipeline.ids import EventIds
from chamberlain.rooms.pipeline.notifications import Notifications
from chamberlain.rooms.pipeline.outliers import Outliers
from chamberlain.rooms.pipeline.redact import redact_if_allowed, rewritten
from chamberlain.rooms.pipeline.resolve import Resolve
from chamberlain.rooms.pipeline.summary import (
    count_member,
    membership_in,
    membership_row,
    retract,
    summarize,
)
from chamberlain.rooms.pipeline.threads import thread_of
from chamberlain.rooms.words import words_in
from chamberlain.runtime.clock import Clock
from chamberlain.store import events
from chamberlain.store.commit import EventWrite
from chamberlain.store.commit import Head as HeadWrite
from chamberlain.store.database import Database
from chamberlain.store.forks import Fork, commit_fork
from chamberlain.store.known import Known, find_known, list_pdus
from chamberlain.store.state.keys import find_keys
from chamberlain.store.state.lines import LINES_PER_WRITE, Point
from chamberlain.store.state.merge import after, changes_to, given
from chamberlain.store.state.read import get_many
from chamberlain.store.state.write import View
from chamberlain.store.tx import Read

MERGED: Final = 20
"""Up to so many ends of a room are resolved together; with more of them, the newest is with what the others came to."""
ANCESTORS: Final = 200
"""How many events without effect are passed through to find the extremities behind them."""


UNFOUNDED: Final = "It cites events that nobody gives"


class Outcome(msgspec.Struct, frozen=True):
    """What became of an event: `refused` says why it is not part of the timeline."""

    refused: str | None


class _Judged(msgspec.Struct, frozen=True):
    chain: Chain
    fork: Fork
    refused: str | None


class Forking:
    """Places events on forks. All of it runs in the room's turn."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        heads: Heads,
        ids: EventIds,
        outliers: Outliers,
        resolve: Resolve,
        notifications: Notifications,
        server_name: str,
    ) -> None:
        self._db = db
        self._clock = clock
        self._heads = heads
        self._ids = ids
        self._outliers = outliers
        self._resolve = resolve
        self._notifications = notifications
        self._server_name = server_name

    async def enter(
        self,
        head: Head,
        event: Event,
        told: Mapping[int, int] | None = None,
        *,
        outgoing: bool,
        redacted_by: str | None = None,
        unwelcome: str | None = None,
        txn: Mapping[str, Any] | None = None,
    ) -> Outcome | None:
        """Have an event here that is not placed yet, and `place` it; None: the head has moved."""
        known = await self._outliers.keep(head.version, [event])
        known |= await self._db.read(find_known, event.prev_events)
        own = known.get(event.event_id)
        if own is None or (told is None and not all(_is_placed(known, prev) for prev in event.prev_events)):
            return Outcome(UNFOUNDED)
        return await self.place(
            head,
            Stored(event, own.nid, own.height),
            known,
            told,
            outgoing=outgoing,
            redacted_by=redacted_by,
            unwelcome=unwelcome,
            txn=txn,
        )

    async def place(
        self,
        head: Head,
        stored: Stored,
        known: Mapping[str, Known],
        told: Mapping[int, int] | None,
        *,
        outgoing: bool,
        redacted_by: str | None,
        unwelcome: str | None = None,
        txn: Mapping[str, Any] | None = None,
    ) -> Outcome | None:
        """Judge an event that is here as an outlier, and write what follows from it; None: the head has moved.

        `known`: it and all its predecessors that are here; `told`: the state before it, as another server has it,
        which is needed where predecessors are missing;
        `redacted_by`: the redaction of it that came before it; `unwelcome`: why the policy server does not
        recommend it; `txn`: the row of the transaction id that it was sent with.
        """
        event = stored.event
        judged = await self._judge(head, stored, known, told)
        soft = None if judged.refused is not None else unwelcome or await self._soft_failure(head, event)
        chain, fork = judged.chain, judged.fork
        fork.event.row |= {"soft_failed": soft is not None, "outgoing": outgoing}
        fork.takes_part = judged.refused is None and soft is None
        if fork.takes_part:
            if txn is not None:
                fork.txns = [txn]
                fork.event.row |= {"txn_device": txn["device"], "txn_id": txn["txn_id"]}
            await self._take_part(chain, fork, stored, known)
            await self._derive(chain, fork, event, redacted_by)
            fork.head = _head_of(chain)
            fork.summary = chain.summary | {"room_id": event.room_id} if chain.summary_changed else None
        if not await self._db.write(commit_fork, fork):
            return None
        return Outcome(judged.refused or soft)

    async def place_past(
        self,
        head: Head,
        stored: Stored,
        known: Mapping[str, Known],
        told: Mapping[int, int] | None,
        *,
        position: int,
        redacted_by: str | None,
    ) -> Outcome | None:
        """As `place`, for an event from before all that is here: it gets a negative position and moves nothing."""
        judged = await self._judge(head, stored, known, told)
        fork = judged.fork
        fork.is_past = True
        if judged.refused is None:
            fork.event.row["position"] = position
            await self._derive(judged.chain, fork, stored.event, redacted_by)
            if redacted_by is None:
                fork.words = words_in(stored.event.type, stored.event.content)
        if not await self._db.write(commit_fork, fork):
            return None
        return Outcome(judged.refused)

    async def _judge(
        self, head: Head, stored: Stored, known: Mapping[str, Known], told: Mapping[int, int] | None
    ) -> "_Judged":
        """The state before an event, and whether that and its auth events allow it."""
        event = stored.event
        before = await self._before(head, event, known, told)
        reason = None if not known[event.event_id].is_rejected else "its auth events do not allow it"
        if reason is None:
            reason = await self._rejection(head, event, before)
        chain = Chain(head)
        fork = await self._fork(chain, stored, before)
        fork.was_told = told is not None
        fork.follows = event.prev_events
        fork.missing = [prev for prev in event.prev_events if not _is_placed(known, prev)]
        fork.event.row["rejected"] = reason
        return _Judged(chain, fork, reason)

    async def _before(
        self, head: Head, event: Event, known: Mapping[str, Known], told: Mapping[int, int] | None
    ) -> View | None:
        if not event.prev_events:
            return None
        nids = [known[prev].nid for prev in event.prev_events if _is_placed(known, prev)]
        views = list(await self._db.snapshot(after, nids)) if nids else []
        if told is not None:
            views.append(await self._db.snapshot(given, head.point, told))
        return await self._resolve.merge(head.version, views, head.point)

    async def _rejection(self, head: Head, event: Event, before: View | None) -> str | None:
        state = {} if before is None else await self._resolve.state_at(before, keys_for(event))
        cited = await self._cited(head, event)
        verdict = by_state(event, cited | {key: found.event for key, found in state.items()})
        return verdict.reason if isinstance(verdict, Reject) else None

    async def _soft_failure(self, head: Head, event: Event) -> str | None:
        keys = keys_for(event)
        await self._heads.load(head, keys)
        state = {key: found.event for key in keys if (found := head.state.get(key)) is not None}
        verdict = by_state(event, await self._cited(head, event) | state)
        return verdict.reason if isinstance(verdict, Reject) else None

    async def _cited(self, head: Head, event: Event) -> dict[StateKey, Event]:
        """What the event itself tells of the state, where not all members are known yet; nothing elsewhere."""
        if not head.is_partial:
            return {}
        pdus = await self._db.read(list_pdus, event.auth_events)
        cited = [Event.load(pdu, head.version, name, head.room_id) for name, pdu in pdus.items()]
        return {auth.key: auth for auth in cited if auth.key is not None}

    async def _fork(self, chain: Chain, stored: Stored, before: View | None) -> Fork:
        event = stored.event
        row = plain_row(stored, client_skeleton(event), self._clock.now())
        write = EventWrite(row=row, payload=None, is_known=True)
        if event.state_key is not None:
            write.state_key = (event.type, event.state_key)
        return Fork(
            room_id=event.room_id,
            expected=chain.expected,
            head=_head_of(chain),
            event=write,
            before=before,
            lines=await self._ids.lines.take(2 * LINES_PER_WRITE),
        )

    async def _take_part(self, chain: Chain, fork: Fork, stored: Stored, known: Mapping[str, Known]) -> None:
        """What follows from an event that is part of the timeline."""
        event = stored.event
        key = event.key
        assert fork.before is not None, "nothing begins a room that is here"
        own = fork.before
        if key is not None:
            number = (await self._db.read(find_keys, [key]))[key]
            own = View(own.point, {**own.changes, number: stored.nid})
        chain.extremities = await self._extremities(chain.head, stored, known)
        await self._change_state(chain, fork, own, stored.nid)
        thread = await thread_of(self._db, event)
        notified = await self._notifications.of(event, chain)
        fork.event.notifications = notification_rows(event, notified, thread)
        count(chain, notified, in_thread=thread is not None)
        fork.event.row |= _counts(chain, notified)

    async def _derive(self, chain: Chain, fork: Fork, event: Event, redacted_by: str | None) -> None:
        """What an event has to do with others: its thread, what it replaces, what it redacts."""
        fork.event.row["thread"] = await thread_of(self._db, event)
        if event.key is not None:
            fork.event.row["replaces"] = await self._replaced(fork.before, event.key)
        if event.redacts is not None:
            await redact_if_allowed(self._db, self._heads, chain, event, fork.before)
        undone = [] if redacted_by is None else [rewritten(event, redacted_by)]
        fork.redactions, fork.waiting = [*chain.redactions, *undone], chain.waiting

    async def _replaced(self, before: View | None, key: StateKey) -> str | None:
        if before is None:
            return None
        found = (await self._resolve.state_at(before, [key])).get(key)
        return None if found is None else found.event.event_id

    async def _extremities(
        self, head: Head, stored: Stored, known: Mapping[str, Known]
    ) -> Sequence[Extremity]:
        """The room's extremities with the event in the place of what it follows."""
        event = stored.event
        followed: set[str] = set(event.prev_events)
        waiting: list[str] = [prev for prev in event.prev_events if prev in known and not known[prev].counts]
        for _ in range(ANCESTORS):
            if not waiting:
                break
            pdus = await self._db.read(list_pdus, waiting)
            parsed = [Event.load(pdu, event.version, found, event.room_id) for found, pdu in pdus.items()]
            named = {str(prev) for one in parsed for prev in one.prev_events} - followed
            followed |= named
            behind = await self._db.read(find_known, named)
            waiting = [event_id for event_id, one in behind.items() if not one.counts]
        own = Extremity(stored.nid, event.event_id, event.depth, stored.height)
        return with_end(head.extremities, own, followed)

    async def _change_state(self, chain: Chain, fork: Fork, own: View, nid: int) -> None:
        """The current state is what all extremities come to together."""
        others = [extremity.nid for extremity in chain.extremities if extremity.nid != nid]
        if len(others) > MERGED:
            # What all of them but this one came to stands in the current state: whoever makes many ends pays little.
            # Only clients and soft failures go by it. No event follows so many, and once there are fewer, they count.
            views = [View(chain.head.point), own]
        else:
            views = [*(await self._db.snapshot(after, others)), own] if others else [own]
        merged = await self._resolve.merge(chain.head.version, views, chain.head.point)
        changes = await self._db.snapshot(changes_to, chain.head.point, merged)
        fork.changes = changes
        memberships, local_members = await self.follow_changes(chain.summary, chain.head.point, changes)
        fork.memberships, fork.local_members = memberships, local_members
        chain.summary_changed = bool(changes)

    async def follow_changes(
        self, summary: dict[str, Any], point: Point, changes: Mapping[int, int | None]
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """Have the summary follow changes of the current state; give the rows of memberships, and the local users."""
        pairs = await self._db.snapshot(_changed_events, point, changes)
        rows: list[dict[str, Any]] = []
        local_members: list[str] = []
        for old, new in pairs:
            if new is not None:
                summarize(summary, new, is_new=old is None)
            elif old is not None:
                retract(summary, old)
            subject = new or old
            if subject is None or subject.type != MEMBER:
                continue
            was, now = membership_in(old), membership_in(new)
            local = find_server_of(subject.state_key or "") == self._server_name
            count_member(summary, was, now, local=local)
            if local and was != now:
                local_members.append(subject.state_key or "")
            row = membership_row(subject, local=local)
            rows.append(row if new is not None else row | {"membership": "leave"})
        return rows, local_members


async def _changed_events(
    tx: Read, point: Point, changes: Mapping[int, int | None]
) -> list[tuple[Event | None, Event | None]]:
    """The events that keys have at a point, and those that they are to have."""
    if not changes:
        return []
    old = await get_many(tx, point, changes)
    nids = {nid for nid in (*old.values(), *changes.values()) if nid is not None}
    found = await events.list_events_by_nid(tx, list(nids))

    def event_of(nid: int | None) -> Event | None:
        return found[nid][0] if nid is not None and nid in found else None

    return [(event_of(old.get(key)), event_of(nid)) for key, nid in changes.items()]


def _is_placed(known: Mapping[str, Known], event_id: str) -> bool:
    """Whether an event is here, and what was before it is known."""
    return event_id in known and known[event_id].is_placed


def _head_of(chain: Chain) -> HeadWrite:
    notify, highlight, threads = chain.counts
    return HeadWrite(
        extremities=msgspec.json.encode(chain.extremities).decode(),
        line=chain.head.line,
        ver=chain.head.ver,
        head_seq=chain.head.head_seq + 1,
        notify_count=notify,
        highlight_count=highlight,
        thread_notify_count=threads,
    )


def _counts(chain: Chain, notified: Notified) -> dict[str, Any]:
    notify, highlight, threads = chain.counts
    return {
        "notifies": notified.notify_all,
        "highlights": notified.highlight_all,
        "notify_count": notify,
        "highlight_count": highlight,
        "thread_notify_count": threads,
    }
