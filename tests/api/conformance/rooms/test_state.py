"""Reading and setting state, members now and then, power levels (client-server API, Getting events for a room)."""

from typing import Any

import pytest

from tests.api.conformance.table import check, found
from tests.support.server import Client, path

pytestmark = pytest.mark.asyncio(loop_scope="module")

POWER = "m.room.power_levels"
GONE = "!nowhere:example.org"


async def test_state_is_read_as_it_was_set(alice: Client, bob: Client) -> None:
    """By type and key, with and without the slash of an empty key, as content and as event, and as a whole."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    plain = path("rooms", room, "state", "m.room.name")
    first = (await alice.put(plain, {"name": "one"})).ok()["event_id"]
    second = (await alice.put(plain + "/", {"name": "two"})).ok()["event_id"]
    assert first != second
    assert (await alice.put(plain, {"name": "two"})).ok()["event_id"] == second
    for target in (plain, plain + "/"):
        assert (await bob.get(target)).ok() == {"name": "two"}
        event = (await bob.get(target + "?format=event")).ok()
        assert (event["event_id"], event["state_key"], event["room_id"]) == (second, "", room)
        assert event["sender"] == alice.user_id and event["type"] == "m.room.name"
        assert isinstance(event["origin_server_ts"], int)
    odd = "a/b c%?#ü"
    await alice.set_state(room, "org.example/kind", {"v": 1}, odd)
    assert (await bob.state(room, "org.example/kind", odd)).ok() == {"v": 1}
    whole = (await bob.get(path("rooms", room, "state"))).ok()
    keys = [(event["type"], event["state_key"]) for event in whole]
    assert len(keys) == len(set(keys)) and ("org.example/kind", odd) in keys
    assert {"event_id", "sender", "origin_server_ts", "content"} <= whole[0].keys()


async def test_what_state_refuses(alice: Client, bob: Client) -> None:
    """Missing state, strangers, unknown rooms, bad contents, too little power."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    name = path("rooms", room, "state", "m.room.name")
    mine = path("rooms", room, "state", "org.example", alice.user_id)
    await check(
        bob,
        [
            ("GET", name, None, 404, "M_NOT_FOUND"),
            (
                "GET",
                path("rooms", room, "state", "m.room.member", "@nobody:example.org"),
                None,
                404,
                "M_NOT_FOUND",
            ),
            ("GET", name + "?format=nonsense", None, 400, "M_INVALID_PARAM"),
            ("PUT", name, {"name": "x"}, 403, "M_FORBIDDEN"),
            ("PUT", mine, {}, 403, "M_FORBIDDEN"),
            ("GET", path("rooms", GONE, "state"), None, 403, "M_FORBIDDEN"),
            ("GET", path("rooms", GONE, "state", "m.room.name"), None, 403, "M_FORBIDDEN"),
            ("GET", path("rooms", GONE, "members"), None, 403, "M_FORBIDDEN"),
            ("GET", path("rooms", GONE, "joined_members"), None, 403, "M_FORBIDDEN"),
            ("PUT", path("rooms", GONE, "state", "m.room.name"), {"name": "x"}, 403, "M_FORBIDDEN"),
        ],
    )
    await check(
        alice,
        [
            ("PUT", name, [], 400, "M_BAD_JSON"),
            ("PUT", name, b"{", 400, "M_NOT_JSON"),
            ("PUT", name, b"", 400, "M_NOT_JSON"),
            ("PUT", name, {"name": 1.5}, 400, "M_BAD_JSON"),
            ("PUT", name, b'{"name": 9007199254740993}', 400, "M_BAD_JSON"),
            ("PUT", name, {"name": "x" * 66_000}, 413, "M_TOO_LARGE"),
            ("PUT", path("rooms", room, "state", "t" * 300), {}, 413, "M_TOO_LARGE"),
            ("PUT", path("rooms", room, "state", "t", "k" * 300), {}, 413, "M_TOO_LARGE"),
            ("PUT", path("rooms", room, "state", "m.room.create"), {}, 403, "M_FORBIDDEN"),
            ("PUT", mine, {}, 200, None),
            ("PUT", path("rooms", room, "state", "org.example", bob.user_id), {}, 403, "M_FORBIDDEN"),
            (
                "PUT",
                path("rooms", room, "state", "m.room.canonical_alias"),
                {"alias": "#no:example.org"},
                400,
                "M_BAD_ALIAS",
            ),
            (
                "PUT",
                path("rooms", room, "state", "m.room.canonical_alias"),
                {"alias": "no"},
                400,
                "M_INVALID_PARAM",
            ),
        ],
    )


async def test_canonical_aliases(alice: Client) -> None:
    """Each alias that is named must lead to the room; what is gone can be taken out, and put back once it is back."""
    room, other = await alice.create_room(), await alice.create_room()
    one, two, foreign = (
        f"#{name}{alice.device_id.lower()}:example.org" for name in ("one", "two", "foreign")
    )
    for alias, target in ((one, room), (two, room), (foreign, other)):
        (await alice.put(path("directory", "room", alias), {"room_id": target})).ok()
    kind = path("rooms", room, "state", "m.room.canonical_alias")
    await check(
        alice,
        [
            ("PUT", kind, {"alias": one}, 200, None),
            ("PUT", kind, {"alias": one, "alt_aliases": [two]}, 200, None),
            ("PUT", kind, {"alt_aliases": [one, two]}, 200, None),
            ("PUT", kind, {"alias": foreign}, 400, "M_BAD_ALIAS"),
            ("PUT", kind, {"alias": one, "alt_aliases": [foreign]}, 400, "M_BAD_ALIAS"),
            ("PUT", kind, {"alias": one, "alt_aliases": ["#missing:example.org"]}, 400, "M_BAD_ALIAS"),
            ("PUT", kind, {"alt_aliases": [5]}, 400, "M_INVALID_PARAM"),
            ("PUT", kind, {"alt_aliases": ["x" * 300]}, 400, "M_INVALID_PARAM"),
            ("PUT", kind, {"alias": one, "alt_aliases": [two]}, 200, None),
        ],
    )
    (await alice.delete(path("directory", "room", two))).ok()
    assert (await alice.state(room, "m.room.canonical_alias")).ok() == {"alias": one, "alt_aliases": []}
    assert found(await alice.put(kind, {"alias": one, "alt_aliases": [two]})) == (400, "M_BAD_ALIAS")
    (await alice.put(kind, {})).ok()


async def test_members(alice: Client, bob: Client, carol: Client) -> None:
    """All who ever were anything, by membership, and at a token; joined members with names."""
    room = await alice.create_room(preset="public_chat")
    await alice.sync()
    await alice.say(room, "first")
    answer = await alice.sync()
    before_bob, now = answer["rooms"]["join"][room]["timeline"]["prev_batch"], answer["next_batch"]
    (await bob.put(path("profile", bob.user_id, "displayname"), {"displayname": "Bob"})).ok()
    await bob.join(room)
    await alice.invite(room, carol)
    later = (await alice.sync())["next_batch"]
    await bob.leave(room)

    async def members(viewer: Client, **query: Any) -> dict[str, str]:
        chunk = (await viewer.get(path("rooms", room, "members", **query))).ok()["chunk"]
        assert all(event["type"] == "m.room.member" and event["room_id"] == room for event in chunk)
        return {event["state_key"]: event["content"]["membership"] for event in chunk}

    everyone = {alice.user_id: "join", bob.user_id: "leave", carol.user_id: "invite"}
    assert await members(alice) == everyone
    assert await members(alice, membership="join") == {alice.user_id: "join"}
    assert await members(alice, membership="leave") == {bob.user_id: "leave"}
    assert await members(alice, not_membership="leave") == {alice.user_id: "join", carol.user_id: "invite"}
    assert await members(alice, membership="ban") == {}
    for token in (before_bob, now):
        assert await members(alice, at=token) == {alice.user_id: "join"}
    assert await members(alice, at=later) == everyone | {bob.user_id: "join"}
    assert await members(alice, at=later, membership="join") == {alice.user_id: "join", bob.user_id: "join"}
    await check(
        alice,
        [
            ("GET", path("rooms", room, "members", at="nonsense"), None, 400, "M_INVALID_PARAM"),
            ("GET", path("rooms", room, "members", membership="nonsense"), None, 400, "M_INVALID_PARAM"),
        ],
    )
    assert found(await bob.get(path("rooms", room, "joined_members"))) == (403, "M_FORBIDDEN")
    assert (await carol.get(path("rooms", room, "members"))).status == 403


async def test_who_left_sees_the_state_of_then(alice: Client, bob: Client) -> None:
    """State and members stay for who left as they were, whatever token they ask with; what follows stays hidden."""
    room = await alice.create_room(preset="public_chat", name="before")
    await bob.join(room)
    await bob.leave(room)
    await alice.set_state(room, "m.room.name", {"name": "after"})
    await alice.set_state(room, "org.example.later", {})
    late = (await alice.sync())["next_batch"]
    await alice.set_state(
        room, "m.room.member", {"membership": "join", "displayname": "changed"}, alice.user_id
    )
    latest = (await alice.sync())["next_batch"]

    assert (await bob.state(room, "m.room.name")).ok() == {"name": "before"}
    assert found(await bob.state(room, "org.example.later")) == (404, "M_NOT_FOUND")
    for query in ({}, {"at": late}, {"at": latest}, {"at": "t99_999999"}):
        chunk = (await bob.get(path("rooms", room, "members", **query))).ok()["chunk"]
        shown = {event["state_key"]: event["content"] for event in chunk}
        assert shown[bob.user_id]["membership"] == "leave"
        assert shown[alice.user_id].get("displayname") != "changed", query
    state = (await bob.get(path("rooms", room, "state"))).ok()
    assert {"name": "before"} in [event["content"] for event in state]
    await bob.join(room)
    assert (await bob.state(room, "m.room.name")).ok() == {"name": "after"}


@pytest.mark.parametrize("version", ["1", "9", "11", "12"])
async def test_power_levels(alice: Client, bob: Client, version: str) -> None:
    """Nobody gives more than they have, or takes from their equals; even empty levels can be replaced."""
    room = await alice.create_room(preset="public_chat", room_version=version)
    await bob.join(room)
    mine = {} if version == "12" else {alice.user_id: 100}
    levels = (await alice.state(room, POWER)).ok() | {"users": mine | {bob.user_id: 50}}
    levels["events"] = levels["events"] | {POWER: 50}
    await alice.set_state(room, POWER, levels)
    kind = path("rooms", room, "state", POWER)
    users = levels["users"]
    await check(
        bob,
        [
            ("PUT", kind, levels | {"users": users | {bob.user_id: 51}}, 403, "M_FORBIDDEN"),
            ("PUT", kind, levels | {"users": users | {"@x:example.org": 51}}, 403, "M_FORBIDDEN"),
            ("PUT", kind, levels | {"ban": 51}, 403, "M_FORBIDDEN"),
            (
                "PUT",
                kind,
                levels | {"notifications": {"room": 51}},
                200 if version == "1" else 403,
                None if version == "1" else "M_FORBIDDEN",
            ),
            ("PUT", kind, levels | {"events": levels["events"] | {"m.room.name": 51}}, 403, "M_FORBIDDEN"),
            ("PUT", kind, levels | {"users": users | {"@x:example.org": 50}}, 200, None),
            ("PUT", kind, levels | {"users": users | {"@x:example.org": 0}}, 403, "M_FORBIDDEN"),
            ("PUT", kind, levels | {"users": users | {"@x:example.org": 50, bob.user_id: 10}}, 200, None),
            ("PUT", kind, levels, 403, "M_FORBIDDEN"),
        ],
    )
    bad = [{"users": {"nobody": 1}}, {"ban": []}, {"users": {bob.user_id: True}}, {"users": []}]
    if version in ("11", "12"):
        bad.append({"ban": "50"})
    for change in bad:
        refused = await alice.put(kind, levels | change)
        assert refused.status in (400, 403) and refused.json["errcode"], change
    lone = await alice.create_room(room_version=version)
    for content in ({}, {"users": mine}, {"users": mine, "events": {}}):
        answer = await alice.put(path("rooms", lone, "state", POWER), content)
        assert answer.status in (200, 403), answer.json


async def test_a_changed_level_holds_at_once(alice: Client, bob: Client) -> None:
    """What the levels ask for is asked for from the next event on, for the type, state and redactions alike."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    levels = (await alice.state(room, POWER)).ok()
    said = await bob.say(room, "allowed")
    await alice.set_state(room, POWER, levels | {"events_default": 10})
    assert found(await bob.put(path("rooms", room, "send", "m.room.message", "x"), {"body": "b"})) == (
        403,
        "M_FORBIDDEN",
    )
    assert found(await bob.put(path("rooms", room, "redact", said, "x"))) == (403, "M_FORBIDDEN")
    await alice.set_state(room, POWER, levels | {"events": {"m.room.topic": 0}})
    await bob.set_state(room, "m.room.topic", {"topic": "by bob"})
    await alice.set_state(room, POWER, levels | {"users_default": 50})
    await bob.set_state(room, "m.room.name", {"name": "by bob"})
    assert (await alice.state(room, "m.room.name")).ok() == {"name": "by bob"}
