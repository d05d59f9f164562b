"""The way of a local event, on both databases and with more than one worker."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import orjson
import pytest

from chamberlain.federation.key_file import KeyFile
from chamberlain.federation.own_keys import OwnKeys
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import Forbidden, MatrixError, NotFound
from chamberlain.matrix.push_rules import Ruleset
from chamberlain.matrix.signing import SigningKey
from chamberlain.rooms.create import RoomOptions
from chamberlain.rooms.pipeline import submit
from chamberlain.rooms.pipeline.waiting import Txn
from chamberlain.rooms.wiring import Rooms, build_rooms
from chamberlain.runtime.bus import Bus
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.rng import Rng
from chamberlain.store import events, rooms
from chamberlain.store.database import Database
from chamberlain.store.memberships import members_of
from chamberlain.store.state.read import current, full_by_name
from chamberlain.store.tx import Read, Write
from tests.support.nobody import (
    NoKeys,
    no_handshakes,
    no_identity_servers,
    no_policy_servers,
    no_rooms,
    no_servers,
)

ALICE = "@alice:example.org"
BOB = "@bob:example.org"


class NoRulesets:
    """Nobody has push rules of their own."""

    async def with_own_rules(self, user_ids: Sequence[str]) -> Mapping[str, Ruleset]:
        """Nobody."""
        return {}


class NoProfiles:
    """Nobody has a name."""

    async def in_rooms(self, user_id: str) -> tuple[str | None, str | None]:
        """No name, no avatar."""
        return None, None


def worker(db: Database) -> Rooms:
    """The services of one worker."""
    return build_rooms(
        db,
        Clock(),
        Rng(),
        Bus(Clock(), Rng().id(8), db.carrier),
        server_name="example.org",
        own_keys=OwnKeys(Clock(), "example.org", KeyFile((SigningKey(b"k" * 32, "test"),))),
        default_version="11",
        profiles=NoProfiles(),
        identity_servers=no_identity_servers(),
        rulesets=NoRulesets(),
        key_ring=NoKeys(),
        remotes=no_servers(),
        elsewhere=no_rooms(),
        handshakes=no_handshakes(),
        policy_servers=no_policy_servers(),
        holder="worker",
    )


@pytest.fixture
async def services(db: Database) -> AsyncIterator[Rooms]:
    """The services of the first worker."""
    made = worker(db)
    yield made
    await made.close()


async def timeline(tx: Read, room_id: str) -> list[tuple[str, str, tuple[str, ...], int]]:
    """(type, body, prev events, depth) of each event in the order of arrival."""
    rows = await tx.all(
        "SELECT event_id, type, pdu FROM events WHERE room_id = :room_id ORDER BY position", room_id=room_id
    )
    found = []
    for event_id, kind, pdu in rows:
        event = orjson.loads(pdu)
        found.append((event_id, kind, tuple(event["prev_events"]), event["depth"]))
    return found


async def test_events_follow_one_another(db: Database, services: Rooms) -> None:
    """Each event names the one before it, and depths go up by one."""
    room = await services.create.create_room(ALICE, RoomOptions(name="A room"))
    await asyncio.gather(
        *(services.submit.send(ALICE, room, "m.room.message", {"body": str(n)}) for n in range(250))
    )
    events_of_it = await db.snapshot(timeline, room)

    for before, after in itertools.pairwise(events_of_it):
        assert after[2] == (before[0],)
        assert after[3] == before[3] + 1
    assert len([event for event in events_of_it if event[1] == "m.room.message"]) == 250


@pytest.mark.parametrize("version", [str(n) for n in range(1, 13)])
async def test_every_room_version_works(db: Database, services: Rooms, version: str) -> None:
    """A room of each version takes members, messages and redactions."""
    room = await services.create.create_room(ALICE, RoomOptions(room_version=version, preset="public_chat"))
    await services.membership.join(BOB, room)
    sent = await services.submit.send(BOB, room, "m.room.message", {"body": "hello"})
    await services.messages.redact(BOB, room, sent)
    stored = await db.read(events.find_stored, sent)

    assert stored is not None
    assert orjson.loads(stored.client)["content"] == {}
    assert stored.redacted_by is not None


async def test_workers_that_meet_in_a_room_lose_nothing(db: Database, services: Rooms) -> None:
    """Two workers that send to one room at once get every event in, one after the other."""
    other = worker(db)
    room = await services.create.create_room(ALICE, RoomOptions(preset="public_chat"))
    sent = await asyncio.gather(
        *(
            w.submit.send(ALICE, room, "m.room.message", {"n": n})
            for n in range(40)
            for w in (services, other)
        ),
        *(w.membership.join(f"@u{n}:example.org", room) for n in range(10) for w in (services, other)),
        return_exceptions=True,
    )
    failed = [result for result in sent if isinstance(result, BaseException)]
    state = await db.snapshot(state_of, room)
    found = await db.snapshot(timeline, room)
    await other.close()

    assert failed == []
    assert len([event for event in found if event[1] == "m.room.message"]) == 80
    assert all(("m.room.member", f"@u{n}:example.org") in state for n in range(10))
    row = await db.read(rooms.find_room, room)
    assert row is not None
    assert orjson.loads(row.extremities)[0][1] == found[-1][0]


async def state_of(tx: Read, room_id: str) -> dict[tuple[str, str], int]:
    """The current state by name."""
    point = await current(tx, room_id)
    assert point is not None
    return await full_by_name(tx, point)


async def test_the_state_is_the_newest_event_of_each_key(db: Database, services: Rooms) -> None:
    """After many changes the state table holds what the timeline says."""
    room = await services.create.create_room(ALICE, RoomOptions())
    for n in range(30):
        await services.messages.set_state(ALICE, room, "org.example.thing", str(n % 7), {"n": n})
    state = await db.snapshot(state_of, room)

    async def expected(tx: Read) -> dict[tuple[str, str], int]:
        rows = await tx.all(
            "SELECT type, state_key, nid FROM events WHERE room_id = :room AND state_key IS NOT NULL"
            " ORDER BY position",
            room=room,
        )
        return {(kind, key): nid for kind, key, nid in rows}

    assert state == await db.snapshot(expected)


async def test_a_repeated_transaction_gives_the_same_event(db: Database, services: Rooms) -> None:
    """Also when both requests run at once, and in another worker."""
    room = await services.create.create_room(ALICE, RoomOptions())
    txn = Txn(ALICE, "DEVICE", room, "t1")
    first, second = await asyncio.gather(
        *(services.submit.send(ALICE, room, "m.room.message", {"n": n}, txn=txn) for n in range(2))
    )
    other = worker(db)
    third = await other.submit.send(ALICE, room, "m.room.message", {}, txn=txn)
    await other.close()

    assert first == second == third


async def test_a_repetition_is_known_whatever_happened_since(db: Database, services: Rooms) -> None:
    """After a restart, among new events, and by somebody who may not send any more."""
    room = await services.create.create_room(ALICE, RoomOptions(preset="public_chat"))
    await services.membership.join(BOB, room)
    txns = {user: Txn(user, "DEVICE", room, "t1") for user in (ALICE, BOB)}
    sent = {user: await services.submit.send(user, room, "m.test", {}, txn=txns[user]) for user in txns}
    await services.membership.leave(BOB, room)
    later = worker(db)
    again = await asyncio.gather(
        later.submit.send(ALICE, room, "m.test", {"new": 1}),
        later.submit.send(ALICE, room, "m.test", {}, txn=txns[ALICE]),
        later.submit.send(BOB, room, "m.test", {}, txn=txns[BOB]),
        later.submit.send(ALICE, room, "m.test", {"new": 2}),
    )
    found = await db.snapshot(timeline, room)
    await later.close()

    assert again[1:3] == [sent[ALICE], sent[BOB]]
    tests = [event_id for event_id, kind, *_ in found if kind == "m.test"]
    assert sorted(tests) == sorted({*sent.values(), *again})
    assert len(tests) == 4


async def test_one_transaction_through_many_workers_at_once_makes_one_event(
    db: Database, services: Rooms
) -> None:
    """A client that repeats its request to other workers before the first has answered."""
    others = [worker(db) for _ in range(7)]
    room = await services.create.create_room(ALICE, RoomOptions())
    txn = Txn(ALICE, "DEVICE", room, "t1")
    sent = await asyncio.gather(
        *(w.submit.send(ALICE, room, "m.room.message", {}, txn=txn) for w in (services, *others))
    )
    found = await db.snapshot(timeline, room)
    for other in others:
        await other.close()

    assert len(set(sent)) == 1
    assert len([event for event in found if event[1] == "m.room.message"]) == 1


async def test_what_was_not_committed_is_not_acknowledged(
    db: Database, services: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where others are always faster the request fails, and there is no event; the next one is on time again."""
    room = await services.create.create_room(ALICE, RoomOptions())
    before = await db.snapshot(timeline, room)

    async def overtake(tx: Write) -> None:
        await tx.run("UPDATE rooms SET head_seq = head_seq + 1 WHERE room_id = :room", room=room)

    await db.write(overtake)
    monkeypatch.setattr(submit, "TRIES", 1)
    with pytest.raises(MatrixError) as raised:
        await services.submit.send(ALICE, room, "m.test", {})

    assert raised.value.status == 503
    assert await db.snapshot(timeline, room) == before
    sent = await services.submit.send(ALICE, room, "m.test", {})
    assert (await db.snapshot(timeline, room))[-1][0] == sent


async def test_what_is_refused_harms_nothing_else(services: Rooms) -> None:
    """A unit with a forbidden and an ill-formed draft commits the others."""
    room = await services.create.create_room(ALICE, RoomOptions())
    good, forbidden, ill = await asyncio.gather(
        services.submit.send(ALICE, room, "m.room.message", {"body": "good"}),
        services.submit.send(BOB, room, "m.room.message", {"body": "not in the room"}),
        services.submit.send(ALICE, room, "m.room.message", {"float": 1.5}),
        return_exceptions=True,
    )

    assert isinstance(good, str)
    assert isinstance(forbidden, Forbidden)
    assert isinstance(ill, MatrixError)
    assert ill.code == ErrCode.BAD_JSON


async def test_a_room_whose_alias_is_taken_is_not_made(db: Database, services: Rooms) -> None:
    """The second room with one alias leaves no trace."""
    first = await services.create.create_room(ALICE, RoomOptions(room_alias_name="here"))

    with pytest.raises(MatrixError) as refused:
        await services.create.create_room(BOB, RoomOptions(room_alias_name="here"))
    assert refused.value.code == ErrCode.ROOM_IN_USE
    assert (await services.aliases.find("#here:example.org")).room_id == first

    async def count(tx: Read) -> int:
        found: int = await tx.value("SELECT COUNT(*) FROM rooms")
        return found

    assert await db.read(count) == 1


async def test_options_that_contradict_one_another_make_no_room(services: Rooms) -> None:
    """A creator without the power to name the room cannot make it with a name."""
    options = RoomOptions(name="x", power_level_content_override={"users": {ALICE: 0}})

    with pytest.raises(MatrixError) as refused:
        await services.create.create_room(ALICE, options)
    assert refused.value.code == ErrCode.INVALID_ROOM_STATE
    assert refused.value.status == 400


async def test_memberships_follow_their_events(db: Database, services: Rooms) -> None:
    """Invite, join, kick, ban and unban end in the table that lists members."""
    room = await services.create.create_room(ALICE, RoomOptions(invite=[BOB]))
    seen = []
    for step in (
        services.membership.join(BOB, room),
        services.membership.kick(ALICE, room, BOB),
        services.membership.ban(ALICE, room, BOB),
        services.membership.unban(ALICE, room, BOB),
    ):
        found = await db.read(members_of, room, ["invite", "join", "leave", "ban"])
        seen.append({m.user_id: m.membership for m in found}[BOB])
        await step
    found = await db.read(members_of, room, ["leave"])

    assert seen == ["invite", "join", "leave", "ban"]
    assert [m.user_id for m in found] == [BOB]
    summary = await db.read(rooms.find_summary, room)
    assert summary is not None
    assert (summary["joined"], summary["invited"], summary["local_joined"]) == (1, 0, 1)


async def test_redacting_needs_power_or_authorship(services: Rooms) -> None:
    """A member redacts their own events, not others'; an unknown event is not found."""
    room = await services.create.create_room(ALICE, RoomOptions(preset="public_chat"))
    await services.membership.join(BOB, room)
    sent = await services.submit.send(ALICE, room, "m.room.message", {"body": "mine"})

    with pytest.raises(Forbidden):
        await services.messages.redact(BOB, room, sent)
    with pytest.raises(NotFound):
        await services.messages.redact(ALICE, room, "$nothing")


async def test_restricted_rooms_let_members_of_others_in(services: Rooms) -> None:
    """Who is in the allowed room joins with a member's authority; who is not stays out."""
    space = await services.create.create_room(ALICE, RoomOptions(preset="public_chat"))
    rule = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": space}]}
    room = await services.create.create_room(ALICE, RoomOptions())
    await services.messages.set_state(ALICE, room, "m.room.join_rules", "", rule)

    with pytest.raises(Forbidden):
        await services.membership.join(BOB, room)
    await services.membership.join(BOB, space)
    await services.membership.join(BOB, room)
    member = await services.heads.current(room, "m.room.member", BOB)
    assert member is not None
    assert member.content["join_authorised_via_users_server"] == ALICE


async def test_a_head_that_was_read_during_a_commit_is_not_kept(
    db: Database, services: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another worker did before may be heard of late, and has the head read anew at any moment."""
    room_id = await services.create.create_room(ALICE, RoomOptions(preset="public_chat"))
    write_batch = db.write_batch

    async def write_late(fn: Any, unit: Any) -> Any:
        services.heads.forget(room_id)
        await services.heads.current(room_id, "m.room.topic")
        return await write_batch(fn, unit)

    monkeypatch.setattr(db, "write_batch", write_late)

    await services.submit.send(ALICE, room_id, "m.room.topic", {"topic": "New"}, state_key="")

    topic = await services.heads.current(room_id, "m.room.topic")
    assert topic is not None and topic.content == {"topic": "New"}


async def test_a_head_that_was_read_before_it_was_forgotten_is_not_kept(
    db: Database, services: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever began to read before another worker's change was heard of may have read what was before it."""
    room_id = await services.create.create_room(ALICE, RoomOptions(preset="public_chat"))
    services.heads.forget(room_id)
    read = db.read

    async def read_slowly(fn: Any, *args: Any) -> Any:
        found = await read(fn, *args)
        services.heads.forget(room_id)
        return found

    monkeypatch.setattr(db, "read", read_slowly)
    before = await services.heads.get(room_id)
    monkeypatch.undo()

    assert await services.heads.get(room_id) is not before
