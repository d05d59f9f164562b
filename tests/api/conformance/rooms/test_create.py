"""createRoom with every option, as other clients see the room (client-server API, Creation)."""

from typing import Any

import pytest

from tests.api.conformance.table import check
from tests.support.server import Client, Server, path

pytestmark = pytest.mark.asyncio(loop_scope="module")

POWER = "m.room.power_levels"


async def content(client: Client, room: str, kind: str, key: str = "") -> Any:
    """The content of a piece of state, None where there is none."""
    answer = await client.state(room, kind, key)
    return answer.json if answer.status == 200 else None


@pytest.mark.parametrize(
    ("options", "join_rule", "guests", "invited_power"),
    [
        ({}, "invite", "can_join", None),
        ({"visibility": "public"}, "public", "forbidden", None),
        ({"preset": "private_chat"}, "invite", "can_join", 0),
        ({"preset": "trusted_private_chat"}, "invite", "can_join", 100),
        ({"preset": "public_chat"}, "public", "forbidden", None),
        ({"preset": "private_chat", "visibility": "public"}, "invite", "can_join", 0),
    ],
    ids=str,
)
async def test_presets(
    alice: Client, bob: Client, options: Any, join_rule: str, guests: str, invited_power: int | None
) -> None:
    """Each preset, and the visibility where there is none, gives the rules of the specification's table."""
    room = await alice.create_room(invite=[bob.user_id], **options)
    assert await content(alice, room, "m.room.join_rules") == {"join_rule": join_rule}
    assert await content(alice, room, "m.room.guest_access") == {"guest_access": guests}
    assert await content(alice, room, "m.room.history_visibility") == {"history_visibility": "shared"}
    levels = await content(alice, room, POWER)
    assert levels["users"][alice.user_id] == 100
    assert levels["users"].get(bob.user_id, 0) == (invited_power or 0)
    listed = (await alice.get(path("directory", "list", "room", room))).ok()["visibility"]
    assert listed == options.get("visibility", "private")


async def test_every_option_shows(server: Server, alice: Client, bob: Client) -> None:
    """Name, topic, alias, version, creation content, initial state, levels and invitations are in the room."""
    room = await alice.create_room(
        name="Kitchen",
        topic="Soup",
        room_alias_name="kitchen",
        room_version="10",
        is_direct=True,
        invite=[bob.user_id],
        creation_content={
            "m.federate": False,
            "room_version": "4",
            "creator": "@x:y",
            "org.example": {"a": 1},
        },
        initial_state=[
            {"type": "m.room.topic", "content": {"topic": "overridden"}},
            {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}},
            {"type": "org.example", "state_key": "key", "content": {"x": [1, {"y": None}]}},
            {"type": "m.room.join_rules", "content": {"join_rule": "knock"}},
        ],
        power_level_content_override={"invite": 42, "events": {"m.room.name": 7}, "org.example": 1},
    )
    create = await content(alice, room, "m.room.create")
    assert create == {
        "m.federate": False,
        "room_version": "10",
        "creator": alice.user_id,
        "org.example": {"a": 1},
    }
    assert await content(alice, room, "m.room.name") == {"name": "Kitchen"}
    topic = await content(alice, room, "m.room.topic")
    assert topic["topic"] == "Soup" and topic["m.topic"]["m.text"][0]["body"] == "Soup"
    assert await content(alice, room, "m.room.canonical_alias") == {"alias": "#kitchen:example.org"}
    assert (await bob.get(path("directory", "room", "#kitchen:example.org"))).ok()["room_id"] == room
    assert await content(alice, room, "m.room.join_rules") == {"join_rule": "knock"}
    assert await content(alice, room, "org.example", "key") == {"x": [1, {"y": None}]}
    levels = await content(alice, room, POWER)
    assert (levels["invite"], levels["events"], levels["org.example"], levels["ban"]) == (
        42,
        {"m.room.name": 7},
        1,
        50,
    )
    invited = await content(alice, room, "m.room.member", bob.user_id)
    assert (invited["membership"], invited["is_direct"]) == ("invite", True)
    events = (await alice.get(path("rooms", room, "messages", dir="f", limit=50))).ok()["chunk"]
    kinds = [event["type"] for event in events]
    assert kinds[:4] == ["m.room.create", "m.room.member", POWER, "m.room.canonical_alias"]
    assert kinds.count("m.room.topic") == kinds.count("m.room.join_rules") == 1


async def test_bad_options_make_no_room(alice: Client, bob: Client) -> None:
    """Wrong types, versions, aliases, users and state are refused with an errcode, and nothing is left behind."""
    await alice.create_room(room_alias_name=f"taken{alice.device_id.lower()}")
    before = (await alice.get("joined_rooms")).ok()
    rows: list[tuple[Any, int, str]] = [
        ({"room_version": 1}, 400, "M_BAD_JSON"),
        ({"room_version": "nope"}, 400, "M_UNSUPPORTED_ROOM_VERSION"),
        ({"room_version": ""}, 400, "M_UNSUPPORTED_ROOM_VERSION"),
        ({"visibility": "secret"}, 400, "M_BAD_JSON"),
        ({"preset": "nope"}, 400, "M_BAD_JSON"),
        ({"name": 5}, 400, "M_BAD_JSON"),
        ({"topic": []}, 400, "M_BAD_JSON"),
        ({"invite": "@bob:example.org"}, 400, "M_BAD_JSON"),
        ({"invite": ["bob"]}, 400, "M_INVALID_PARAM"),
        ({"invite": [5]}, 400, "M_BAD_JSON"),
        ({"creation_content": []}, 400, "M_BAD_JSON"),
        ({"initial_state": {}}, 400, "M_BAD_JSON"),
        ({"initial_state": [{"content": {}}]}, 400, "M_BAD_JSON"),
        ({"initial_state": [{"type": "x", "content": {"f": 1.5}}]}, 400, "M_BAD_JSON"),
        ({"initial_state": [{"type": "x", "content": {"b": "y" * 70_000}}]}, 413, "M_TOO_LARGE"),
        ({"name": "y" * 70_000}, 413, "M_TOO_LARGE"),
        ({"power_level_content_override": {"users": "x"}}, 400, "M_INVALID_ROOM_STATE"),
        ({"power_level_content_override": {"ban": "50"}, "room_version": "11"}, 400, "M_INVALID_ROOM_STATE"),
        ({"room_alias_name": ""}, 400, "M_INVALID_PARAM"),
        ({"room_alias_name": "a b"}, 400, "M_INVALID_PARAM"),
        ({"room_alias_name": "a:b"}, 400, "M_INVALID_PARAM"),
        ({"room_alias_name": "a\0b"}, 400, "M_INVALID_PARAM"),
        ({"room_alias_name": "a" * 300}, 400, "M_INVALID_PARAM"),
        (
            {"room_alias_name": f"taken{alice.device_id.lower()}", "invite": [bob.user_id]},
            400,
            "M_ROOM_IN_USE",
        ),
        ([], 400, "M_BAD_JSON"),
    ]
    await check(alice, [("POST", "createRoom", body, status, code) for body, status, code in rows])
    assert (await alice.get("joined_rooms")).ok() == before
    assert "rooms" not in await bob.sync()


async def test_nulls_and_unknown_options_are_ignored(alice: Client) -> None:
    """Clients send null for what they leave out, and options of later versions."""
    room = await alice.create_room(
        name=None, topic=None, preset=None, room_alias_name=None, room_version=None, x=1
    )
    assert await content(alice, room, "m.room.name") is None


@pytest.mark.parametrize("version", [str(number) for number in range(1, 13)])
async def test_every_room_version(alice: Client, bob: Client, version: str) -> None:
    """In each version two users talk, redact, and read the state."""
    room = await alice.create_room(room_version=version, invite=[bob.user_id], preset="trusted_private_chat")
    await bob.join(room)
    event_id = await bob.say(room, "hello")
    assert (await content(bob, room, "m.room.create"))["room_version"] == version
    await bob.set_state(room, "m.room.name", {"name": "by the invited"})
    redaction = (await alice.put(path("rooms", room, "redact", event_id, "t"), {"reason": "r"})).ok()[
        "event_id"
    ]
    seen = (await bob.get(path("rooms", room, "event", event_id))).ok()
    assert seen["content"] == {} and seen["unsigned"]["redacted_because"]["event_id"] == redaction
    shown = (await bob.get(path("rooms", room, "event", redaction))).ok()
    assert event_id in (shown.get("redacts"), shown["content"].get("redacts"))
    if int(version) >= 11:
        assert shown["content"]["redacts"] == event_id
    assert ":" in room or int(version) >= 12
    assert (":" in event_id) == (int(version) < 3)


async def test_version_12_has_creators(alice: Client, bob: Client, carol: Client) -> None:
    """Creators stand above every level and in no list of levels; nobody removes them, nobody becomes one later."""
    room = await alice.create_room(
        room_version="12",
        preset="public_chat",
        creation_content={"additional_creators": [bob.user_id]},
    )
    await bob.join(room)
    await carol.join(room)
    assert room.startswith("!") and ":" not in room
    create = (await alice.get(path("rooms", room, "state", "m.room.create", "", format="event"))).ok()
    assert create["event_id"] == "$" + room[1:] and create["room_id"] == room
    assert create["content"]["additional_creators"] == [bob.user_id]
    levels = await content(alice, room, POWER)
    assert alice.user_id not in levels["users"] and bob.user_id not in levels["users"]
    assert levels["events"]["m.room.tombstone"] > levels["state_default"]
    await alice.set_state(room, POWER, levels | {"users": {carol.user_id: 100_000}})
    for target in (alice, bob):
        assert (await carol.post(path("rooms", room, "kick"), {"user_id": target.user_id})).status == 403
        assert (await carol.post(path("rooms", room, "ban"), {"user_id": target.user_id})).status == 403
    assert (await alice.post(path("rooms", room, "kick"), {"user_id": bob.user_id})).status == 403
    for creator in (alice, bob):
        refused = await alice.put(
            path("rooms", room, "state", POWER, ""), levels | {"users": {creator.user_id: 100}}
        )
        assert refused.status in (400, 403)
    await bob.set_state(room, POWER, levels)
    assert (await content(carol, room, POWER))["users"] == {}


async def test_version_12_refuses_wrong_creators(alice: Client) -> None:
    """Creators must be a list of users, and are named in no list of levels."""
    rows: list[tuple[Any, str]] = [
        ({"creation_content": {"additional_creators": "x"}}, "M_BAD_JSON"),
        ({"creation_content": {"additional_creators": [5]}}, "M_INVALID_PARAM"),
        ({"creation_content": {"additional_creators": ["nobody"]}}, "M_INVALID_PARAM"),
        ({"power_level_content_override": {"users": {alice.user_id: 100}}}, "M_INVALID_ROOM_STATE"),
    ]
    await check(
        alice, [("POST", "createRoom", body | {"room_version": "12"}, 400, errcode) for body, errcode in rows]
    )


async def test_a_direct_chat_says_so_to_the_invited(alice: Client, bob: Client) -> None:
    """`is_direct` reaches the invited in their stripped state."""
    room = await alice.create_room(is_direct=True, invite=[bob.user_id, bob.user_id])
    state = (await bob.sync())["rooms"]["invite"][room]["invite_state"]["events"]
    own = next(event for event in state if event["state_key"] == bob.user_id)
    assert own["content"]["is_direct"] is True and own["sender"] == alice.user_id
