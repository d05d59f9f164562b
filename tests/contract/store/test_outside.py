"""Memberships of rooms that this server is not in, on both databases."""

from typing import Any

from chamberlain.matrix.events import Draft, Event, build, client_skeleton
from chamberlain.matrix.signing import SigningKey
from chamberlain.matrix.versions import get_room_version
from chamberlain.rooms.pipeline.consequences import plain_row
from chamberlain.rooms.pipeline.head import Stored
from chamberlain.rooms.pipeline.summary import membership_row
from chamberlain.store import kinds, memberships, outside
from chamberlain.store.database import Database
from chamberlain.store.events import find_stored
from chamberlain.store.known import BARE, find_known
from chamberlain.store.outside import Known
from chamberlain.store.tx import Change
from tests.support.rows import insert

ROOM = "!room:far.example"
BOB = "@bob:example.org"
KEY = SigningKey(b"k" * 32, "test")
KNOWN = Known("11", "far.example", b'[{"type":"m.room.name"}]')


def member(membership: str, sender: str = "@alice:far.example", ts: int = 1) -> Event:
    """A change of Bob's membership."""
    draft = Draft(
        room_id=ROOM,
        type="m.room.member",
        sender=sender,
        content={"membership": membership},
        state_key=BOB,
        origin_server_ts=ts,
    )
    return build(
        draft,
        version=get_room_version("11"),
        prev_events=[],
        auth_events=[],
        depth=5,
        server_name="far.example",
        signing_key=KEY,
    )


def rows_of(event: Event, nid: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The event and the membership that it makes, as rows."""
    row = plain_row(Stored(event, nid, BARE), client_skeleton(event), 7)
    return row, membership_row(event, local=True)


async def test_an_invitation_is_kept_until_it_is_answered(db: Database) -> None:
    """The user is told once; a leave takes its place."""
    told: list[Change] = []
    db.subscribe(told.extend)
    invite, leave = member("invite"), member("leave", ts=2)
    for nid in (1, 2):
        assert await db.write(outside.put, *rows_of(invite, nid), KNOWN)

    (change,) = told
    assert (change.kind, change.entity, change.ref) == (kinds.MEMBERSHIP, BOB, ROOM)
    pending = await db.read(outside.find, ROOM, BOB)
    assert pending is not None and pending.server == "far.example"
    assert pending.event.event_id == invite.event_id and pending.event.content == {"membership": "invite"}
    assert await db.read(outside.stripped_of, BOB, [ROOM]) == {invite.event_id: KNOWN.stripped}
    assert await db.read(outside.find_version, ROOM) == "11"
    found = await db.read(memberships.find, ROOM, BOB)
    assert found is not None and (found.membership, found.position) == ("invite", change.position)

    assert await db.write(outside.put, *rows_of(leave, 3), None)

    assert await db.read(outside.find, ROOM, BOB) is None
    assert await db.read(outside.find_version, ROOM) is None
    assert await db.read(outside.stripped_of, BOB, [ROOM]) == {}
    stored = await db.read(find_stored, leave.event_id)
    assert stored is not None and (stored.replaces, stored.position) == (invite.event_id, None)
    known = (await db.read(find_known, [invite.event_id]))[invite.event_id]
    assert known.is_bare and not known.is_placed


async def test_a_later_invitation_takes_the_place_of_the_earlier(db: Database) -> None:
    """With what it shows of the room."""
    first, second = member("invite"), member("invite", ts=2)
    assert await db.write(outside.put, *rows_of(first, 1), KNOWN)
    assert await db.write(outside.put, *rows_of(second, 2), Known("11", "other.example", b"[]"))
    assert await db.read(outside.stripped_of, BOB, [ROOM]) == {second.event_id: b"[]"}
    pending = await db.read(outside.find, ROOM, BOB)
    assert pending is not None and pending.server == "other.example"


async def test_where_one_of_ours_is_in_the_room_nobody_waits_outside(db: Database) -> None:
    """What comes then is an event of the room, and a join is not undone by what came late."""
    summary = {"room_id": ROOM, "federatable": True, "joined": 2, "invited": 0, "state_events": 5}
    await db.write(insert, "room_summaries", **summary, local_joined=1)
    assert not await db.write(outside.put, *rows_of(member("invite"), 1), KNOWN)
    assert await db.read(memberships.find, ROOM, BOB) is None
    assert await db.read(outside.find, ROOM, BOB) is None
