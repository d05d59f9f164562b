"""Both servers act at the same time, or one acts alone: in the end they agree on the room."""

import asyncio

from tests.support.neighbors import Person, agree, alias_of, join_path, open_room, shared_room
from tests.support.server import path

MODERATOR = 50


async def promote(ada: Person, ben: Person, room: str, level: int) -> None:
    """Ada gives Ben this power."""
    levels = (await ada.state(room, "m.room.power_levels")).ok()
    users = {**levels.get("users", {}), ben.user_id: level}
    await ada.set_state(room, "m.room.power_levels", {**levels, "users": users})


async def test_both_speak_at_once(ada: Person, ben: Person, version: str) -> None:
    """Nothing that is said gets lost, and the last topic is the same one for both."""
    room = await shared_room(ada, ben, version)
    await promote(ada, ben, room, MODERATOR)
    await ben.until(lambda: ben.user_id in ben.room(room).content("m.room.power_levels").get("users", {}))

    said = await asyncio.gather(*(person.say(room, f"{n}") for n in range(8) for person in (ada, ben)))
    await asyncio.gather(
        *(person.set_state(room, "m.room.topic", {"topic": person.user_id}) for person in (ada, ben))
    )
    for person in (ada, ben):
        for event_id in said:
            await person.sees(room, event_id)
    await agree(room, ada, ben)


async def test_power_is_taken_while_it_is_used(ada: Person, ben: Person, version: str) -> None:
    """Ben changes the room while Ada takes his right to: whichever holds, it holds on both sides."""
    room = await shared_room(ada, ben, version)
    for number in range(3):
        await promote(ada, ben, room, MODERATOR)
        await ben.until(
            lambda: (
                ben.room(room).content("m.room.power_levels").get("users", {}).get(ben.user_id) == MODERATOR
            )
        )
        await asyncio.gather(
            promote(ada, ben, room, 0),
            ben.put(path("rooms", room, "state", "m.room.topic", ""), {"topic": f"by ben {number}"}),
        )
        await ben.until(
            lambda: ben.room(room).content("m.room.power_levels").get("users", {}).get(ben.user_id) == 0
        )
    await ada.sees(room, await ben.say(room, "enough"))
    await ben.sees(room, await ada.say(room, "enough"))
    await agree(room, ada, ben)


async def test_a_room_outlives_the_users_of_its_first_server(ada: Person, ben: Person, version: str) -> None:
    """All of them leave, the other server goes on alone, and they come back in through it."""
    room = await shared_room(ada, ben, version)
    await ada.leave(room)
    await ben.sees_member(room, ada, "leave")
    said = [await ben.say(room, f"alone {number}") for number in range(3)]

    (await ada.post(join_path(room, ben.server.name))).ok()
    await ben.sees_member(room, ada, "join")
    told = [event["event_id"] for event in await ada.history(room)]
    assert [event_id for event_id in reversed(told) if event_id in said] == said
    for speaker, reader in ((ada, ben), (ben, ada)):
        await reader.sees(room, await speaker.say(room, "together again"))
    await agree(room, ada, ben)


async def test_a_server_that_is_shut_out(ada: Person, ben: Person, cleo: Person) -> None:
    """Its users are not heard any more, nor can others of it come in; when it is let in again, they can."""
    room = await shared_room(ada, ben)
    acl = {"allow": ["*"], "deny": [ben.server.name.rpartition(":")[0]], "allow_ip_literals": True}
    await ada.set_state(room, "m.room.server_acl", acl)
    await ben.sees_state(room, "m.room.server_acl", **acl)
    unheard = await ben.say(room, "can you hear me?")
    heard = await ada.say(room, "it is quiet here")
    await ada.sees(room, heard)
    assert (await ada.get(path("rooms", room, "event", unheard))).status == 404

    await ada.set_state(room, "m.room.server_acl", {**acl, "deny": []})
    await ben.sees_state(room, "m.room.server_acl", deny=[])
    await ada.sees(room, await ben.say(room, "and now?"))


async def test_a_room_is_upgraded(ada: Person, ben: Person) -> None:
    """The old room points to the new one, into which the guest follows."""
    old = await shared_room(ada, ben, "10")
    new = (await ada.post(path("rooms", old, "upgrade"), {"new_version": "12"})).ok()["replacement_room"]
    await ben.sees_state(old, "m.room.tombstone", replacement_room=new)
    await ben.join(alias_of(ada))
    await ada.sees_member(new, ben, "join")
    await ben.sees_member(new, ada, "join")
    created = ben.room(new).content("m.room.create")
    assert (created["room_version"], created["predecessor"]["room_id"]) == ("12", old)
    await ada.sees(new, await ben.say(new, "nice and clean"))


async def test_history_that_is_for_members_only(ada: Person, ben: Person, version: str) -> None:
    """What was said before the guest joined is not shown to them; what is said afterwards is."""
    state = {"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}
    room = await open_room(ada, version, initial_state=[state])
    secret = await ada.say(room, "among us")
    await ben.join(alias_of(ada))
    await ada.sees_member(room, ben, "join")
    said = await ada.say(room, "welcome")
    await ben.sees(room, said)

    told = [event["event_id"] for event in await ben.history(room)]
    assert said in told
    assert secret not in told
    (await ben.get(path("rooms", room, "event", secret))).error(404, "M_NOT_FOUND")
