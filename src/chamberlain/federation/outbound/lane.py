"""The queue of one destination."""

from enum import Enum, auto
from typing import Final

from chamberlain.federation.outbound.ephemera import Ephemera
from chamberlain.store.outbox_queue import Transaction

PENDING: Final = 200
"""So many events are kept in memory for one destination; where there are more, the database is asked for them."""
Pending = tuple[int, int]
"""(position, nid) of an event."""


class State(Enum):
    """What a lane does."""

    IDLE = auto()
    """Nothing waits, or it was not looked at yet."""
    MOVING = auto()
    """It waits for a slot, or a transaction is under way."""
    RESTING = auto()
    """The destination failed."""


class Lane:
    """One destination: what waits for it in memory, and where the rest is to be found.

    `sent`: everything up to this position was delivered. `pending`: what follows, unless `has_missed` says that memory
    does not know all of it; then the database does, up to `upto`, once that is set.
    """

    __slots__ = (
        "ephemera",
        "has_edus",
        "has_missed",
        "is_recorded",
        "kept",
        "name",
        "pending",
        "resting_since",
        "retry_at",
        "retry_wait",
        "sent",
        "settled",
        "state",
        "txn_is_stored",
        "upto",
    )

    def __init__(self, name: str, sent: int) -> None:
        self.name = name
        self.sent = sent
        self.pending: list[Pending] = []
        self.has_missed = False
        self.upto: int | None = None
        self.has_edus = False
        """Whether there may be EDUs in the database."""
        self.ephemera: Ephemera | None = None
        self.state = State.IDLE
        self.is_recorded = False
        """Whether the database says that events wait, so that a restart finds them."""
        self.txn_is_stored = False
        """Whether the database has a transaction that was not answered yet."""
        self.kept: Transaction | None = None
        """A transaction that was not answered, of nothing that has to be stored."""
        self.settled = True
        """Whether the database knows how far the destination has been told."""
        self.resting_since = 0
        """Since when (ms) it has not answered; 0: it has."""
        self.retry_at = 0
        """When it may be tried again (ms), apart from what is known of its failures."""
        self.retry_wait = 0

    @property
    def has_events(self) -> bool:
        """Whether events wait."""
        return bool(self.pending) or self.has_missed or self.upto is not None

    @property
    def has_work(self) -> bool:
        """Whether anything waits."""
        return (
            self.has_events
            or self.has_edus
            or bool(self.ephemera)
            or self.txn_is_stored
            or self.kept is not None
        )

    def add(self, event: Pending) -> None:
        """An event is for the destination."""
        if self.has_missed:
            return
        if len(self.pending) >= PENDING or self.state is State.RESTING:
            self.pending.clear()
            self.has_missed = True
        elif event[0] > self.sent:
            self.pending.append(event)

    def told(self, position: int) -> None:
        """Everything up to a position was delivered."""
        self.sent = max(self.sent, position)
        while self.pending and self.pending[0][0] <= self.sent:
            del self.pending[0]
