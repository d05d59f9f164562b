"""What a redaction does to the event that it names (client-server API, Redactions; Room Version 3)."""

from collections.abc import Callable, Sequence
from typing import Any

from chamberlain.matrix.errors import Forbidden, NotFound
from chamberlain.matrix.events import Event, client_skeleton, redact
from chamberlain.matrix.ids import find_server_of
from chamberlain.matrix.types import StateKey
from chamberlain.rooms.pipeline.chain import Chain
from chamberlain.rooms.pipeline.head import LEVEL_KEYS, Heads, Stored, power_levels_in
from chamberlain.rooms.pipeline.resolve import state_in
from chamberlain.rooms.pipeline.summary import take_back
from chamberlain.store import events
from chamberlain.store.database import Database
from chamberlain.store.known import list_waiting_redactions
from chamberlain.store.state.merge import after
from chamberlain.store.state.write import View


async def redact_target(db: Database, heads: Heads, chain: Chain, redaction: Event) -> None:
    """Have the target of a local redaction rewritten in its unit, and what was derived from it with it.

    Who may redact others' events redacts what only other servers have, too: it is rewritten if it comes.

    Raises:
        NotFound: the room has no such event here.
        Forbidden: the sender neither sent it nor has the power to redact others' events.
    """
    if redaction.redacts is None:
        return
    target = await _find_target(db, chain, redaction)
    if target is None:
        if not (_has_others(chain) and _has_power(chain.state, redaction.sender)):
            raise NotFound("The room has no such event")
        if await db.read(events.find_event, redaction.redacts) is not None:
            raise NotFound("The event is in another room")
        _wait_for_target(chain, redaction)
        return
    if target.sender != redaction.sender and not _has_power(chain.state, redaction.sender):
        raise Forbidden("You do not have the power to redact this event")
    await _rewrite(heads, chain, redaction.event_id, target)


async def redact_if_allowed(
    db: Database, heads: Heads, chain: Chain, redaction: Event, before: View | None = None
) -> None:
    """Have the target of another server's redaction rewritten, where it may be; once it comes, if it is not here.

    `before`: the state before the redaction, where that is not the one after the chain.
    """
    if redaction.redacts is None:
        return
    target = await _find_target(db, chain, redaction)
    if target is None:
        _wait_for_target(chain, redaction)
    elif await _may_redact(db, heads, chain, redaction, target, before):
        await _rewrite(heads, chain, redaction.event_id, target)


def _wait_for_target(chain: Chain, redaction: Event) -> None:
    chain.waiting.append(
        {"target": redaction.redacts, "redaction": redaction.event_id, "room_id": redaction.room_id}
    )


async def redactions_of(
    db: Database, heads: Heads, chain: Chain, arriving: Sequence[Event]
) -> dict[str, str]:
    """Give, by event, the redactions that came before those of the events that they redact."""
    waiting = await db.read(list_waiting_redactions, [event.event_id for event in arriving])
    if not waiting:
        return {}
    targets: dict[str, Event] = {event.event_id: event for event in arriving}
    found: dict[str, str] = {}
    for target_id, redaction_id in waiting:
        stored = await db.read(events.find_event, redaction_id)
        if stored is None:
            continue
        redaction, nid, _ = stored
        before = (await db.snapshot(after, [nid]))[0]
        if await _may_redact(db, heads, chain, redaction, targets[target_id], before):
            found[target_id] = redaction_id
    return found


def _has_others(chain: Chain) -> bool:
    """Whether users of other servers are in the room, which then may have events that are not here."""
    summary = chain.summary
    return chain.head.is_partial or bool(summary.get("joined", 0) > summary.get("local_joined", 0))


async def _may_redact(
    db: Database, heads: Heads, chain: Chain, redaction: Event, target: Event, before: View | None
) -> bool:
    """Whether a redaction takes effect; between servers it is enough that both come from one.

    By the state before it, which is the same for all servers: by the time of its coming it would not be.
    """
    if target.room_id != redaction.room_id:
        return False
    if find_server_of(target.sender) == find_server_of(redaction.sender):
        return True
    if before is None:
        await heads.load(chain.head, LEVEL_KEYS)
        return _has_power(chain.state, redaction.sender)
    state = await db.snapshot(state_in, before, LEVEL_KEYS)
    return _has_power(state.get, redaction.sender)


async def _find_target(db: Database, chain: Chain, redaction: Event) -> Event | None:
    assert redaction.redacts is not None
    target = chain.drafted.get(redaction.redacts)
    if target is not None:
        return target
    found = await db.read(events.find_event, redaction.redacts)
    return found[0] if found is not None and found[0].room_id == redaction.room_id else None


async def _rewrite(heads: Heads, chain: Chain, redaction_id: str, target: Event) -> None:
    redaction = rewritten(target, redaction_id)
    if target.event_id in chain.drafted:
        # It is written after the rows of others are changed.
        for write in chain.writes:
            if write.row["event_id"] == target.event_id:
                write.row |= {name: redaction[name] for name in ("pdu", "client", "redacted_by")}
    chain.redactions.append(redaction)
    redacted = redact(target)
    key = target.key
    if key is not None:
        await heads.load(chain.head, (key,))
        stored = chain.state(key)
        if stored is not None and stored.event.event_id == target.event_id:
            chain.overlay[key] = Stored(redacted, stored.nid, stored.height)
            if take_back(chain.summary, redacted):
                chain.summary_changed = True


def rewritten(target: Event, redaction_id: str) -> dict[str, Any]:
    """What a unit's `redactions` hold of an event that is redacted."""
    redacted = redact(target)
    return {
        "event_id": target.event_id,
        "pdu": redacted.pdu,
        "client": client_skeleton(redacted),
        "redacted_by": redaction_id,
        "room_id": target.room_id,
        "member": target.state_key if target.type == "m.room.member" else None,
    }


def _has_power(state: Callable[[StateKey], Stored | None], user_id: str) -> bool:
    levels = power_levels_in(state)
    return levels.user_level(user_id) >= levels.redact
