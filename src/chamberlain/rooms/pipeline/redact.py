"""What a redaction does to the event that it names (client-server API, Redactions)."""

from chamberlain.matrix.errors import Forbidden, NotFound
from chamberlain.matrix.events import Event, client_skeleton, redact
from chamberlain.rooms.pipeline.chain import Chain
from chamberlain.rooms.pipeline.consequences import take_back
from chamberlain.rooms.pipeline.head import Heads, Stored, power_levels_in
from chamberlain.store import events
from chamberlain.store.database import Database


async def redact_target(db: Database, heads: Heads, chain: Chain, redaction: Event) -> None:
    """Have the target rewritten in the unit of its redaction, and what was derived from it with it.

    Raises:
        NotFound: the room has no such event.
        Forbidden: the sender neither sent it nor has the power to redact others' events.
    """
    target_id = redaction.redacts
    if target_id is None:
        return
    target = chain.drafted.get(target_id)
    if target is None:
        found = await db.read(events.find_event, target_id)
        target = found[0] if found is not None and found[0].room_id == redaction.room_id else None
    if target is None:
        raise NotFound("The room has no such event")
    if target.sender != redaction.sender and not _has_power(chain, redaction.sender):
        raise Forbidden("You do not have the power to redact this event")
    redacted = redact(target)
    chain.redactions.append(
        {
            "event_id": target_id,
            "pdu": redacted.pdu,
            "client": client_skeleton(redacted),
            "redacted_by": redaction.event_id,
            "room_id": target.room_id,
            "member": target.state_key if target.type == "m.room.member" else None,
        }
    )
    key = target.key
    if key is not None:
        await heads.load(chain.head, (key,))
        stored = chain.state(key)
        if stored is not None and stored.event.event_id == target_id:
            chain.overlay[key] = Stored(redacted, stored.nid, stored.height)
            take_back(chain, redacted)


def _has_power(chain: Chain, user_id: str) -> bool:
    levels = power_levels_in(chain.state)
    return levels.user_level(user_id) >= levels.redact
