"""Devices, their keys, their messages and their lists, on both engines."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from chamberlain.store import (
    cross_signing,
    device_keys,
    device_lists,
    devices,
    key_backups,
    kinds,
    one_time_keys,
    to_device,
)
from chamberlain.store.connect import open_database
from chamberlain.store.cross_signing import KeyRow, UserSignature
from chamberlain.store.database import Database
from chamberlain.store.key_backups import Session
from chamberlain.store.one_time_keys import Batch, NewKey, Outcome
from chamberlain.store.to_device import Sending
from chamberlain.store.tx import Change, Write
from tests.support.clock import FakeClock

ALICE = "@alice:example.org"
BOB = "@bob:example.org"
CURVE = "signed_curve25519"


def keys(*ids: str, of: str = "k") -> list[NewKey]:
    """Keys whose content names them."""
    return [NewKey(CURVE, key_id, f'"{of}-{key_id}"'.encode()) for key_id in ids]


def batch(*ids: str, user: str = ALICE, device: str = "A", fallback: list[NewKey] | None = None) -> Batch:
    """An upload of one-time keys."""
    return Batch(user, device, keys(*ids), fallback or [])


@pytest.fixture
async def filled(db: Database) -> Database:
    """Two users, Alice with the devices A and B, Bob with B."""
    for user, device in ((ALICE, "A"), (ALICE, "B"), (BOB, "B")):
        await db.write(devices.upsert, user, device, f"{device} of {user}", 5)
    return db


@pytest.fixture
async def eight(database_url: str, clock: FakeClock, filled: Database) -> AsyncIterator[list[Database]]:
    """Eight more connections to the database of `filled`."""
    opened = [await open_database(database_url, clock.now, synchronous="off") for _ in range(8)]
    yield opened
    for database in opened:
        await database.close()


async def join(tx: Write, room_id: str, user_id: str) -> None:
    """Make a user a member of a room, as far as device lists look at it."""
    await tx.run(
        "INSERT INTO memberships (room_id, user_id, membership, local, event_id, sender, position, forgotten)"
        " VALUES (:room_id, :user_id, 'join', TRUE, '$e', :user_id, 0, FALSE)",
        room_id=room_id,
        user_id=user_id,
    )


async def test_a_device_that_exists_keeps_its_name(filled: Database) -> None:
    """Logging in again with the same device id changes nothing that others see."""
    position = filled.position
    assert await filled.write(devices.upsert, ALICE, "A", "another name", 9) is False
    assert await filled.read(devices.get, ALICE, "A") == ("A", f"A of {ALICE}", 5)
    assert await filled.read(devices.get, ALICE, "C") is None
    assert [row[0] for row in await filled.read(devices.list_of, ALICE)] == ["A", "B"]
    assert filled.position == position


async def test_renaming_a_device_changes_the_device_list(filled: Database) -> None:
    """A new display name is news; that of a missing device is not."""
    position = filled.position
    assert await filled.write(devices.rename, ALICE, "A", "new") is True
    assert await filled.write(devices.rename, ALICE, "Z", "new") is False
    changed = await filled.read(device_lists.changed_since, position, filled.position, [ALICE, BOB])
    assert changed == {ALICE}


async def test_a_deleted_device_leaves_nothing_behind(filled: Database) -> None:
    """Keys and messages go with the device, those of the same device id of another user stay."""
    told: list[Change] = []
    filled.subscribe(told.extend)
    for user in (ALICE, BOB):
        await filled.write_batch(one_time_keys.upload, batch("1", user=user, device="B", fallback=keys("f")))
        await filled.write(device_keys.put, user, "B", b"{}", None)
        await filled.write(to_device.deliver, [(user, "B", b"{}")])

    assert await filled.write(devices.delete_many, ALICE, ["B", "unknown"]) == ["B"]
    assert await filled.write(devices.delete_many, ALICE, ["B", "unknown"]) == []

    assert [(c.entity, c.ref) for c in told if c.kind == kinds.ACCESS] == [(ALICE, "B")]
    assert await filled.read(one_time_keys.counts, ALICE, "B") == {}
    assert await filled.read(one_time_keys.unused_fallback_types, ALICE, "B") == []
    assert await filled.read(to_device.pending, ALICE, "B", filled.position) == []
    assert [row[:3] for row in await filled.read(device_keys.of_users, [ALICE, BOB])] == [(BOB, "B", b"{}")]
    assert await filled.read(one_time_keys.counts, BOB, "B") == {CURVE: 1}
    assert len(await filled.read(to_device.pending, BOB, "B", filled.position)) == 1


async def test_all_devices_but_one_can_be_deleted(filled: Database) -> None:
    """Logging out everywhere else keeps the one device."""
    assert await filled.write(devices.delete_all, ALICE, "A") == ["B"]
    assert await filled.write(devices.delete_all, ALICE) == ["A"]


async def test_only_users_in_a_common_room_hear_of_a_device(filled: Database) -> None:
    """Bob hears of Alice's devices when they share a room, and always of his own."""
    start = filled.position
    await filled.write(devices.rename, ALICE, "A", "new")
    await filled.write(devices.rename, BOB, "B", "new")
    assert await filled.read(device_lists.changed_for, BOB, start, filled.position) == {BOB}
    await filled.write(join, "!r", ALICE)
    await filled.write(join, "!r", BOB)
    assert await filled.read(device_lists.changed_for, BOB, start, filled.position) == {ALICE, BOB}
    assert await filled.read(device_lists.changed_for, BOB, start, start) == set()
    assert await filled.read(device_lists.sharing_a_room, BOB, [ALICE, "@c:d"]) == {ALICE}


async def test_keys_are_counted_and_uploading_them_again_is_harmless(filled: Database) -> None:
    """The same keys twice are there once; a key id with other content refuses its whole upload."""
    assert await filled.write_batch(one_time_keys.upload, batch("1", "2")) == Outcome({CURVE: 2})
    position = filled.position
    assert await filled.write_batch(one_time_keys.upload, batch("2", "1")) == Outcome({CURVE: 2})
    assert filled.position == position

    other = Batch(ALICE, "A", [*keys("3"), *keys("1", of="other")], [])
    assert (await filled.write_batch(one_time_keys.upload, other)).taken == "1"
    assert await filled.read(one_time_keys.counts, ALICE, "A") == {CURVE: 2}
    missing = await filled.write_batch(one_time_keys.upload, batch("1", device="none"))
    assert missing.no_device


async def test_uploads_that_are_written_together_see_each_other(filled: Database) -> None:
    """Two batches of one device in one transaction share the count and the check for used ids."""
    first, second, third = await filled.write(
        one_time_keys.upload,
        [batch("1", "2"), batch("2", "3"), Batch(ALICE, "A", keys("3", of="other"), [])],
    )
    assert (first.counts, second.counts) == ({CURVE: 2}, {CURVE: 3})
    assert third.taken == "3"


async def test_keys_are_given_in_the_order_of_their_upload_then_the_fallback(filled: Database) -> None:
    """Older uploads go first; the fallback key is given again and again and counts as used at once."""
    for ids in (("z", "y"), ("a",)):
        await filled.write_batch(one_time_keys.upload, batch(*ids, fallback=keys("f")))
    await filled.write_batch(one_time_keys.upload, batch("b", device="B"))
    wanted = [(ALICE, "A", CURVE), (ALICE, "none", CURVE), (BOB, "A", CURVE), (ALICE, "A", "unknown")]
    given = [await filled.write_batch(one_time_keys.claim, wanted) for _ in range(5)]

    assert [[key.key_id for key in one] for one in given] == [["z"], ["y"], ["a"], ["f"], ["f"]]
    assert await filled.read(one_time_keys.unused_fallback_types, ALICE, "A") == []
    assert await filled.read(one_time_keys.counts, ALICE, "B") == {CURVE: 1}

    await filled.write_batch(one_time_keys.upload, batch(fallback=keys("f")))
    assert await filled.read(one_time_keys.unused_fallback_types, ALICE, "A") == []
    await filled.write_batch(one_time_keys.upload, batch(fallback=keys("g")))
    assert await filled.read(one_time_keys.unused_fallback_types, ALICE, "A") == [CURVE]


async def test_requests_of_one_batch_get_different_keys(filled: Database) -> None:
    """Three claims for one device in one transaction, two keys and a fallback."""
    await filled.write_batch(one_time_keys.upload, batch("1", "2", fallback=keys("f")))
    wanted = [(ALICE, "A", CURVE)]
    given = await filled.write(one_time_keys.claim, [wanted, wanted * 2, wanted])

    assert [[key.key_id for key in one] for one in given] == [["1"], ["2"], ["f"]]


async def test_a_one_time_key_has_one_winner_among_eight_connections(
    filled: Database, eight: list[Database]
) -> None:
    """Eight workers claim at once: five get a key each, the others none."""
    await filled.write_batch(one_time_keys.upload, batch("1", "2", "3", "4", "5"))
    given = await asyncio.gather(
        *(database.write_batch(one_time_keys.claim, [(ALICE, "A", CURVE)]) for database in eight)
    )
    assert sorted(key.key_id for one in given for key in one) == ["1", "2", "3", "4", "5"]


async def test_the_same_key_uploaded_from_eight_connections_is_there_once(
    filled: Database, eight: list[Database]
) -> None:
    """Eight workers store the same upload at once."""
    outcomes = await asyncio.gather(
        *(database.write_batch(one_time_keys.upload, batch("1", "2")) for database in eight)
    )
    assert outcomes == [Outcome({CURVE: 2})] * 8
    assert await filled.read(one_time_keys.counts, ALICE, "A") == {CURVE: 2}


async def test_device_keys_change_only_from_what_was_seen(filled: Database) -> None:
    """Of two writers that saw the same keys the second is refused."""
    assert await filled.write(device_keys.put, ALICE, "A", b"1", None)
    assert not await filled.write(device_keys.put, ALICE, "A", b"2", None)
    assert await filled.write(device_keys.put, ALICE, "A", b"2", b"1")
    assert not await filled.write(device_keys.put, ALICE, "A", b"3", b"1")
    assert not await filled.write(device_keys.put, ALICE, "none", b"3", None)
    assert await filled.read(device_keys.of_users, [ALICE]) == [(ALICE, "A", b"2", f"A of {ALICE}")]
    assert await filled.read(device_keys.of_devices, ALICE, ["A", "B"]) == {"A": b"2"}


async def test_the_first_cross_signing_keys_have_one_winner(filled: Database, eight: list[Database]) -> None:
    """Eight workers set the first master key at once: one of them does."""
    done = await asyncio.gather(
        *(
            database.write(cross_signing.replace, ALICE, [KeyRow("master", f"k{n}", b"{}")], None)
            for n, database in enumerate(eight)
        )
    )
    assert sorted(done) == [False] * 7 + [True]


async def test_a_new_master_key_takes_the_old_keys_with_it(filled: Database) -> None:
    """Keys that the old master signed are gone, and so are signatures by them."""
    old = [KeyRow("master", "m", b"m"), KeyRow("self_signing", "s", b"s"), KeyRow("user_signing", "u", b"u")]
    assert await filled.write(cross_signing.replace, ALICE, old, None)
    signature = UserSignature(BOB, "bm", "ed25519:u", "sig")
    await filled.write(cross_signing.add_user_signatures, ALICE, [signature, signature])
    assert await filled.read(cross_signing.user_signatures_by, ALICE) == [signature]
    start = filled.position
    assert await filled.write(cross_signing.replace, ALICE, [KeyRow("user_signing", "u", b"x")], "m")
    assert await filled.read(cross_signing.user_signatures_by, ALICE) == [signature]

    assert not await filled.write(cross_signing.replace, ALICE, old, "wrong")
    assert await filled.write(cross_signing.replace, ALICE, [KeyRow("master", "n", b"n")], "m")
    assert await filled.read(cross_signing.of_users, [ALICE]) == [(ALICE, KeyRow("master", "n", b"n"))]
    assert await filled.read(cross_signing.user_signatures_by, ALICE) == []
    assert await filled.read(device_lists.changed_for, ALICE, start, filled.position) == {ALICE}
    assert await filled.write(cross_signing.put, ALICE, "master", b"n2", b"n")
    assert not await filled.write(cross_signing.put, ALICE, "master", b"n3", b"n")


async def test_a_signature_on_another_user_is_news_for_the_signer_alone(filled: Database) -> None:
    """Alice signs Bob: she hears that Bob changed, Bob does not."""
    start = filled.position
    await filled.write(cross_signing.add_user_signatures, ALICE, [UserSignature(BOB, "m", "ed25519:u", "s")])
    assert await filled.read(device_lists.changed_for, ALICE, start, filled.position) == {BOB}
    assert await filled.read(device_lists.changed_for, BOB, start, filled.position) == set()


async def test_messages_wait_in_order_until_they_are_acknowledged(filled: Database) -> None:
    """`*` reaches every device; a transaction is done once; what was acknowledged does not come again."""
    first = Sending(BOB, "B", "t", "1", [(ALICE, "*", b"1"), (ALICE, "none", b"x"), ("@c:d", "*", b"x")])
    second = Sending(BOB, "B", "t", "2", [(ALICE, "A", b"2")])
    assert await filled.write(to_device.send, first, 10)
    assert not await filled.write(to_device.send, first, 10)
    middle = filled.position
    assert await filled.write(to_device.send, second, 10)
    assert await filled.write(to_device.send, first._replace(event_type="other", messages=[]), 10)

    waiting = await filled.read(to_device.pending, ALICE, "A", filled.position)
    assert [message for _, message in waiting] == [b"1", b"2"]
    assert len(await filled.read(to_device.pending, ALICE, "A", filled.position, limit=1)) == 1
    assert [m for _, m in await filled.read(to_device.pending, ALICE, "A", middle)] == [b"1"]
    assert await filled.write(to_device.acknowledge, ALICE, "A", waiting[0][0]) == 1
    assert [m for _, m in await filled.read(to_device.pending, ALICE, "A", filled.position)] == [b"2"]
    assert [m for _, m in await filled.read(to_device.pending, ALICE, "B", filled.position)] == [b"1"]

    assert await filled.write(to_device.forget_txns, 11) == 3
    assert await filled.write(to_device.send, second, 12)


async def test_one_transaction_id_from_eight_connections_is_delivered_once(
    filled: Database, eight: list[Database]
) -> None:
    """Eight workers get the same retried request at once."""
    sending = Sending(BOB, "B", "t", "1", [(ALICE, "A", b"1")])
    done = await asyncio.gather(*(database.write(to_device.send, sending, 1) for database in eight))
    assert sorted(done) == [False] * 7 + [True]
    position = max(database.position for database in eight)
    assert len(await filled.read(to_device.pending, ALICE, "A", position)) == 1


def session(room: str, name: str, index: int = 0, forwarded: int = 0, verified: bool = False) -> Session:
    """A session in a backup."""
    return Session(room, name, index, forwarded, verified, f'"{index}{forwarded}{verified}"'.encode())


async def test_a_backup_counts_its_sessions_and_keeps_the_better_ones(filled: Database) -> None:
    """The etag moves with real changes only; verified, then the earlier index, then fewer forwards win."""
    assert await filled.write(key_backups.create, ALICE, "alg", b'{"a":1}') == 1
    put = key_backups.put_sessions
    first = await filled.write(put, ALICE, 1, [session("!r", "s", 5, 1), session("!r", "t")])
    assert first is not None and first.keys == 2
    for worse in (session("!r", "s", 6, 0), session("!r", "s", 5, 2), session("!r", "s", 5, 1)):
        assert await filled.write(put, ALICE, 1, [worse]) == first
    for better in (session("!r", "s", 5, 0), session("!r", "s", 4, 9), session("!r", "s", 9, 9, True)):
        after = await filled.write(put, ALICE, 1, [better])
        assert after is not None and (after.keys, after.etag != first.etag) == (2, True)
        assert await filled.read(key_backups.sessions_of, ALICE, 1, "!r", "s") == [better]
    assert len(await filled.read(key_backups.sessions_of, ALICE, 1) or []) == 2
    assert await filled.read(key_backups.sessions_of, ALICE, 1, "!other") == []
    gone = await filled.write(key_backups.delete_sessions, ALICE, 1, "!r", "s")
    assert gone is not None and gone.keys == 1
    assert await filled.write(key_backups.delete_sessions, ALICE, 1, "!r", "s") == gone


async def test_versions_of_a_backup_are_not_given_twice(filled: Database) -> None:
    """The newest version that was not deleted is the current one."""
    assert await filled.write(key_backups.create, ALICE, "alg", b"1") == 1
    assert await filled.write(key_backups.create, ALICE, "alg", b"2") == 2
    current = await filled.write(key_backups.put_sessions, ALICE, 1, [session("!r", "s")])
    assert current is not None and (current.version, current.keys) == (2, 0)
    assert await filled.write(key_backups.set_auth_data, ALICE, 2, b"3")
    assert await filled.write(key_backups.delete, ALICE, 2)
    assert await filled.write(key_backups.delete, ALICE, 2)
    assert not await filled.write(key_backups.delete, ALICE, 9)
    assert not await filled.write(key_backups.set_auth_data, ALICE, 2, b"4")
    assert await filled.read(key_backups.find, ALICE, 2) is None
    assert await filled.read(key_backups.sessions_of, ALICE, 2) is None
    left = await filled.read(key_backups.find_current, ALICE)
    assert left is not None and left.version == 1
    assert await filled.write(key_backups.create, ALICE, "alg", b"5") == 3
    await filled.write(key_backups.delete_all, ALICE)
    assert await filled.read(key_backups.find_current, ALICE) is None
    assert await filled.write(key_backups.put_sessions, ALICE, 3, []) is None
    assert await filled.write(key_backups.delete_sessions, ALICE, 3) is None
