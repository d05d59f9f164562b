"""What shows that a user is there: they send, they read (client-server API, Presence)."""

from collections.abc import Sequence

from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.types import text_of
from chamberlain.rooms.pipeline.consequences import Arrived
from chamberlain.store import kinds
from chamberlain.store.database import Database
from chamberlain.store.tx import Change
from chamberlain.sync.presence import Presences


class Activity:
    """Tells presence who does something."""

    def __init__(self, db: Database, presences: Presences) -> None:
        self._presences = presences
        if presences.enabled:
            db.subscribe(self._told)

    def _told(self, changes: Sequence[Change]) -> None:
        members: dict[tuple[str, str], bool] = {}
        for change in changes:
            if change.kind == kinds.EVENT and isinstance(change.payload, Arrived):
                event = change.payload.event
                self._presences.active(event.sender)
                if event.type == MEMBER and event.state_key is not None:
                    joined = text_of(event.content, "membership") == "join"
                    members[change.entity, event.state_key] = joined
                    self._presences.theirs_moved(event.state_key, change.entity, joined=joined)
            elif change.kind == kinds.MEMBERSHIP and change.ref is not None:
                self._presences.ours_moved(
                    change.entity, change.ref, joined=members.get((change.ref, change.entity))
                )
            elif change.payload is None:
                # It came through another worker, which tells of it.
                continue
            elif change.kind == kinds.RECEIPT and change.ref is not None:
                self._presences.active(change.ref)
            elif change.kind == kinds.PRIVATE_RECEIPT:
                self._presences.active(change.entity)
