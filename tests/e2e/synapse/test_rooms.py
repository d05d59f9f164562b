"""Rooms of every version that both servers are in: who comes in, what they say, what they change."""

import pytest

from tests.support.neighbors import Person, agree, alias_of, join_path, open_room, shared_room
from tests.support.server import path

MODERATOR = 50


@pytest.mark.parametrize("version", [str(number) for number in range(1, 13)])
async def test_joining_by_alias_and_talking(ada: Person, ben: Person, version: str) -> None:
    """Who joins from the other server is seen to come, knows the room, and both read what the other says."""
    room = await shared_room(ada, ben, version)

    assert ben.room(room).content("m.room.name") == {"name": "Open to all"}
    assert ben.room(room).content("m.room.create")["room_version"] == version
    first = await ada.say(room, "hello ben")
    assert (await ben.sees(room, first))["content"]["body"] == "hello ben"
    second = await ben.say(room, "hello ada")
    seen = await ada.sees(room, second)
    assert (seen["sender"], seen["content"]["body"]) == (ben.user_id, "hello ada")
    for number in range(5):
        await (ada, ben)[number % 2].say(room, f"number {number}")
    expected = ["hello ben", "hello ada", *(f"number {number}" for number in range(5))]
    for person in (ada, ben):
        await person.until(lambda person=person: len(person.room(room).bodies()) == len(expected))
        assert sorted(person.room(room).bodies()) == sorted(expected)
    await agree(room, ada, ben)


async def test_invites_both_ways(ada: Person, ben: Person, cleo: Person, version: str) -> None:
    """An invite tells whereto; who took it can invite somebody of the first server in turn."""
    room = await ada.create_room(preset="private_chat", room_version=version, name="By invitation")
    await ada.invite(room, ben)
    await ben.is_in(room, "invite")
    invited = ben.room(room)
    assert invited.stripped["m.room.name", ""]["content"] == {"name": "By invitation"}
    assert invited.stripped["m.room.member", ben.user_id]["sender"] == ada.user_id

    await ben.join(room)
    await ada.sees_member(room, ben, "join")
    await ben.is_in(room, "join")
    await ben.invite(room, cleo)
    await cleo.is_in(room, "invite")
    assert cleo.room(room).stripped["m.room.member", cleo.user_id]["sender"] == ben.user_id
    await cleo.join(room)
    await ben.sees_member(room, cleo, "join")
    said = await cleo.say(room, "all three")
    for person in (ada, ben):
        await person.sees(room, said)
    await agree(room, ada, ben)


async def test_invites_that_come_to_nothing(ada: Person, ben: Person, version: str) -> None:
    """One is declined, which the host sees, and another is taken back, which the guest sees."""
    room = await ada.create_room(preset="private_chat", room_version=version)
    await ada.invite(room, ben)
    await ben.is_in(room, "invite")
    await ben.leave(room)
    await ada.sees_member(room, ben, "leave")
    await ben.is_in(room, "leave")

    await ada.invite(room, ben)
    await ben.is_in(room, "invite")
    (await ada.post(path("rooms", room, "kick"), {"user_id": ben.user_id})).ok()
    await ben.is_in(room, "leave")
    (await ben.post(join_path(room, ada.user_id.split(":", 1)[1]))).error(403, "M_FORBIDDEN")


async def test_state_is_changed_from_both_sides(ada: Person, ben: Person, version: str) -> None:
    """Name, topic and power levels reach the other side, and with the power comes the right to change."""
    room = await shared_room(ada, ben, version)
    await ada.set_state(room, "m.room.name", {"name": "A new name"})
    await ben.sees_state(room, "m.room.name", name="A new name")
    refused = await ben.put(path("rooms", room, "state", "m.room.topic", ""), {"topic": "not yet"})
    refused.error(403, "M_FORBIDDEN")

    levels = (await ada.state(room, "m.room.power_levels")).ok()
    promoted = {**levels.get("users", {}), ben.user_id: MODERATOR}
    await ada.set_state(room, "m.room.power_levels", {**levels, "users": promoted})
    await ben.sees_state(room, "m.room.power_levels", users=promoted)
    await ben.set_state(room, "m.room.topic", {"topic": "by ben"})
    await ada.until(lambda: ada.room(room).content("m.room.topic").get("topic") == "by ben")
    await ben.set_state(room, "org.example.note", {"text": "kept"}, "some key")
    await ada.sees_state(room, "org.example.note", "some key", text="kept")

    await ada.set_state(room, "m.room.power_levels", levels)
    await ben.sees_state(room, "m.room.power_levels", users=levels.get("users", {}))
    refused = await ben.put(path("rooms", room, "state", "m.room.topic", ""), {"topic": "no more"})
    refused.error(403, "M_FORBIDDEN")
    await agree(room, ada, ben)


async def test_a_new_name_and_face_are_seen_by_both(ada: Person, ben: Person, version: str) -> None:
    """Somebody's display name changes in the rooms of the other server."""
    room = await shared_room(ada, ben, version)
    for person, other in ((ada, ben), (ben, ada)):
        changed = {"displayname": f"The great {person.user_id}"}
        (await person.put(path("profile", person.user_id, "displayname"), changed)).ok()
        await other.sees_state(room, "m.room.member", person.user_id, **changed)


async def test_redactions_both_ways(ada: Person, ben: Person, version: str) -> None:
    """What one side takes back, or what a moderator takes away, is gone on the other side too."""
    room = await shared_room(ada, ben, version)
    for author, moderator, reader in ((ada, ada, ben), (ben, ben, ada), (ben, ada, ben)):
        said = await author.say(room, "a slip of the tongue")
        for person in (ada, ben):
            await person.sees(room, said)
        target = path("rooms", room, "redact", said, f"txn-{said}")
        redaction = (await moderator.put(target, {"reason": "regretted"})).ok()["event_id"]
        seen = await reader.sees(room, redaction)
        assert seen.get("redacts", seen["content"].get("redacts")) == said
        event = (await reader.get(path("rooms", room, "event", said))).ok()
        assert event["content"] == {}
        assert event["unsigned"]["redacted_because"]["event_id"] == redaction


async def test_history_from_before_the_join(ada: Person, ben: Person, version: str) -> None:
    """Who joins pages back to the beginning of the room, over all that was said before."""
    room = await open_room(ada, version)
    said = [await ada.say(room, f"long ago {number}") for number in range(25)]
    await ada.set_state(room, "m.room.topic", {"topic": "old times"})
    await ben.join(alias_of(ada))
    await ben.sees_member(room, ben, "join")

    events = await ben.history(room, ben.room(room).previous)
    told = [event["event_id"] for event in reversed(events) if event["type"] == "m.room.message"]
    newest = [event["event_id"] for event in ben.room(room).timeline if event["type"] == "m.room.message"]
    assert told + newest == said
    assert events[-1]["type"] == "m.room.create"


async def test_kick_ban_and_forgiveness(ada: Person, ben: Person, version: str) -> None:
    """Each reaches the other side, which keeps to it; afterwards the room is open again."""
    room = await shared_room(ada, ben, version)
    (await ada.post(path("rooms", room, "kick"), {"user_id": ben.user_id, "reason": "out"})).ok()
    await ben.is_in(room, "leave")
    (await ben.put(path("rooms", room, "send", "m.room.message", "late"), {"body": "?"})).error(
        403, "M_FORBIDDEN"
    )
    await ben.join(alias_of(ada))
    await ada.sees_member(room, ben, "join")
    await ben.is_in(room, "join")

    (await ada.post(path("rooms", room, "ban"), {"user_id": ben.user_id})).ok()
    await ben.is_in(room, "leave")
    assert ben.room(room).member(ben.user_id) == "ban"
    (await ben.post(join_path(alias_of(ada)))).error(403, "M_FORBIDDEN")
    (await ada.post(path("rooms", room, "unban"), {"user_id": ben.user_id})).ok()
    await ben.join(alias_of(ada))
    await ada.sees_member(room, ben, "join")
    said = await ada.say(room, "welcome back")
    await ben.sees(room, said)


async def test_a_moderator_from_the_other_server(
    ada: Person, cleo: Person, ben: Person, version: str
) -> None:
    """With the power for it, a guest kicks and bans users of the first server, on that server too."""
    room = await shared_room(ada, ben, version)
    await cleo.join(room)
    await ben.sees_member(room, cleo, "join")
    levels = (await ada.state(room, "m.room.power_levels")).ok()
    promoted = {**levels.get("users", {}), ben.user_id: MODERATOR}
    await ada.set_state(room, "m.room.power_levels", {**levels, "users": promoted})
    await ben.sees_state(room, "m.room.power_levels", users=promoted)

    (await ben.post(path("rooms", room, "kick"), {"user_id": cleo.user_id})).ok()
    await cleo.is_in(room, "leave")
    (await ben.post(path("rooms", room, "ban"), {"user_id": cleo.user_id})).ok()
    await ada.sees_member(room, cleo, "ban")
    assert (await cleo.post(join_path(room))).status == 403
    (await ben.post(path("rooms", room, "unban"), {"user_id": cleo.user_id})).ok()
    await ada.sees_member(room, cleo, "leave")
    await cleo.join(room)
    await ben.sees_member(room, cleo, "join")


async def test_an_account_is_closed(ada: Person, ben: Person) -> None:
    """Who goes for good leaves their rooms on the other server too."""
    room = await shared_room(ada, ben)
    proof = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": ben.user_id},
        "password": "correct horse battery",
    }
    (await ben.post("account/deactivate", {"auth": proof, "erase": True})).ok()
    await ada.sees_member(room, ben, "leave")


async def test_leaving_and_coming_back(ada: Person, ben: Person, version: str) -> None:
    """After its last user left, a server hears no more; coming back it gets state and history anew."""
    room = await shared_room(ada, ben, version)
    await ben.leave(room)
    await ada.sees_member(room, ben, "leave")
    missed = [await ada.say(room, f"behind your back {number}") for number in range(3)]
    await ada.set_state(room, "m.room.name", {"name": "Renamed"})
    await ben.turn()
    assert not any(ben.room(room).find(event_id) for event_id in missed)

    await ben.join(alias_of(ada))
    await ada.sees_member(room, ben, "join")
    await agree(room, ada, ben)
    assert (await ben.state(room, "m.room.name")).ok() == {"name": "Renamed"}
    told = [event["event_id"] for event in await ben.history(room)]
    assert [event_id for event_id in reversed(told) if event_id in missed] == missed
    for speaker, reader in ((ada, ben), (ben, ada)):
        await reader.sees(room, await speaker.say(room, "and again"))
    await agree(room, ada, ben)
