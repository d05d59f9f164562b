"""Rooms whose members are not all known yet: what was said of them, and filling them in.

Filling in is the one case in which a recorded point comes to mean more than it did: a member of whom nothing was known
is put below all that is known of them, on every line that answers for all keys, as if it had been told with the join.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from chamberlain.store import kinds
from chamberlain.store.state.lines import FIRST, LAST
from chamberlain.store.tx import Read, Write


class Partial(msgspec.Struct, frozen=True):
    """A room that waits for its members: the join before which they were in it, and the server that told of it."""

    room_id: str
    join_event: str
    told_by: str


async def begin(tx: Write, partial: Partial, servers: Collection[str]) -> None:
    """The room waits for its members."""
    await tx.run(
        "INSERT INTO partial_rooms (room_id, join_event, told_by, completed)"
        " VALUES (:room_id, :join_event, :told_by, NULL) ON CONFLICT (room_id) DO UPDATE SET"
        " join_event = excluded.join_event, told_by = excluded.told_by, completed = NULL",
        room_id=partial.room_id,
        join_event=partial.join_event,
        told_by=partial.told_by,
    )
    await tx.many(
        "INSERT INTO partial_room_servers (room_id, server) VALUES (:room_id, :server)"
        " ON CONFLICT (room_id, server) DO NOTHING",
        [{"room_id": partial.room_id, "server": server} for server in sorted(set(servers))],
    )


async def leave_unfinished(tx: Write, room_id: str) -> None:
    """The room does not wait any more: it comes anew, with all its members."""
    await tx.run("DELETE FROM partial_rooms WHERE room_id = :room_id AND completed IS NULL", room_id=room_id)
    await tx.run("DELETE FROM partial_room_servers WHERE room_id = :room_id", room_id=room_id)


async def list_partial(tx: Read) -> list[Partial]:
    """Give the rooms that wait for their members."""
    rows = await tx.all("SELECT room_id, join_event, told_by FROM partial_rooms WHERE completed IS NULL")
    return [Partial(*row) for row in rows]


async def is_said_to_be_in(tx: Read, room_id: str, server: str) -> bool:
    """Say whether a server is in a room whose members are not all known, as far as was told with the join."""
    found = await tx.value(
        "SELECT 1 FROM partial_room_servers WHERE room_id = :room_id AND server = :server",
        room_id=room_id,
        server=server,
    )
    return found is not None


async def completed_since(tx: Read, room_ids: Collection[str], since: int) -> set[str]:
    """Give those of the rooms whose members became known after a position."""
    rows = await tx.all(
        "SELECT room_id FROM partial_rooms WHERE room_id = ANY(:rooms) AND completed > :since",
        rooms=list(room_ids),
        since=since,
    )
    return {row[0] for row in rows}


async def fill_in(tx: Write, room_id: str, state: Mapping[int, int]) -> bool:
    """These keys have these events, key to event, wherever nothing else is known of them; False: none are wanted.

    The head moves, so that what another worker builds at this moment on there being no such member is built anew.
    """
    if not await tx.run(
        "UPDATE rooms SET head_seq = head_seq + 1 WHERE room_id = :room_id AND is_partial", room_id=room_id
    ):
        return False
    lines = await tx.all(
        "SELECT line FROM state_lines WHERE room_id = :room_id AND complete FOR UPDATE", room_id=room_id
    )
    for (line,) in lines:
        begins = await tx.all(
            "SELECT key, MIN(from_v) FROM state_rows WHERE line = :line AND key = ANY(:keys) GROUP BY key",
            line=line,
            keys=list(state),
        )
        known: dict[int, int] = dict((row[0], row[1]) for row in begins)
        rows = [
            {"line": line, "key": key, "from_v": FIRST, "to_v": known.get(key, LAST), "event": event}
            for key, event in state.items()
            if known.get(key) != FIRST
        ]
        if not rows:
            continue
        await tx.many(
            "INSERT INTO state_rows (line, key, from_v, to_v, event) VALUES (:line, :key, :from_v, :to_v, :event)",
            rows,
        )
        live = sum(row["to_v"] == LAST for row in rows)
        await tx.run(
            "UPDATE state_lines SET live = live + :live, dead = dead + :dead WHERE line = :line",
            line=line,
            live=live,
            dead=len(rows) - live,
        )
    return True


async def add_members(tx: Write, rows: Sequence[dict[str, Any]]) -> None:
    """These users have these memberships, where nothing newer is known of them."""
    await tx.many(
        "INSERT INTO memberships (room_id, user_id, membership, local, server, event_id, sender, display_name,"
        " avatar_url, position, joined_position, forgotten) VALUES (:room_id, :user_id, :membership, :local, :server,"
        " :event_id, :sender, :display_name, :avatar_url, 0, 0, FALSE) ON CONFLICT (room_id, user_id) DO NOTHING",
        rows,
    )


async def complete(tx: Write, partial: Partial) -> None:
    """The room, where it does, waits no longer: its counts are those of its members, and clients hear of them."""
    room_id = partial.room_id
    if not await tx.run(
        "UPDATE rooms SET is_partial = FALSE, head_seq = head_seq + 1 WHERE room_id = :room_id AND is_partial",
        room_id=room_id,
    ):
        return
    await tx.run(
        "UPDATE room_summaries SET joined = (SELECT COUNT(*) FROM memberships m"
        " WHERE m.room_id = :room_id AND m.membership = 'join'),"
        " invited = (SELECT COUNT(*) FROM memberships m WHERE m.room_id = :room_id AND m.membership = 'invite'),"
        " state_events = (SELECT COUNT(*) FROM state_rows s JOIN rooms r ON r.cur_line = s.line"
        " WHERE r.room_id = :room_id AND s.to_v = :last AND s.event IS NOT NULL) WHERE room_id = :room_id",
        room_id=room_id,
        last=LAST,
    )
    await tx.run("DELETE FROM partial_room_servers WHERE room_id = :room_id", room_id=room_id)
    # As if the join came once more: whoever is in the room looks at it anew.
    tx.place(kinds.EVENT, room_id, partial.join_event).write(
        "INSERT INTO partial_rooms (room_id, join_event, told_by, completed)"
        " VALUES (:room_id, :join_event, :told_by, :position)"
        " ON CONFLICT (room_id) DO UPDATE SET completed = excluded.completed",
        room_id=room_id,
        join_event=partial.join_event,
        told_by=partial.told_by,
    )
    tx.place(kinds.ROOM, room_id, "members")
