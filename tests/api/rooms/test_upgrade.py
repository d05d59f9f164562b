"""Replacing a room by one of another version, as its members see it."""

import asyncio
from typing import Any

import pytest

from tests.support.server import Client, path

ALIAS = "#lobby:example.org"
PEOPLE = {"@alice:example.org": 100}


async def upgrade(client: Client, room: str, version: str, **extra: Any) -> str:
    """Upgrade a room and give the new one."""
    answer = await client.post(path("rooms", room, "upgrade"), {"new_version": version, **extra})
    return str(answer.ok()["replacement_room"])


async def test_the_rooms_name_each_other(alice: Client, bob: Client) -> None:
    """The tombstone of the old room leads to the new one, whose create event leads back."""
    old = await alice.create_room(preset="public_chat", room_version="9")
    await bob.join(old)
    new = await upgrade(alice, old, "10")
    tombstone = (await bob.state(old, "m.room.tombstone")).ok()
    assert tombstone["replacement_room"] == new
    await bob.join(new)
    create = (await bob.state(new, "m.room.create")).ok()
    assert create["room_version"] == "10"
    assert create["predecessor"]["room_id"] == old
    assert create["predecessor"]["event_id"].startswith("$")


@pytest.mark.parametrize("version", ["1", "6", "10", "11", "12"])
async def test_the_state_is_handed_on(alice: Client, bob: Client, version: str) -> None:
    """Name, topic, avatar, rules, encryption, ACL, power levels and the space type are those of the old room."""
    old = await alice.create_room(
        preset="public_chat",
        name="Garden",
        topic="Plants",
        room_version="11",
        creation_content={"type": "m.space", "m.federate": False, "org.example.own": 1},
        power_level_content_override={"users": PEOPLE | {bob.user_id: 60}, "invite": 7},
    )
    copied: dict[str, dict[str, Any]] = {
        "m.room.avatar": {"url": "mxc://example.org/flower"},
        "m.room.encryption": {"algorithm": "m.megolm.v1.aes-sha2"},
        "m.room.history_visibility": {"history_visibility": "joined"},
        "m.room.server_acl": {"allow": ["*"]},
        "m.room.guest_access": {"guest_access": "can_join"},
    }
    for kind, content in copied.items():
        await alice.set_state(old, kind, content)
    await alice.set_state(old, "org.example.own", {"secret": True})
    new = await upgrade(alice, old, version)
    await bob.join(new)
    for kind, content in copied.items():
        assert (await bob.state(new, kind)).ok() == content
    assert (await bob.state(new, "m.room.name")).ok() == {"name": "Garden"}
    assert (await bob.state(new, "m.room.join_rules")).ok() == {"join_rule": "public"}
    create = (await bob.state(new, "m.room.create")).ok()
    assert (create["type"], create["m.federate"]) == ("m.space", False)
    assert "org.example.own" not in create
    assert (await bob.state(new, "org.example.own")).status == 404
    levels = (await bob.state(new, "m.room.power_levels")).ok()
    owners = {} if version == "12" else PEOPLE
    assert levels["users"] == owners | {bob.user_id: 60}
    assert (levels["invite"], levels["events_default"]) == (7, 0)


async def test_bans_and_children_are_handed_on(alice: Client, bob: Client) -> None:
    """Who was banned stays banned; a space keeps its children, but for removed ones."""
    old = await alice.create_room(preset="public_chat", creation_content={"type": "m.space"})
    (await alice.post(path("rooms", old, "ban"), {"user_id": bob.user_id, "reason": "weeds"})).ok()
    await alice.set_state(old, "m.space.child", {"via": ["example.org"]}, "!kept:example.org")
    await alice.set_state(old, "m.space.child", {}, "!gone:example.org")
    new = await upgrade(alice, old, "10")
    banned = (await alice.state(new, "m.room.member", bob.user_id)).ok()
    assert banned == {"membership": "ban", "reason": "weeds"}
    assert (await bob.post(path("join", new))).status == 403
    assert (await alice.state(new, "m.space.child", "!kept:example.org")).status == 200
    assert (await alice.state(new, "m.space.child", "!gone:example.org")).status == 404


async def test_the_names_move(alice: Client, bob: Client) -> None:
    """Aliases, the canonical alias and the place in the directory are the new room's."""
    old = await alice.create_room(visibility="public", room_alias_name="lobby", name="Garden")
    await bob.join(old)
    new = await upgrade(alice, old, "12")
    assert (await bob.get(path("directory", "room", ALIAS))).ok()["room_id"] == new
    assert [room["room_id"] for room in (await bob.get("publicRooms")).ok()["chunk"]] == [new]
    await bob.join(ALIAS)
    assert (await bob.state(new, "m.room.canonical_alias")).ok() == {"alias": ALIAS}
    assert (await bob.state(old, "m.room.canonical_alias")).ok() == {}


async def test_the_old_room_is_quiet(alice: Client, bob: Client) -> None:
    """Ordinary members can no longer speak in the old room or invite to it."""
    old = await alice.create_room(preset="private_chat")
    await alice.invite(old, bob)
    await bob.join(old)
    await bob.say(old, "before")
    await upgrade(alice, old, "10")
    refused = await bob.put(path("rooms", old, "send", "m.room.message", "t"), {"body": "after"})
    assert (refused.status, refused.json["errcode"]) == (403, "M_FORBIDDEN")
    carol = {"user_id": "@carol:example.org"}
    assert (await bob.post(path("rooms", old, "invite"), carol)).status == 403
    levels = (await bob.state(old, "m.room.power_levels")).ok()
    assert (levels["events_default"], levels["invite"]) == (50, 50)


async def test_an_upgrade_repeats(alice: Client) -> None:
    """The same upgrade, again or at once, gives the same room; one to another version gives another."""
    old = await alice.create_room(room_version="9")
    first, second = await asyncio.gather(upgrade(alice, old, "10"), upgrade(alice, old, "10"))
    assert first == second == await upgrade(alice, old, "10")
    assert (await alice.get("joined_rooms")).ok()["joined_rooms"] == [old, first]
    assert await upgrade(alice, old, "11") not in (old, first)


async def test_nothing_is_made_without_the_power(alice: Client, bob: Client) -> None:
    """A member without the power, a stranger, and a wrong version or creator get an error and no room."""
    old = await alice.create_room(preset="public_chat")
    for joined in (False, True):
        if joined:
            await bob.join(old)
        refused = await bob.post(path("rooms", old, "upgrade"), {"new_version": "10"})
        assert (refused.status, refused.json["errcode"]) == (403, "M_FORBIDDEN")
    for version, errcode in (("99", "M_UNSUPPORTED_ROOM_VERSION"), ("", "M_UNSUPPORTED_ROOM_VERSION")):
        refused = await alice.post(path("rooms", old, "upgrade"), {"new_version": version})
        assert (refused.status, refused.json["errcode"]) == (400, errcode)
    bad = {"new_version": "12", "additional_creators": ["bob"]}
    refused = await alice.post(path("rooms", old, "upgrade"), bad)
    assert (refused.status, refused.json["errcode"]) == (400, "M_INVALID_PARAM")
    assert (await alice.get("joined_rooms")).ok()["joined_rooms"] == [old]
    assert (await bob.get("joined_rooms")).ok()["joined_rooms"] == [old]


async def test_a_room_that_is_none(alice: Client) -> None:
    """It is not found."""
    answer = await alice.post("rooms/!nowhere:example.org/upgrade", {"new_version": "11"})
    answer.error(404, "M_NOT_FOUND")


async def test_a_weak_upgrader_gains_nothing(alice: Client, bob: Client) -> None:
    """Who may end a room but not set all that is copied has no more power in the new room than before."""
    levels = {"users": PEOPLE | {bob.user_id: 60}, "events": {"m.room.tombstone": 60, "m.room.name": 90}}
    old = await alice.create_room(
        preset="public_chat", name="Garden", room_version="9", power_level_content_override=levels
    )
    await bob.join(old)
    new = await upgrade(bob, old, "10")
    assert (await bob.state(new, "m.room.name")).ok() == {"name": "Garden"}
    assert (await bob.state(new, "m.room.power_levels")).ok()["users"] == levels["users"]
    assert (await bob.put(path("rooms", new, "state", "m.room.name", ""), {"name": "Mine"})).status == 403


async def test_creators_of_version_12(alice: Client, bob: Client) -> None:
    """Additional creators are those of the call; a creator above all levels becomes one with level 100."""
    old = await alice.create_room(preset="public_chat", room_version="11")
    new = await upgrade(alice, old, "12", additional_creators=[bob.user_id])
    await bob.join(new)
    assert (await bob.state(new, "m.room.create")).ok()["additional_creators"] == [bob.user_id]
    await bob.set_state(new, "m.room.name", {"name": "Ours"})
    third = await upgrade(alice, new, "12")
    assert "additional_creators" not in (await alice.state(third, "m.room.create")).ok()
    assert (await alice.state(third, "m.room.power_levels")).ok()["users"] == {bob.user_id: 100}
    fourth = await upgrade(alice, third, "10", additional_creators=[bob.user_id])
    assert (await alice.state(fourth, "m.room.power_levels")).ok()["users"] == PEOPLE | {bob.user_id: 100}


@pytest.mark.parametrize(
    ("version", "rule"), [("10", "knock_restricted"), ("9", "restricted"), ("7", "knock"), ("6", "invite")]
)
async def test_join_rules_that_the_version_has_not(alice: Client, version: str, rule: str) -> None:
    """A join rule that the new version does not know becomes the nearest that lets in fewer."""
    rules = {"type": "m.room.join_rules", "content": {"join_rule": "knock_restricted", "allow": []}}
    old = await alice.create_room(room_version="10", initial_state=[rules])
    new = await upgrade(alice, old, version)
    assert (await alice.state(new, "m.room.join_rules")).ok()["join_rule"] == rule


async def test_own_settings_follow(alice: Client, bob: Client) -> None:
    """Tags, push rules and the direct chats of whoever joins, and of who upgraded, are the new room's too."""
    old = await alice.create_room(preset="public_chat")
    await bob.join(old)
    match = {"kind": "event_match", "key": "room_id", "pattern": old}
    for client in (alice, bob):
        (
            await client.put(
                path("user", client.user_id, "rooms", old, "tags", "m.favourite"), {"order": 0.5}
            )
        ).ok()
        direct = path("user", client.user_id, "account_data", "m.direct")
        (
            await client.put(
                direct, {"@carol:example.org": [old], "@dan:example.org": ["!other:example.org"]}
            )
        ).ok()
        (await client.put(path("pushrules", "global", "room", old), {"actions": ["notify"]})).ok()
        rule = {"actions": [], "conditions": [match]}
        (await client.put(path("pushrules", "global", "override", old), rule)).ok()
        (await client.put(path("pushrules", "global", "override", old, "enabled"), {"enabled": False})).ok()
    new = await upgrade(alice, old, "10")
    await bob.join(new)
    for client in (alice, bob):
        tags = (await client.get(path("user", client.user_id, "rooms", new, "tags"))).ok()
        assert tags == {"tags": {"m.favourite": {"order": 0.5}}}
        direct = path("user", client.user_id, "account_data", "m.direct")
        assert (await client.get(direct)).ok() == {
            "@carol:example.org": [old, new],
            "@dan:example.org": ["!other:example.org"],
        }
        room = (await client.get(path("pushrules", "global", "room", new))).ok()
        assert room["actions"] == ["notify"]
        override = (await client.get(path("pushrules", "global", "override", new))).ok()
        assert override["conditions"] == [match | {"pattern": new}]
        assert (override["actions"], override["enabled"]) == ([], False)


async def test_own_settings_of_the_new_room_stay(alice: Client, bob: Client) -> None:
    """What a user has set for the new room is not replaced, also when they come back later."""
    old = await alice.create_room(preset="public_chat")
    await bob.join(old)
    (await bob.put(path("user", bob.user_id, "rooms", old, "tags", "m.favourite"))).ok()
    (await bob.put(path("pushrules", "global", "room", old), {"actions": ["notify"]})).ok()
    new = await upgrade(alice, old, "10")
    (await bob.put(path("user", bob.user_id, "rooms", new, "tags", "m.lowpriority"))).ok()
    (await bob.put(path("pushrules", "global", "room", new), {"actions": []})).ok()
    for _ in range(2):
        await bob.join(new)
        tags = (await bob.get(path("user", bob.user_id, "rooms", new, "tags"))).ok()
        assert list(tags["tags"]) == ["m.lowpriority"]
        assert (await bob.get(path("pushrules", "global", "room", new))).ok()["actions"] == []
        await bob.leave(new)
