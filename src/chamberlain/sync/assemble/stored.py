"""Rooms of an answer from the database: for first syncs, tokens from before this process, and rooms entered or left.

All of it is one read of one state of the database.
"""

from collections.abc import Iterable, Sequence

from chamberlain.matrix.event_types import MEMBER
from chamberlain.rooms.bundles import bundled
from chamberlain.rooms.invite_permission import blocks_invitations
from chamberlain.rooms.serialize import client_event, load_extras
from chamberlain.store import account_data, memberships, receipts, unread
from chamberlain.store.database import position_of
from chamberlain.store.events import StoredEvent, list_stored
from chamberlain.store.sync import Facts, facts
from chamberlain.store.tx import Read
from chamberlain.sync.assemble.block import NAMING, Ask, Block, Loaded
from chamberlain.sync.assemble.classify import Left, classify
from chamberlain.sync.assemble.state import States, changed_states, full_states, left_state
from chamberlain.sync.assemble.stripped import stripped_states
from chamberlain.sync.assemble.timeline import Timeline, load_timeline, load_timelines


async def load_rooms(
    tx: Read, ask: Ask, news: Iterable[str] | None = None, moved: Iterable[str] | None = None
) -> Loaded:
    """Give the rooms of an answer and the account data.

    `news` and `moved`: rooms with news and rooms with another membership of the user, where that is known.
    """
    newest = await position_of(tx)
    upto = newest if ask.upto is None else min(ask.upto, newest)
    loaded = Loaded(upto)
    sections = await classify(tx, ask, upto, news, moved)
    ongoing = await load_timelines(tx, ask, sections.ongoing, ask.since or 0, upto)
    fresh = await load_timelines(tx, ask, sections.fresh, 0, upto)
    for timeline in (*ongoing.values(), *fresh.values()):
        timeline.is_now = upto == newest
    await _add_joined(tx, ask, loaded, ongoing, fresh)
    for left in sections.left:
        loaded.left[left.own.room_id] = await _left(tx, ask, left)
    loaded.left.update((room_id, Block(is_fresh=True)) for room_id in sections.purged)
    if sections.invited and not await blocks_invitations(tx, ask.user_id):
        loaded.invited = await stripped_states(tx, ask.user_id, sections.invited)
    loaded.knocked = await stripped_states(tx, ask.user_id, sections.knocked)
    await _add_account_data(tx, ask, loaded, sections.fresh)
    return loaded


async def _add_joined(
    tx: Read, ask: Ask, loaded: Loaded, ongoing: dict[str, Timeline], fresh: dict[str, Timeline]
) -> None:
    rooms = [*ongoing, *fresh]
    known = await facts(tx, rooms) if rooms else {}
    anew = ongoing.keys() if ask.full_state else set()
    for room_id, timeline in (*ongoing.items(), *fresh.items()):
        _need_heroes(ask, timeline, known.get(room_id), is_fresh=room_id in fresh or room_id in anew)
    whole = [*fresh.values(), *(ongoing[room_id] for room_id in anew)]
    states = await full_states(tx, ask, whole) if whole else {}
    rest = [timeline for room_id, timeline in ongoing.items() if room_id not in anew]
    if rest:
        states.update(await changed_states(tx, ask, rest, ask.since or 0))
    counts = await unread.load(tx, ask.user_id, rooms)
    for timeline in (*ongoing.values(), *fresh.values()):
        room_id = timeline.room_id
        block = Block(is_fresh=room_id in fresh, shows_counts=room_id in fresh, unread=counts.get(room_id))
        block.limited = timeline.limited or (room_id in fresh and ask.since is not None)
        if room_id in fresh or room_id in anew or _renames(timeline, states[room_id]):
            block.facts = known.get(room_id)
        loaded.joined[room_id] = block
    await _write_events(tx, ask, loaded.joined, {**ongoing, **fresh}, states)
    await _add_receipts(tx, ask, loaded, list(ongoing), list(fresh))


def _need_heroes(ask: Ask, timeline: Timeline, known: Facts | None, *, is_fresh: bool) -> None:
    if not ask.is_lazy:
        return
    needed = {ask.user_id} if is_fresh else set()
    if known is not None and not known.is_named and (is_fresh or _renames(timeline, ())):
        needed.update(known.heroes_for(ask.user_id))
    timeline.also_needed = frozenset(needed)


def _renames(timeline: Timeline, state: Sequence[StoredEvent]) -> bool:
    """Whether the room's counts of members, or what it is called, may have changed."""
    return any(event.state_key is not None and event.type in NAMING for event in (*timeline.events, *state))


async def _write_events(
    tx: Read, ask: Ask, blocks: dict[str, Block], timelines: dict[str, Timeline], states: States
) -> None:
    shown = [event for timeline in timelines.values() for event in timeline.events]
    extras = await load_extras(tx, [*shown, *(event for state in states.values() for event in state)])
    for event_id, bundle in (await bundled(tx, shown, ask.viewer, ask.now)).items():
        extras[event_id] = extras.get(event_id, b"") + bundle
    for room_id, timeline in timelines.items():
        block, state = blocks[room_id], states.get(room_id, [])
        block.timeline = [
            client_event(
                event,
                ask.viewer,
                ask.now,
                timeline.memberships.get(event.event_id),
                extras.get(event.event_id, b""),
            )
            for event in timeline.events
        ]
        block.prev_batch = timeline.prev_batch(ask.epoch)
        block.state = [
            client_event(event, ask.viewer, ask.now, None, extras.get(event.event_id, b"")) for event in state
        ]
        if ask.is_lazy:
            block.members = [
                event.state_key
                for event in (*state, *timeline.events)
                if event.type == MEMBER and event.state_key is not None
            ]


async def _left(tx: Read, ask: Ask, left: Left) -> Block:
    own = left.own
    if left.was_in:
        timeline = await load_timeline(tx, ask, own.room_id, left.since, own.position)
    else:
        timeline = Timeline(own.room_id, left.since, own.position)
    if all(event.event_id != own.event_id for event in timeline.events):
        # One's own leaving is always shown, whatever the history visibility says of it.
        found = (await list_stored(tx, [own.event_id])).get(own.event_id)
        if found is not None and ask.limit and ask.wants_in_timeline(found):
            timeline.events = [*timeline.events, found][-ask.limit :]
            timeline.memberships[own.event_id] = own.membership
    states: States = {}
    if left.was_in:
        states[own.room_id] = await left_state(
            tx, ask, timeline, None if left.is_fresh or ask.full_state else left.since
        )
    block = Block(limited=timeline.limited, is_fresh=True)
    await _write_events(tx, ask, {own.room_id: block}, {own.room_id: timeline}, states)
    return block


async def _add_receipts(
    tx: Read, ask: Ask, loaded: Loaded, ongoing: Sequence[str], fresh: Sequence[str]
) -> None:
    found: list[receipts.Receipt] = []
    if fresh:
        found += await receipts.in_rooms_since(tx, fresh, -1, loaded.position)
        own = await receipts.of_user(tx, ask.user_id, fresh)
        found += [receipt for receipt in own if receipt.type == receipts.READ_PRIVATE]
    if ask.since is not None:
        found += await receipts.in_rooms_since(tx, ongoing, ask.since, loaded.position)
        private = await receipts.private_since(tx, ask.user_id, ask.since, loaded.position)
        found += [receipt for receipt in private if receipt.room_id not in fresh]
    by_room: dict[str, list[receipts.Receipt]] = {}
    for receipt in found:
        by_room.setdefault(receipt.room_id, []).append(receipt)
    for room_id, of_room in by_room.items():
        if room_id not in loaded.joined and not await _begin_ongoing(tx, ask, loaded, room_id):
            continue
        loaded.joined[room_id].receipts = of_room


async def _begin_ongoing(tx: Read, ask: Ask, loaded: Loaded, room_id: str) -> bool:
    """Have a block for a room without news of its own; False where the user is not in it, or does not want it."""
    if room_id in loaded.left or not ask.wants_room(room_id):
        return False
    own = await memberships.find(tx, room_id, ask.user_id)
    if own is None or own.membership != "join":
        return False
    counts = await unread.load(tx, ask.user_id, [room_id])
    loaded.joined[room_id] = Block(unread=counts.get(room_id))
    return True


async def _add_account_data(tx: Read, ask: Ask, loaded: Loaded, fresh: Sequence[str]) -> None:
    if ask.since is None:
        found = await account_data.all_of(tx, ask.user_id)
    else:
        found = await account_data.changed_since(tx, ask.user_id, ask.since, loaded.position)
    loaded.account_data = [piece for piece in found if not piece.room_id]
    by_room: dict[str, list[account_data.AccountData]] = {}
    for piece in found:
        if piece.room_id:
            by_room.setdefault(piece.room_id, []).append(piece)
    if ask.since is not None:
        for room_id in fresh:
            by_room[room_id] = await account_data.of_room(tx, ask.user_id, room_id)
    for room_id, pieces in by_room.items():
        if room_id in loaded.left:
            loaded.left[room_id].account_data = pieces
        elif room_id in loaded.joined or (
            ask.since is not None and await _begin_ongoing(tx, ask, loaded, room_id)
        ):
            loaded.joined[room_id].account_data = pieces
