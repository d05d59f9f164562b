"""Into which section each room of an answer belongs: by what the user's membership was and is."""

from collections.abc import Iterable

import msgspec

from chamberlain.store.memberships import rooms_of
from chamberlain.store.points import memberships_since
from chamberlain.store.purged import left_since
from chamberlain.store.sync import OwnMembership, own_memberships, rooms_with_news
from chamberlain.store.tx import Read
from chamberlain.sync.assemble.block import Ask


class Left(msgspec.Struct, frozen=True):
    """A room that the user is no longer in; `since`: from where on they have not seen it, None: they never saw it."""

    own: OwnMembership
    since: int
    was_in: bool
    is_fresh: bool


class Sections(msgspec.Struct):
    """Rooms by section. `ongoing`: joined then and ever since; `fresh`: joined meanwhile, or all of it is wanted."""

    ongoing: list[str] = msgspec.field(default_factory=list)
    fresh: list[str] = msgspec.field(default_factory=list)
    left: list[Left] = msgspec.field(default_factory=list)
    invited: list[OwnMembership] = msgspec.field(default_factory=list)
    knocked: list[OwnMembership] = msgspec.field(default_factory=list)
    purged: list[str] = msgspec.field(default_factory=list)
    """Rooms that the user was put out of, of which nothing is left."""

    def add_pending(self, own: OwnMembership, ask: Ask) -> None:
        """The user is invited or knocks."""
        if own.membership == "knock":
            self.knocked.append(own)
        elif own.sender not in ask.ignored:
            self.invited.append(own)


async def classify(
    tx: Read, ask: Ask, upto: int, news: Iterable[str] | None, moved: Iterable[str] | None
) -> Sections:
    """Sort the rooms of an answer.

    `news`: rooms that the user is joined to in which something happened; `moved`: those in which the user's own
    membership changed; None for both: find them.
    """
    if ask.since is None:
        return await _of_all(tx, ask)
    if news is None or moved is None:
        news = await rooms_with_news(tx, ask.user_id, ask.since, upto)
        owns = await own_memberships(tx, ask.user_id, since=ask.since)
    else:
        owns = await own_memberships(tx, ask.user_id, rooms=list(moved))
    if ask.full_state:
        news = [own.room_id for own in await rooms_of(tx, ask.user_id, ("join",))]
    sections = Sections()
    sorted_out: set[str] = set()
    for own in owns:
        if not ask.wants_room(own.room_id) or await _sort(tx, ask, ask.since, own, sections):
            sorted_out.add(own.room_id)
    sections.ongoing = [room for room in news if room not in sorted_out and ask.wants_room(room)]
    if moved is None or len(owns) < len(set(moved)):
        gone = await left_since(tx, ask.user_id, ask.since)
        sections.purged = [room for room in gone if ask.wants_room(room)]
    return sections


async def _of_all(tx: Read, ask: Ask) -> Sections:
    sections = Sections()
    for own in await own_memberships(tx, ask.user_id):
        if not ask.wants_room(own.room_id):
            continue
        if own.membership == "join":
            sections.fresh.append(own.room_id)
        elif own.membership in ("invite", "knock"):
            sections.add_pending(own, ask)
        elif ask.filter.room.include_leave and not own.forgotten:
            chain = await memberships_since(tx, own.event_id, -1)
            sections.left.append(Left(own, 0, "join" in chain, True))
    return sections


async def _sort(tx: Read, ask: Ask, since: int, own: OwnMembership, sections: Sections) -> bool:
    """Put a room whose member event is new into its section; False where nothing but the profile changed."""
    chain = await memberships_since(tx, own.event_id, since)
    if all(membership == own.membership for membership in chain) and own.membership != "invite":
        return False
    if own.membership == "join":
        sections.fresh.append(own.room_id)
    elif own.membership in ("invite", "knock"):
        sections.add_pending(own, ask)
    else:
        saw = chain[-1] == "join"
        sections.left.append(Left(own, since if saw else 0, "join" in chain, not saw))
    return True
