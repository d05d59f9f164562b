"""Devices of other servers' users in the store, on both databases."""

import pytest

from chamberlain.store import device_lists, device_streams, kinds, remote_devices
from chamberlain.store.database import Database
from chamberlain.store.remote_devices import RemoteDevice, RemoteList, RemoteUpdate
from chamberlain.store.tx import Change, Stale, Write

BOB = "@bob:far.test"
CAROL = "@carol:far.test"
ONE = RemoteDevice("ONE", b'{"n":1}', "first")
TWO = RemoteDevice("TWO", b'{"n":2}')


async def move(
    tx: Write, user_id: str, room_id: str, membership: str = "join", *, local: bool = False
) -> None:
    """Make a user something in a room, at a new position."""
    await tx.run(
        "DELETE FROM memberships WHERE room_id = :room_id AND user_id = :user_id",
        room_id=room_id,
        user_id=user_id,
    )
    tx.place(kinds.EVENT, room_id).write(
        "INSERT INTO memberships (room_id, user_id, membership, local, event_id, sender, position, forgotten)"
        " VALUES (:room_id, :user_id, :membership, :local, '$e', :user_id, :position, FALSE)",
        room_id=room_id,
        user_id=user_id,
        membership=membership,
        local=local,
    )


@pytest.fixture
async def shared(db: Database) -> Database:
    """Alice of ours and Bob are in a room."""
    await db.write(move, "@alice:near.test", "!r", local=True)
    await db.write(move, BOB, "!r")
    return db


async def keep(db: Database, user_id: str = BOB, stream_id: int = 5, *devices: RemoteDevice) -> bool:
    """As if the user's server had been asked."""
    asking = (await db.write(remote_devices.begin_asking, [user_id]))[user_id]
    return await db.write(remote_devices.put, asking, RemoteList(stream_id, devices, b"{}", None))


async def current(db: Database, user_id: str = BOB) -> RemoteList | None:
    """The user's list, where it is up to date."""
    return (await db.read(remote_devices.list_current, [user_id])).get(user_id)


async def test_a_list_is_kept_and_updated(shared: Database) -> None:
    """Each update follows on the one before; a repetition does nothing; those who follow are told."""
    told: list[Change] = []
    assert await current(shared) is None
    shared.subscribe(told.extend)
    assert await keep(shared, BOB, 5, ONE, TWO)
    assert await current(shared) == RemoteList(5, [ONE, TWO], b"{}", None)
    assert [change.entity for change in told] == [BOB]
    assert await keep(shared, BOB, 5, ONE, TWO)
    assert len(told) == 1

    new = RemoteDevice("ONE", b'{"n":3}')
    assert not await shared.write(remote_devices.update, RemoteUpdate(BOB, "ONE", 7, 5, new))
    assert not await shared.write(remote_devices.update, RemoteUpdate(BOB, "ONE", 7, 5, new))
    assert not await shared.write(remote_devices.update, RemoteUpdate(BOB, "TWO", 8, 7, None))

    assert await current(shared) == RemoteList(8, [new], b"{}", None)
    assert len(told) == 3


@pytest.mark.parametrize("prev_id", [None, 4, 6])
async def test_what_was_missed_is_known(shared: Database, prev_id: int | None) -> None:
    """After an update that follows on another one the list is not used, until it was asked for again."""
    await keep(shared, BOB, 5, ONE)

    assert await shared.write(remote_devices.update, RemoteUpdate(BOB, "TWO", 9, prev_id, TWO))

    assert await current(shared) is None
    assert await shared.read(remote_devices.list_stale, 10) == [BOB]
    assert await keep(shared, BOB, 9, ONE, TWO)
    assert await current(shared) == RemoteList(9, [ONE, TWO], b"{}", None)
    assert await shared.read(remote_devices.list_stale, 10) == []


async def test_what_is_missed_while_asking_is_known(shared: Database) -> None:
    """An answer from before an update does not count as up to date."""
    asking = (await shared.write(remote_devices.begin_asking, [BOB]))[BOB]
    assert await shared.write(remote_devices.update, RemoteUpdate(BOB, "TWO", 6, 5, TWO))

    assert not await shared.write(remote_devices.put, asking, RemoteList(5, [ONE]))

    assert await current(shared) is None
    assert await keep(shared, BOB, 6, ONE, TWO)
    assert await current(shared) is not None


async def test_an_update_of_an_unknown_list_keeps_nothing(shared: Database) -> None:
    """But clients are told, who ask then."""
    assert not await shared.write(remote_devices.update, RemoteUpdate(BOB, "ONE", 6, 5, ONE))

    assert await current(shared) is None
    assert await shared.read(device_lists.changed_for, "@alice:near.test", 0, shared.position) == {BOB}


async def test_a_list_is_good_as_long_as_a_room_is_shared(shared: Database) -> None:
    """After a break their server may not have told us of something, whether or not we looked meanwhile."""
    await keep(shared, BOB, 5, ONE)
    await shared.write(move, BOB, "!r", "leave")
    assert await current(shared) is None
    await shared.write(move, BOB, "!r", "join")
    assert await current(shared) is None
    await keep(shared, BOB, 5, ONE)
    assert await current(shared) is not None

    await shared.write(move, "@alice:near.test", "!r", "leave", local=True)
    assert await current(shared) is None
    await shared.write(move, "@alice:near.test", "!r", local=True)
    assert await current(shared) is None
    await keep(shared, BOB, 5, ONE)
    await shared.write(move, "@dora:near.test", "!r", local=True)
    assert await current(shared) is not None
    await shared.write(move, "@alice:near.test", "!r", "leave", local=True)
    assert await current(shared) is None


async def test_lists_of_those_with_whom_no_room_is_shared_are_forgotten(shared: Database) -> None:
    """And only those."""
    await keep(shared, BOB, 5, ONE)
    await keep(shared, CAROL, 5, ONE)
    assert await shared.read(remote_devices.shared_with_us, [BOB, CAROL]) == {BOB}

    last = await shared.write(remote_devices.forget_unshared, "")

    assert last == CAROL and await shared.write(remote_devices.forget_unshared, last) is None
    assert await current(shared) is not None
    await shared.write(move, CAROL, "!r")
    assert not await shared.write(remote_devices.update, RemoteUpdate(CAROL, "ONE", 6, 5, ONE))


async def test_signing_keys_are_replaced(shared: Database) -> None:
    """What is not told stays; what is the same tells nobody."""
    await keep(shared, BOB, 5, ONE)
    told: list[Change] = []
    shared.subscribe(told.extend)

    await shared.write(remote_devices.set_signing_keys, BOB, b'{"m":1}', None)
    await shared.write(remote_devices.set_signing_keys, BOB, None, b'{"s":1}')
    await shared.write(remote_devices.set_signing_keys, BOB, b'{"m":1}', b'{"s":1}')

    assert await current(shared) == RemoteList(5, [ONE], b'{"m":1}', b'{"s":1}')
    assert len(told) == 2


async def test_changes_of_one_user_take_one_row(shared: Database) -> None:
    """So another server cannot fill the table."""
    for number in range(5):
        await shared.write(remote_devices.update, RemoteUpdate(BOB, "ONE", number, None, ONE))

    count = await shared.read(lambda tx: tx.value("SELECT COUNT(*) FROM device_list_changes"))
    assert count == 1
    assert await shared.read(device_lists.changed_for, "@alice:near.test", 0, shared.position) == {BOB}


async def test_a_user_has_so_many_devices_and_no_more(
    shared: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that grows beyond reason is not up to date any more."""
    monkeypatch.setattr(remote_devices, "MAX_DEVICES", 2)
    await keep(shared, BOB, 5, ONE, TWO)

    assert await shared.write(remote_devices.update, RemoteUpdate(BOB, "N", 6, 5, RemoteDevice("N", b"{}")))
    assert await current(shared) is None


async def test_others_are_told_once(db: Database) -> None:
    """Of two workers that tell of the same changes one comes too late."""
    await db.write(lambda tx: _mark(tx, "@alice:near.test", "A"))
    before, changes = await db.read(device_streams.list_changes, 10)
    assert [(change.user_id, change.ref) for change in changes] == [("@alice:near.test", "A")]
    position = changes[0].position

    await db.write(device_streams.finish, before, position, [], {"@alice:near.test": position})
    with pytest.raises(Stale):
        await db.write(device_streams.finish, before, position, [], {})

    assert await db.read(device_streams.list_changes, 10) == (position, [])
    assert await db.read(device_streams.latest, "@alice:near.test") == position
    assert await db.read(device_streams.latest, BOB) == 0


async def _mark(tx: Write, user_id: str, device_id: str) -> None:
    device_lists.mark(tx, user_id, device_id)
