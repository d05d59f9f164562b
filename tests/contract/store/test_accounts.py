"""Accounts in the store: what must have one winner, and what must survive."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from chamberlain.store import (
    account_data,
    connections,
    filters,
    kinds,
    openid,
    profiles,
    regimes,
    registration_tokens,
    threepids,
    tokens,
    uia,
    user_directory,
    users,
)
from chamberlain.store.connect import open_database
from chamberlain.store.connections import Connection
from chamberlain.store.database import Database
from chamberlain.store.threepids import Threepid
from chamberlain.store.tokens import NewToken
from chamberlain.store.tx import Change, Write
from chamberlain.store.users import NewUser
from tests.support.clock import FakeClock
from tests.support.rows import insert

ALICE, BOB = "@alice:example.org", "@bob:example.org"


@pytest.fixture
async def workers(database_url: str, clock: FakeClock) -> AsyncIterator[list[Database]]:
    """Eight ways to one database: eight workers on PostgreSQL, one on SQLite, which has one writer."""
    count = 1 if database_url.startswith("sqlite") else 8
    opened = [
        await open_database(database_url, clock.now, synchronous="off", pool_size=2, shared=count > 1)
        for _ in range(count)
    ]
    yield opened * (8 // count)
    for database in opened:
        await database.close()


async def at_once(workers: list[Database], fn: Callable[..., Awaitable[Any]], *args: Any) -> list[Any]:
    """The results of one store function, run by all at the same time."""
    return list(await asyncio.gather(*(database.write(fn, *args) for database in workers)))


async def make(database: Database, *user_ids: str) -> None:
    """Make accounts."""
    for user_id in user_ids:
        assert await database.write(users.create, NewUser(user_id=user_id, created_at=1))


def access(hash: bytes, replaces: bytes | None = None, device: str | None = "D") -> NewToken:
    """An access token of Alice's."""
    return NewToken(hash=hash, user_id=ALICE, device_id=device, created_at=1, replaces=replaces)


async def test_an_id_is_given_once(workers: list[Database]) -> None:
    """Of eight who make one account at once one does; after its end it is still taken."""
    made = await at_once(workers, users.create, NewUser(user_id=ALICE, created_at=1))
    assert sorted(made) == [False] * 7 + [True]

    await workers[0].write(lambda tx: users.deactivate(tx, ALICE, 5, erase=False))
    assert not await workers[0].write(users.create, NewUser(user_id=ALICE, created_at=2))


async def test_a_login_token_has_one_winner(workers: list[Database]) -> None:
    """Of eight who use one login token at once one gets its user."""
    await workers[0].write(tokens.add_login_token, b"h", ALICE, 1, 10)

    used = await at_once(workers, tokens.use_login_token, b"h", 5)

    assert [user for user in used if user] == [ALICE]


async def test_an_expired_login_token_has_none(db: Database) -> None:
    """A login token is good before its time, and not at it."""
    await db.write(tokens.add_login_token, b"h", ALICE, 1, 10)

    assert await db.write(tokens.use_login_token, b"h", 10) is None


async def test_a_uia_session_has_one_winner(workers: list[Database]) -> None:
    """Of eight who use one session at once one does, whether it was stored before or not."""
    await workers[0].write(uia.complete, "stored", ["m.login.dummy"], None, 1, 10)

    for session in ("fresh", "stored"):
        assert sorted(await at_once(workers, uia.use, session, 10)) == [False] * 7 + [True]


async def test_the_last_use_of_a_registration_token_has_one_winner(workers: list[Database]) -> None:
    """Of eight who use a token with one use left at once one does, and no more are counted."""
    await workers[0].write(registration_tokens.create, "t", 2, None, 1)
    await workers[0].write(registration_tokens.hold, "t", 1)

    async def consume(tx: Write) -> bool:
        return await registration_tokens.consume(tx, "t", 1, held=False)

    assert sorted(await at_once(workers, consume)) == [False] * 7 + [True]
    found = await workers[0].read(registration_tokens.find, "t")
    assert found is not None and (found.completed, found.pending) == (1, 1)


async def test_refreshes_at_once_leave_one_line(workers: list[Database]) -> None:
    """Eight who use one refresh token at once: the tokens of one of them are good."""
    await make(workers[0], ALICE)
    await workers[0].write(lambda tx: insert(tx, "devices", user_id=ALICE, device_id="D"))
    await workers[0].write(tokens.add_refresh, [access(b"used")])
    fresh = [(access(b"a%d" % n, b"used"), access(b"r%d" % n, b"used")) for n in range(8)]
    results = await asyncio.gather(
        *(
            database.write(tokens.rotate, b"used", *pair)
            for database, pair in zip(workers, fresh, strict=True)
        )
    )

    assert results == [True] * 8
    (winner,) = await workers[0].read(tokens.hashes_of, ALICE)
    found = await workers[0].read(tokens.find, winner)
    assert found is not None
    confirmed = await asyncio.gather(*(db.write(tokens.confirm, winner, found) for db in workers))
    assert all(confirmed)
    assert await workers[0].read(tokens.find_refresh, b"used") is None
    again = [(access(b"b%d" % n, b"r%d" % n), access(b"s%d" % n, b"r%d" % n)) for n in range(8)]
    results = [await workers[0].write(tokens.rotate, b"r%d" % n, *pair) for n, pair in enumerate(again)]
    assert sorted(results) == [False] * 7 + [True]


async def test_an_address_has_one_owner(workers: list[Database]) -> None:
    """Of two who add one address at once one gets it; the owner may add it again."""
    address = Threepid("email", "a@b.org", 5, 5)
    added = await asyncio.gather(
        *(database.write(threepids.add, (ALICE, BOB)[n % 2], address) for n, database in enumerate(workers))
    )

    owner = await workers[0].read(threepids.find_user, "email", "a@b.org")
    assert added == [(ALICE, BOB)[n % 2] == owner for n in range(8)]


async def test_edits_of_account_data_at_once_are_all_kept(workers: list[Database]) -> None:
    """Eight who each add a letter to one piece of account data: eight letters, and the last has a position."""
    await make(workers[0], ALICE)

    async def append(tx: Write) -> None:
        content = await account_data.find_locked(tx, ALICE, "", "x")
        await account_data.put(tx, ALICE, "", "x", (content or b"") + b"+")

    await at_once(workers, append)

    (found,) = await workers[0].read(account_data.all_of, ALICE)
    assert found.content == b"+" * 8
    assert found.position == 8


async def test_account_data_are_found_by_their_position(db: Database) -> None:
    """What changed between two positions is given in order, the newest content of each piece once."""
    told: list[Change] = []
    db.subscribe(told.extend)
    for room, type_, content in (("", "a", b"1"), ("!r:x", "b", b"2"), ("", "a", b"3"), ("", "c", b"4")):
        await db.write(account_data.put, ALICE, room, type_, content)
    await db.write(account_data.put, BOB, "", "a", b"5")

    assert [(change.kind, change.entity, change.ref) for change in told[:2]] == [
        (kinds.ACCOUNT_DATA, ALICE, "a"),
        (kinds.ROOM_ACCOUNT_DATA, ALICE, "!r:x"),
    ]
    changed = await db.read(account_data.changed_since, ALICE, 2, 4)
    assert [(row.room_id, row.type, row.content, row.position) for row in changed] == [
        ("", "a", b"3", 3),
        ("", "c", b"4", 4),
    ]
    assert [row.type for row in await db.read(account_data.of_room, ALICE, "!r:x")] == ["b"]
    await db.write(account_data.delete_all, ALICE)
    assert await db.read(account_data.all_of, ALICE) == []
    assert await db.read(account_data.find, BOB, "", "a") == b"5"


async def test_whose_push_rules_are_evaluated_alone(db: Database) -> None:
    """Those who ignore somebody or have own rules; it is kept from where on that is so, and from where on not."""
    ignoring, nobody = b'{"ignored_users":{"@c:x":{},"@alice:x":{}}}', b'{"ignored_users":{}}'
    await db.write(account_data.put, BOB, "!r:x", "m.ignored_user_list", ignoring)
    assert await db.read(regimes.personal_of, [ALICE, BOB, "@c:x"]) == {}
    assert await db.read(regimes.regime_of, ALICE) == regimes.Regime(False)
    for content, own, switches in (
        (ignoring, True, (2,)),
        (ignoring, True, (2,)),
        (nobody, False, (4, 2)),
        (nobody, False, (4, 2)),
    ):
        await db.write(regimes.put_deciding, ALICE, "m.ignored_user_list", content)
        assert await db.read(regimes.regime_of, ALICE) == regimes.Regime(own, switches)
        assert (ALICE in await db.read(regimes.personal_of, [ALICE, BOB])) is own
    assert regimes.Regime(False, (4, 2)).shared(9) == [(4, 9), (0, 2)]
    assert regimes.Regime(True, (4, 2, 1)).shared(9) == [(2, 4), (0, 1)]
    assert regimes.Regime(True).shared(9) == []


async def test_a_user_is_as_it_was_made_and_changed(db: Database) -> None:
    """Every property of an account is kept, each change announced as one of access."""
    told: list[Change] = []
    db.subscribe(told.extend)
    assert await db.read(users.is_empty)
    new = NewUser(user_id=ALICE, created_at=7, password_hash="h", admin=True, user_type="bot")
    await db.write(users.create, new)
    assert not await db.read(users.is_empty)
    for change, value in (
        (users.set_admin, False),
        (users.set_user_type, "support"),
        (users.set_locked, 11),
        (users.set_suspended, 12),
        (users.set_shadow_banned, 13),
        (users.set_password, None),
    ):
        assert await db.write(change, ALICE, value)
        assert not await db.write(change, BOB, value)

    user = await db.read(users.find, ALICE)
    assert user is not None
    assert (user.created_at, user.has_password, user.is_admin, user.user_type) == (7, False, False, "support")
    assert (user.locked_at, user.suspended_at, user.shadow_banned_at) == (11, 12, 13)
    assert not user.is_deactivated and not user.is_erased and not user.is_guest
    assert [(change.kind, change.entity) for change in told] == [(kinds.ACCESS, ALICE)] * 6
    assert await db.read(users.credentials, [ALICE, BOB]) == {ALICE: (None, True, False)}


async def test_the_end_of_an_account(db: Database) -> None:
    """The times of the first end and of the first erasure stay; the erased are found among others."""
    await make(db, ALICE, BOB)
    for now, erase in ((5, False), (6, True), (7, True), (8, False)):
        assert await db.write(lambda tx, n=now, e=erase: users.deactivate(tx, ALICE, n, erase=e))

    user = await db.read(users.find, ALICE)
    assert user is not None and (user.deactivated_at, user.erased_at) == (5, 6)
    assert await db.read(users.erased_among, [ALICE, BOB]) == {ALICE}
    assert not await db.write(users.set_password, ALICE, "h")
    assert not await db.write(users.upgrade_guest, ALICE, "h")


async def test_tokens_of_devices(db: Database) -> None:
    """Tokens are found with the rights of their user and deleted by device, by user, or alone."""
    await make(db, ALICE)
    for hash, device in ((b"1", "D"), (b"2", "E"), (b"3", None), (b"4", None)):
        await db.write(tokens.add_access, [access(hash, device=device)])
    await db.write(tokens.add_refresh, [access(b"r", device="D")])
    found = await db.read(tokens.find, b"2")
    assert found is not None and (found.user_id, found.device_id, found.is_admin) == (ALICE, "E", False)

    assert await db.write(tokens.delete, b"4")
    assert not await db.write(tokens.delete, b"4")
    assert await db.write(tokens.delete_of_device, ALICE, "D")
    assert not await db.write(tokens.delete_of_device, ALICE, "D")
    assert await db.read(tokens.find_refresh, b"r") is None
    await db.write(tokens.delete_all, ALICE, "E")
    assert await db.read(tokens.hashes_of, ALICE) == [b"2"]
    await db.write(tokens.delete_all, ALICE)
    assert await db.read(tokens.hashes_of, ALICE) == []


async def test_the_tokens_of_deactivated_users_are_unknown(db: Database) -> None:
    """A token that was forgotten somewhere does not open a deactivated account."""
    await make(db, ALICE)
    await db.write(tokens.add_access, [access(b"1")])
    await db.write(tokens.add_refresh, [access(b"r")])
    await db.write(lambda tx: users.deactivate(tx, ALICE, 5, erase=False))

    assert await db.read(tokens.find, b"1") is None
    assert await db.read(tokens.find_refresh, b"r") is None


async def test_uia_sessions_give_back_what_they_held(db: Database) -> None:
    """A session that expires lets go of its registration token; one that is used counts it."""
    await db.write(registration_tokens.create, "t", 1, None, 1)
    assert await db.write(uia.complete, "one", ["m.login.registration_token"], "t", 1, 10)
    assert await db.write(uia.complete, "one", ["m.login.registration_token", "m.x"], "t", 1, 10)
    assert not await db.write(uia.complete, "two", ["m.login.registration_token"], "t", 1, 10)
    assert await db.read(uia.find, "one") == (["m.login.registration_token", "m.x"], "t", False)
    assert await db.write(uia.complete, "two", ["m.login.registration_token"], "t", 10, 20)
    assert await db.read(uia.find, "one") is None

    assert await db.write(uia.use, "two", 20)
    assert await db.write(lambda tx: registration_tokens.consume(tx, "t", 11, held=True))
    await db.write(uia.forget_expired, 20)
    found = await db.read(registration_tokens.find, "t")
    assert found is not None and (found.completed, found.pending) == (1, 0)


async def test_the_key_of_sessions_is_made_once(workers: list[Database]) -> None:
    """Every worker gets the same key, whoever comes first."""
    keys = await asyncio.gather(
        *(database.write(uia.get_or_make_key, f"key {n}") for n, database in enumerate(workers))
    )

    assert len(set(keys)) == 1


async def test_registration_tokens(db: Database) -> None:
    """A token is made once, changed, listed, and good within its limits."""
    assert await db.write(registration_tokens.create, "a", 1, 50, 1)
    assert not await db.write(registration_tokens.create, "a", None, None, 2)
    assert await db.write(registration_tokens.create, "b", None, None, 3)
    assert [token.token for token in await db.read(registration_tokens.list_all)] == ["a", "b"]
    assert not await db.write(lambda tx: registration_tokens.consume(tx, "a", 50, held=False))
    assert await db.write(registration_tokens.update, "a", 2, None)
    assert await db.write(lambda tx: registration_tokens.consume(tx, "a", 50, held=False))
    assert not await db.write(lambda tx: registration_tokens.consume(tx, "a", 50, held=True))
    assert await db.write(registration_tokens.delete, "a")
    assert not await db.write(registration_tokens.delete, "a")
    assert not await db.write(registration_tokens.update, "a", 1, 1)
    assert not await db.write(registration_tokens.hold, "a", 1)


async def test_profiles(db: Database) -> None:
    """Fields are kept as JSON, changes are announced, an unchanged value is none; the size is bounded."""
    await make(db, ALICE)
    await db.write(profiles.create, [(ALICE, "displayname", b'"A"')])
    told: list[Change] = []
    db.subscribe(told.extend)
    assert await db.write(profiles.put, ALICE, "displayname", b'"A"', 1_000)
    assert await db.write(profiles.put, ALICE, "x", b"{}", 1_000)
    assert not await db.write(profiles.put, ALICE, "y", b"1" * 1_000, 1_000)
    assert await db.read(profiles.get, ALICE) == {"displayname": b'"A"', "x": b"{}"}
    assert await db.read(profiles.get_many, [ALICE, BOB], ["x"]) == {ALICE: {"x": b"{}"}}

    assert await db.write(profiles.delete, ALICE, "x")
    assert not await db.write(profiles.delete, ALICE, "x")
    await db.write(profiles.delete_all, ALICE)
    assert await db.read(profiles.get, ALICE) == {}
    assert [(change.kind, change.ref) for change in told] == [
        (kinds.PROFILE, "x"),
        (kinds.PROFILE, "x"),
        (kinds.PROFILE, "displayname"),
    ]


async def test_what_rooms_tell_of_a_user(db: Database) -> None:
    """The names of the newest room that the user is in stand for an unknown profile."""
    for room, membership, name, position in (("!a:x", "join", "old", 1), ("!b:x", "join", "new", 2)):
        await db.write(
            lambda tx, r=room, m=membership, n=name, p=position: insert(
                tx, "memberships", room_id=r, user_id="@c:y", membership=m, display_name=n, position=p
            )
        )

    assert await db.read(profiles.seen_in_rooms, "@c:y") == ("new", None)
    assert await db.read(profiles.seen_in_rooms, "@d:y") is None


async def test_the_user_directory(db: Database) -> None:
    """Members of common, public and world-readable rooms are found, wildcards are only characters."""
    rooms = (
        ("!own:x", "invite", "shared"),
        ("!pub:x", "public", "shared"),
        ("!read:x", "invite", "world_readable"),
    )
    for room, rule, visibility in (*rooms, ("!secret:x", "invite", "shared")):
        await db.write(
            lambda tx, r=room, j=rule, v=visibility: insert(
                tx, "room_summaries", room_id=r, join_rule=j, history_visibility=v
            )
        )
        name = f"Ünit 100% {room[1]}"
        await db.write(
            lambda tx, r=room, n=name: insert(
                tx,
                "memberships",
                room_id=r,
                user_id=f"@{r[1:].partition(':')[0]}:x",
                membership="join",
                display_name=n,
            )
        )
    await db.write(
        lambda tx: insert(
            tx, "memberships", room_id="!own:x", user_id=ALICE, membership="join", display_name="A"
        )
    )

    async def find(term: str, limit: int = 10) -> list[str]:
        return [found.user_id for found in await db.read(user_directory.search, ALICE, term, limit)]

    assert await find("ünit") == await find("Ünit") == ["@own:x", "@pub:x", "@read:x"]
    assert await find("100%") == ["@own:x", "@pub:x", "@read:x"]
    assert await find("1_0") == []
    assert await find("PUB") == ["@pub:x"]
    assert await find(":x", 2) == ["@own:x", "@pub:x"]
    assert await find("secret") == []


async def test_openid_tokens(db: Database) -> None:
    """A token is good until its time, or until its user's tokens are deleted."""
    await db.write(openid.add, b"1", ALICE, 1, 10)
    await db.write(openid.add, b"2", BOB, 1, 10)
    assert await db.read(openid.find_user, b"1", 9) == ALICE
    assert await db.read(openid.find_user, b"1", 10) is None

    await db.write(openid.delete_all, BOB)
    assert await db.read(openid.find_user, b"2", 9) is None


async def test_filters(db: Database) -> None:
    """A filter is kept as it first was, for its user alone."""
    await db.write(filters.add, ALICE, "f", b"{}")
    await db.write(filters.add, ALICE, "f", b"[]")
    assert await db.read(filters.find, ALICE, "f") == b"{}"
    assert await db.read(filters.find, BOB, "f") is None

    await db.write(filters.delete_all, ALICE)
    assert await db.read(filters.find, ALICE, "f") is None


async def test_threepids(db: Database) -> None:
    """Identifiers are listed, and removed only from the user who has them."""
    await db.write(threepids.add, ALICE, Threepid("email", "a@b.org", 5, 5))
    await db.write(threepids.add, ALICE, Threepid("msisdn", "1", 4, 4))
    assert [threepid.address for threepid in await db.read(threepids.list_of, ALICE)] == ["1", "a@b.org"]
    assert not await db.write(threepids.remove, BOB, "email", "a@b.org")
    assert await db.write(threepids.remove, ALICE, "email", "a@b.org")

    assert await db.write(threepids.remove_all, ALICE) == 1
    assert await db.write(threepids.remove_all, ALICE) == 0


async def test_connections(db: Database) -> None:
    """The newest time of each connection is kept, odd client names too; old ones can be forgotten."""
    first = [Connection(ALICE, "D", "1.1.1.1", "a\x00b", 5), Connection(ALICE, "", "::1", "", 6)]
    await db.write(connections.record, first)
    await db.write(connections.record, [Connection(ALICE, "D", "1.1.1.1", "a\x00b", 9)])
    assert await db.read(connections.list_of, ALICE, 10) == [
        Connection(ALICE, "D", "1.1.1.1", "a\x00b", 9),
        first[1],
    ]

    assert await db.write(connections.forget_before, 9) == 1
    await db.write(connections.delete_all, ALICE)
    assert await db.read(connections.list_of, ALICE, 10) == []


async def test_only_so_many_connections_of_a_user_are_kept(db: Database) -> None:
    """The latest of each user stay, others' are not touched."""
    many = [Connection(ALICE, "D", "1.1.1.1", f"bot/{n}", n) for n in range(9)]
    few = [Connection(BOB, "D", "1.1.1.1", f"phone/{n}", n) for n in range(2)]
    await db.write(connections.record, [*many, *few])
    assert await db.write(connections.forget_beyond, 3) == 6
    assert await db.write(connections.forget_beyond, 3) == 0

    assert await db.read(connections.list_of, ALICE, 10) == many[:5:-1]
    assert await db.read(connections.list_with_devices, ALICE, 2) == ([], many[:6:-1])
    assert await db.read(connections.list_of, BOB, 1) == few[1:]


async def test_limits_of_a_registration_token_change_one_by_one(db: Database) -> None:
    """What is kept stays as it is, on both engines; None lifts a limit."""
    await db.write(registration_tokens.create, "t", 3, 5000, 1)
    seen = []
    for limits, keep in [
        ((None, 9000), {"keep_uses": True}),
        ((4, None), {"keep_expiry": True}),
        ((None, None), {"keep_expiry": True}),
        ((None, None), {}),
    ]:
        assert await db.write(registration_tokens.update, "t", *limits, **keep)
        found = await db.read(registration_tokens.find, "t")
        assert found is not None
        seen.append((found.uses_allowed, found.expires_at))

    assert seen == [(3, 9000), (4, 9000), (None, 9000), (None, None)]
    assert not await db.write(registration_tokens.update, "none", 1, None)
