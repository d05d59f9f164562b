"""Which thread an event is in."""

from chamberlain.matrix.events import Event
from chamberlain.rooms.pipeline.consequences import relation_of
from chamberlain.store.database import Database
from chamberlain.store.events import find_thread


async def thread_of(db: Database, event: Event) -> str | None:
    """Give the root of the thread that an event is in, by itself or with what it relates to."""
    relation = relation_of(event)
    if relation is None:
        return None
    target, kind, _ = relation
    return target if kind == "m.thread" else await db.read(find_thread, event.room_id, target)
