"""Walking along a room's history, past what a user may not see and a filter does not want."""

from typing import Final

from chamberlain.matrix.filters import RoomEventFilter
from chamberlain.rooms.hidden import place_to_look_on
from chamberlain.rooms.visible import Seen, visible_events
from chamberlain.store import history
from chamberlain.store.history import EVERYTHING, Place, Window
from chamberlain.store.tx import Read

ROUNDS: Final = 10
"""How often one request looks for more where what it found was hidden or not wanted."""
AT_ONCE: Final = 100


class Walk:
    """A way through a room's history that passes only what the user may see and the filter wants."""

    def __init__(
        self, room_id: str, user_id: str, filter: RoomEventFilter, window: Window = EVERYTHING
    ) -> None:
        """What is not in the window is passed over too."""
        self._room_id = room_id
        self._user_id = user_id
        self._filter = filter
        self._plain = wants_all(filter)
        self._window = window

    async def collect(
        self, tx: Read, low: Place, high: Place, *, backwards: bool, limit: int
    ) -> tuple[list[Seen], Place | None]:
        """At most `limit` events, and where to go on; None where there is nothing more to see."""
        found: list[Seen] = []
        if not self._filter.wants_room(self._room_id) or self._filter.is_closed or limit < 1:
            return found, None
        for _ in range(ROUNDS):
            wanted = limit - len(found)
            page = await history.page(
                tx,
                self._room_id,
                low,
                high,
                backwards=backwards,
                limit=wanted if wanted == limit else max(wanted, AT_ONCE),
                wanted=None if self._plain else self._filter,
                window=self._window,
            )
            seen = await visible_events(tx, page.events, self._user_id)
            kept = [one for one in seen if self._filter.matches(one.event.type, one.event.sender)]
            found += kept[:wanted]
            if len(kept) > wanted:
                return found, history.beyond(found[-1].event, backwards=backwards)
            if page.more is None or len(found) == limit:
                return found, page.more
            if backwards:
                high = page.more
                if page.events and not seen:
                    place = await place_to_look_on(tx, page.events[-1], self._user_id)
                    if place is None:
                        return found, None
                    high = min(high, place)
            else:
                low = page.more
        return found, high if backwards else low


def wants_all(filter: RoomEventFilter) -> bool:
    """Whether the filter lets every event of a room through."""
    related = filter.related_by_rel_types is not None or filter.related_by_senders is not None
    return filter.is_open and filter.contains_url is None and not related
