"""Lists for administrators, and the last administrator, on both databases."""

import asyncio

import orjson
import pytest

from chamberlain.store import admin_lists, administrators, connections, profiles, threepids, users
from chamberlain.store.admin_lists import ROOM_ORDERS, USER_ORDERS, RoomFilter, UserFilter
from chamberlain.store.administrators import LastAdministrator
from chamberlain.store.connections import Connection
from chamberlain.store.database import Database
from chamberlain.store.tx import Write
from chamberlain.store.users import NewUser


async def people(tx: Write) -> None:
    """Alice with a name, Bob the bot, Carol the locked administrator."""
    await users.create(tx, NewUser(user_id="@alice:x", created_at=1000))
    await users.create(tx, NewUser(user_id="@bob:x", created_at=2000, user_type="bot"))
    await users.create(tx, NewUser(user_id="@carol:x", created_at=3000, admin=True))
    await users.set_locked(tx, "@carol:x", 9)
    await profiles.create(tx, [("@alice:x", "displayname", orjson.dumps("Ünder_100%"))])
    await connections.record(tx, [Connection("@alice:x", "D", "1.2.3.4", "UA", 77)])


async def listed(db: Database, order: str = "name", direction: str = "f", **wanted: object) -> list[str]:
    """The ids of the users that the filter lets through."""
    found, total = await db.snapshot(
        admin_lists.list_users,
        UserFilter(**wanted),  # type: ignore[arg-type]
        order,
        direction,  # type: ignore[arg-type]
        0,
        10,
    )
    assert total == len(found)
    return [user.user_id[1] for user in found]


async def test_users_with_filters(db: Database) -> None:
    """Each filter lets through what it names, in any case and taken literally."""
    await db.write(people)

    assert await listed(db) == ["a", "b", "c"]
    assert await listed(db, text="ündER_1") == ["a"]
    assert await listed(db, text="%") == ["a"]
    assert await listed(db, text="_") == ["a"]
    assert await listed(db, text="BO") == ["b"]
    assert await listed(db, user_id="carol:x") == ["c"]
    assert await listed(db, guests=True) == []
    assert await listed(db, admins=True) == ["c"]
    assert await listed(db, admins=False) == ["a", "b"]
    assert await listed(db, deactivated=True) == []
    assert await listed(db, locked=True) == ["c"]
    assert await listed(db, without_types=("bot",)) == ["a", "c"]
    assert await listed(db, without_types=("",)) == ["b"]


@pytest.mark.parametrize("order", USER_ORDERS)
async def test_every_order_of_users(db: Database, order: str) -> None:
    """Users sort by anything, both ways the same everywhere; ties go by id."""
    await db.write(people)
    forward, backward = await listed(db, order), await listed(db, order, "b")

    largest = {"user_type": "b", "admin": "c", "locked": "c", "displayname": "a", "last_seen_ts": "a"}
    expected = largest.get(order, "c" if order in ("name", "creation_ts") else "a")
    assert backward[0] == expected
    if order in ("is_guest", "deactivated", "shadow_banned", "avatar_url"):
        assert forward == ["a", "b", "c"]
    else:
        assert forward[-1] == expected


async def test_one_user(db: Database) -> None:
    """A row has what is known of the user."""
    await db.write(people)
    user = await db.read(admin_lists.find_user, "@alice:x")

    assert user is not None
    assert (user.display_name, user.last_seen, user.locked, user.is_admin) == ("Ünder_100%", 77, False, False)
    assert await db.read(admin_lists.find_user, "@nobody:x") is None
    assert await db.read(threepids.list_of, "@alice:x") == []


async def rooms(tx: Write) -> None:
    """Three rooms."""
    for name, joined, federatable in (("Alpha", 5, True), ("beta 50%", 0, False), (None, 9, True)):
        room_id = f"!{name or 'c'}"
        await tx.run(
            "INSERT INTO rooms (room_id, version, creator, created_at, cur_line, cur_ver, head_seq, extremities,"
            " notify_count, highlight_count, thread_notify_count)"
            " VALUES (:room_id, '11', '@a:x', 1, 1, 1, 1, '[]', 0, 0, 0)",
            room_id=room_id,
        )
        await tx.run(
            "INSERT INTO room_summaries (room_id, name, canonical_alias, federatable, joined, invited, local_joined,"
            " state_events) VALUES (:room_id, :name, :alias, :federatable, :joined, 0, :joined, :joined)",
            room_id=room_id,
            name=name,
            alias=None if name else "#gamma:x",
            federatable=federatable,
            joined=joined,
        )
    await tx.run("INSERT INTO published_rooms (room_id, published_at) VALUES ('!Alpha', 1)")


async def test_rooms_with_filters_and_orders(db: Database) -> None:
    """Each filter lets through what it names, and rooms sort by anything."""
    await db.write(rooms)

    async def found(order: str = "joined_members", **wanted: object) -> list[str]:
        page, total = await db.snapshot(
            admin_lists.list_rooms,
            RoomFilter(**wanted),  # type: ignore[arg-type]
            order,
            "f",
            0,
            10,
        )
        assert total == len(page)
        return [room.room_id for room in page]

    assert await found() == ["!c", "!Alpha", "!beta 50%"]
    assert await found("name") == ["!c", "!Alpha", "!beta 50%"]
    assert await found(text="50%") == ["!beta 50%"]
    assert await found(text="ALPH") == ["!Alpha"]
    assert await found(text="amm") == ["!c"]
    assert await found(text="!c") == ["!c"]
    assert await found(public=True) == ["!Alpha"]
    assert await found(public=False) == ["!c", "!beta 50%"]
    assert await found(empty=True) == ["!beta 50%"]
    for order in ROOM_ORDERS:
        assert len(await found(order)) == 3
    room = await db.read(admin_lists.find_room, "!Alpha")
    assert room is not None and (room.public, room.federatable, room.joined) == (True, True, 5)
    assert await db.read(admin_lists.find_room, "!nothing") is None
    assert await db.snapshot(admin_lists.count_local_devices, "!Alpha") == 0
    assert not await db.snapshot(admin_lists.is_forgotten, "!Alpha")


async def test_one_administrator_is_left(db: Database) -> None:
    """However many are demoted or locked at once, one who can log in stays; locked ones do not count."""
    await db.write(people)
    for n in range(7):
        await db.write(users.create, NewUser(user_id=f"@a{n}:x", created_at=1, admin=True))
    results = await asyncio.gather(
        *(db.write(administrators.demote, f"@a{n}:x") for n in range(4)),
        *(db.write(administrators.lock, f"@a{n}:x", 5) for n in range(4, 7)),
        return_exceptions=True,
    )

    assert sum(isinstance(result, LastAdministrator) for result in results) == 1
    assert len(await db.write(administrators.list_able)) == 1
    assert await db.write(administrators.demote, "@carol:x")
    assert not await db.write(administrators.demote, "@nobody:x")
