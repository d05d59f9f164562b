"""Lists of users and rooms, and making accounts."""

from typing import Any

import pytest

from tests.api.admin.asking import NATIVE, SYNAPSE, at
from tests.support.server import Client, Server

USERS = "/_synapse/admin/v2/users"


async def names(root: Client, query: str = "", version: str = "v2") -> list[str]:
    """The localparts that the list has."""
    answer = (await root.get(f"/_synapse/admin/{version}/users?{query}")).ok()
    return [user["name"][1:].partition(":")[0] for user in answer["users"]]


async def test_users_are_listed_with_filters(
    server: Server, root: Client, alice: Client, bob: Client
) -> None:
    """Names, kinds and states choose; deactivated ones come only when asked for."""
    (await alice.put(f"profile/{alice.user_id}/displayname", {"displayname": "Wonder Land"})).ok()
    (await root.post(f"{SYNAPSE}/deactivate/{bob.user_id}")).ok()
    (await root.post(f"{NATIVE}/users", {"username": "robo_t", "user_type": "bot"})).ok()

    assert await names(root) == ["admin", "alice", "robo_t", "root"]
    assert await names(root, "deactivated=true") == ["admin", "alice", "bob", "robo_t", "root"]
    assert await names(root, "", "v3") == ["admin", "alice", "bob", "robo_t", "root"]
    assert await names(root, "deactivated=true", "v3") == ["bob"]
    assert await names(root, "deactivated=false", "v3") == ["admin", "alice", "robo_t", "root"]
    assert await names(root, "admins=true") == ["admin", "root"]
    assert await names(root, "name=ONDER") == ["alice"]
    assert await names(root, "name=bot") == []
    assert await names(root, "name=o_") == ["robo_t"]
    assert await names(root, "user_id=ali") == ["alice"]
    assert await names(root, "name=example") == []
    assert await names(root, "not_user_type=bot") == ["admin", "alice", "root"]
    assert await names(root, "not_user_type=") == ["robo_t"]
    assert await names(root, "dir=b") == ["root", "robo_t", "alice", "admin"]
    assert (await names(root, "order_by=creation_ts"))[0] == "admin"
    for order in ("is_guest", "admin", "user_type", "displayname", "avatar_url", "last_seen_ts", "locked"):
        assert len(await names(root, f"order_by={order}&dir=b")) == 4


async def test_users_come_in_pages(server: Server, root: Client, alice: Client, bob: Client) -> None:
    """`next_token` is a string, and missing on the last page."""
    first = (await root.get(f"{USERS}?limit=3")).ok()
    second = (await root.get(f"{USERS}?limit=3&from={first['next_token']}")).ok()

    assert (first["next_token"], first["total"], len(first["users"])) == ("3", 4, 3)
    assert "next_token" not in second
    assert [user["name"] for user in second["users"]] == [root.user_id]
    assert (await root.get(f"{USERS}?from=99")).ok() == {"users": [], "total": 4}


@pytest.mark.parametrize("query", ["from=-1", "limit=-1", "limit=x", "order_by=x", "dir=x", "admins=maybe"])
async def test_bad_queries(root: Client, query: str) -> None:
    """Bad numbers, orders and flags are a 400."""
    (await root.get(f"{USERS}?{query}")).error(400, "M_INVALID_PARAM")
    (await root.get(f"{USERS}?name={'x' * 600}")).error(400, "M_INVALID_PARAM")
    if "admins" not in query:
        (await root.get(f"{SYNAPSE}/rooms?{query}")).error(400, "M_INVALID_PARAM")


async def test_one_user(root: Client, alice: Client) -> None:
    """The details of one; creation is in seconds there."""
    user = (await root.get(f"{USERS}/{alice.user_id}")).ok()
    listed = (await root.get(f"{USERS}?name=alice")).ok()["users"][0]

    assert (user["name"], user["admin"], user["threepids"]) == (alice.user_id, False, [])
    assert user["creation_ts"] == listed["creation_ts"] // 1000
    assert (await root.get(f"{SYNAPSE}/users/{root.user_id}/admin")).ok() == {"admin": True}
    (await root.get(f"{USERS}/@nobody:example.org")).error(404, "M_NOT_FOUND")
    (await root.get(f"{USERS}/@x:elsewhere.org")).error(400, "M_INVALID_PARAM")


async def test_making_and_unmaking_administrators(server: Server, root: Client, alice: Client) -> None:
    """The user can administrate from then on, until they are demoted."""
    path = f"{SYNAPSE}/users/{alice.user_id}/admin"
    assert (await root.put(path, {"admin": True})).ok() == {}
    assert (await root.put(path, {"admin": True})).ok() == {}
    assert (await alice.get(f"{SYNAPSE}/rooms")).status == 200
    assert (await root.put(path, {"admin": False})).ok() == {}

    (await alice.get(f"{SYNAPSE}/rooms")).error(403, "M_FORBIDDEN")
    (await root.put(path, {})).error(400, "M_MISSING_PARAM")


async def test_making_accounts(server: Server, root: Client) -> None:
    """A new account can log in; a taken name is refused, and a dry run says so too."""
    body: dict[str, Any] = {"username": "carol", "password": "a password", "displayname": "Carol"}
    plan = (await root.post(f"{NATIVE}/users", body | {"dry_run": True})).ok()
    assert plan["users"] == ["@carol:example.org"]
    assert (await root.post(f"{NATIVE}/users", body)).ok() == {"user_id": "@carol:example.org"}
    assert (await server.login("carol", "a password")).user_id == "@carol:example.org"

    (await root.post(f"{NATIVE}/users", body)).error(400, "M_USER_IN_USE")
    (await root.post(f"{NATIVE}/users", body | {"dry_run": True})).error(400, "M_USER_IN_USE")
    (await root.post(f"{NATIVE}/users", {"username": "no good!"})).error(400, "M_INVALID_USERNAME")


async def rooms(root: Client, query: str = "") -> list[str]:
    """The names of the rooms that the list has."""
    return [room["name"] for room in (await root.get(f"{SYNAPSE}/rooms?{query}")).ok()["rooms"]]


async def test_rooms_are_listed_with_filters_and_orders(root: Client, alice: Client, bob: Client) -> None:
    """Names, aliases and directory choose; numbers sort the largest first."""
    big = await alice.create_room(
        name="Big", preset="public_chat", visibility="public", room_alias_name="large"
    )
    small = await alice.create_room(name="small")
    empty = await alice.create_room(name="Empty 100%")
    await bob.join(big)
    await alice.leave(empty)

    assert await rooms(root) == ["Big", "Empty 100%", "small"]
    assert await rooms(root, "dir=b") == ["small", "Empty 100%", "Big"]
    assert await rooms(root, "order_by=joined_members") == ["Big", "small", "Empty 100%"]
    assert await rooms(root, "order_by=joined_local_members&dir=b") == ["Empty 100%", "small", "Big"]
    assert await rooms(root, "search_term=SMA") == ["small"]
    assert await rooms(root, "search_term=arg") == ["Big"]
    assert await rooms(root, f"search_term={at('', small)[1:]}") == ["small"]
    assert await rooms(root, "search_term=%25") == ["Empty 100%"]
    assert await rooms(root, "public_rooms=true") == ["Big"]
    assert await rooms(root, "empty_rooms=true") == ["Empty 100%"]
    for order in (
        "version",
        "creator",
        "encryption",
        "federatable",
        "public",
        "join_rules",
        "state_events",
        "size",
    ):
        assert len(await rooms(root, f"order_by={order}")) == 3
    (await root.get(f"{SYNAPSE}/rooms?search_term=")).error(400, "M_INVALID_PARAM")
    page = (await root.get(f"{SYNAPSE}/rooms?limit=1&from=1")).ok()
    assert (page["offset"], page["total_rooms"], page["next_batch"], page["prev_batch"]) == (1, 3, 2, 0)
    assert "next_batch" not in (await root.get(f"{SYNAPSE}/rooms?limit=2&from=1")).ok()
    assert "prev_batch" not in (await root.get(f"{SYNAPSE}/rooms")).ok()


async def test_one_room(root: Client, alice: Client, bob: Client) -> None:
    """The details of a room, which stays known when everybody has left and forgotten it."""
    room = await alice.create_room(name="One", topic="About it", preset="public_chat")
    await bob.join(room)
    found = (await root.get(at(SYNAPSE, "rooms", room))).ok()

    assert (found["name"], found["topic"], found["creator"]) == ("One", "About it", alice.user_id)
    assert (found["joined_members"], found["joined_local_members"], found["joined_local_devices"]) == (
        2,
        2,
        2,
    )
    assert (found["forgotten"], found["tombstoned"], found["replacement_room"]) == (False, False, None)
    assert (found["join_rules"], found["federatable"]) == ("public", True)
    (await root.get(at(SYNAPSE, "rooms", "!nowhere:example.org"))).error(404, "M_NOT_FOUND")
    for user in (alice, bob):
        await user.leave(room)
        (await user.post(f"{at('/_matrix/client/v3/rooms', room)}/forget")).ok()
    assert (await root.get(at(SYNAPSE, "rooms", room))).ok()["forgotten"] is True


async def test_the_version(server: Server) -> None:
    """Anybody may ask."""
    for path in (f"{SYNAPSE}/server_version", f"{NATIVE}/server_version"):
        assert (await server.anonymous.get(path)).ok()["server_version"].startswith("chamberlain ")
