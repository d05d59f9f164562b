"""The numbers that events and state lines get, reserved in blocks."""

from chamberlain.store.database import Database
from chamberlain.store.sequences import Sequence


class EventIds:
    """The numbers of this worker: one reserve for all who make events."""

    __slots__ = ("backfill", "events", "lines")

    def __init__(self, db: Database) -> None:
        self.events = Sequence(db, "event")
        self.lines = Sequence(db, "state_line")
        self.backfill = Sequence(db, "backfill")
