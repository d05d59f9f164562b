"""The profile fan-out with several workers, on both databases."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest

from chamberlain.federation.key_file import KeyFile
from chamberlain.federation.own_keys import OwnKeys
from chamberlain.matrix.push_rules import Ruleset
from chamberlain.matrix.signing import SigningKey
from chamberlain.rooms.create import RoomOptions
from chamberlain.rooms.pipeline.submit import StateMoved
from chamberlain.rooms.wiring import Rooms, build_rooms
from chamberlain.runtime.bus import Bus
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.rng import Rng
from chamberlain.store import kinds
from chamberlain.store.database import Database
from chamberlain.store.memberships import find
from chamberlain.store.tx import Read, Write
from tests.support.nobody import (
    NoKeys,
    no_handshakes,
    no_identity_servers,
    no_policy_servers,
    no_rooms,
    no_servers,
)
from tests.support.server import until

ALICE = "@alice:example.org"
BOB = "@bob:example.org"
MEMBER = "m.room.member"


class NoRulesets:
    """Nobody has push rules of their own."""

    async def with_own_rules(self, user_ids: Sequence[str]) -> Mapping[str, Ruleset]:
        """Nobody."""
        return {}


class Names:
    """Names that tests set."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}

    async def in_rooms(self, user_id: str) -> tuple[str | None, str | None]:
        """The name, no avatar."""
        return self.names.get(user_id), None


@pytest.fixture
def names() -> Names:
    """The profiles."""
    return Names()


@pytest.fixture
async def workers(db: Database, names: Names) -> AsyncIterator[list[Rooms]]:
    """Two workers on one database that do not follow yet."""
    made = [
        build_rooms(
            db,
            Clock(),
            Rng(),
            Bus(Clock(), Rng().id(8), db.carrier),
            server_name="example.org",
            own_keys=OwnKeys(Clock(), "example.org", KeyFile((SigningKey(b"k" * 32, "test"),))),
            default_version="11",
            profiles=names,
            identity_servers=no_identity_servers(),
            rulesets=NoRulesets(),
            key_ring=NoKeys(),
            remotes=no_servers(),
            elsewhere=no_rooms(),
            handshakes=no_handshakes(),
            policy_servers=no_policy_servers(),
            holder="worker",
        )
        for _ in range(2)
    ]
    yield made
    for worker in made:
        await worker.close()


async def change(tx: Write, user_id: str) -> None:
    """Tell of a changed profile."""
    tx.place(kinds.PROFILE, user_id, "displayname")


async def count_member_events(tx: Read, room_id: str, user_id: str) -> int:
    """How many member events a user has in a room."""
    found: int = await tx.value(
        "SELECT count(*) FROM events WHERE room_id = :room_id AND type = :type AND state_key = :user_id",
        room_id=room_id,
        type=MEMBER,
        user_id=user_id,
    )
    return found


async def test_two_workers_tell_once(db: Database, workers: list[Rooms], names: Names) -> None:
    """A change that both workers see makes one event in each room."""
    first, _ = workers
    rooms = [await first.create.create_room(ALICE, RoomOptions(preset="public_chat")) for _ in range(3)]
    for room in rooms:
        await first.membership.join(BOB, room)
    names.names[BOB] = "Robert"
    for worker in workers:
        await worker.start()
    await db.write(change, BOB)

    async def named() -> bool:
        found = [await db.read(find, room, BOB) for room in rooms]
        return all(member is not None and member.display_name == "Robert" for member in found)

    await until(named)
    for worker in workers:
        await worker.close()
    assert [await db.read(count_member_events, room, BOB) for room in rooms] == [2, 2, 2]


async def test_state_is_replaced_only_where_it_is_as_expected(workers: list[Rooms]) -> None:
    """An event that is to take the place of another is refused where that is not the current one any more."""
    first, second = workers
    room = await first.create.create_room(ALICE, RoomOptions(preset="public_chat"))
    joined = await first.membership.join(BOB, room)
    content = {"membership": "join", "displayname": "Robert"}
    leave, rename = await asyncio.gather(
        first.membership.leave(BOB, room),
        second.submit.send(BOB, room, MEMBER, content, state_key=BOB, instead_of=joined),
        return_exceptions=True,
    )
    assert isinstance(leave, str)
    member = await first.heads.current(room, MEMBER, BOB)
    assert member is not None
    assert member.content["membership"] == "leave"
    with pytest.raises(StateMoved):
        await second.submit.send(BOB, room, MEMBER, content, state_key=BOB, instead_of=joined)
    again = await second.submit.send(BOB, room, MEMBER, content, state_key=BOB, instead_of=leave)
    assert isinstance(rename, str | StateMoved)
    assert again != joined
