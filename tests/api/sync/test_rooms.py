"""The rooms of /sync: sections, timelines, state."""

from typing import Any

import orjson

from tests.support.server import Client, path
from tests.support.sync_model import Follower, assert_incremental_equals_full, follow


def joined(answer: dict[str, Any], room_id: str) -> dict[str, Any]:
    """The part of an answer about a joined room."""
    return answer["rooms"]["join"][room_id]


def bodies(part: dict[str, Any]) -> list[Any]:
    """The bodies of the messages in a room's timeline."""
    return [event["content"].get("body") for event in part["timeline"]["events"]]


async def test_a_message_reaches_the_other_once(alice: Client, bob: Client) -> None:
    """A message comes with the next sync of each member, and not again with the one after."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    await bob.sync()
    await alice.say(room, "hello")

    assert bodies(joined(await bob.sync(), room)) == ["hello"]
    assert "rooms" not in await bob.sync()


async def test_only_the_sending_device_sees_its_transaction_id(alice: Client, server: Any) -> None:
    """The transaction id is for the device that sent, not for another device of the same user."""
    other = await server.login("alice")
    room = await alice.create_room()
    await alice.sync()
    await other.sync()
    await alice.say(room, "hello")

    mine = joined(await alice.sync(), room)["timeline"]["events"][0]
    theirs = joined(await other.sync(), room)["timeline"]["events"][0]
    assert mine["unsigned"]["transaction_id"] == "t1"
    assert "transaction_id" not in theirs["unsigned"]


async def test_a_gap_is_limited_and_carries_the_state_of_the_gap(alice: Client, bob: Client) -> None:
    """More events than the limit leave a gap, whose state changes stand in `state`."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    await bob.sync()
    await alice.set_state(room, "m.room.topic", {"topic": "in the gap"})
    for number in range(12):
        await alice.say(room, f"{number}")
    part = joined(await bob.sync(), room)

    assert part["timeline"]["limited"] is True
    assert bodies(part) == [f"{number}" for number in range(2, 12)]
    assert [event["content"] for event in part["state"]["events"]] == [{"topic": "in the gap"}]
    assert part["timeline"]["prev_batch"]


async def test_the_gap_is_filled_by_messages(alice: Client, bob: Client) -> None:
    """`prev_batch` goes on backward exactly where the timeline begins."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    for number in range(15):
        await alice.say(room, f"{number}")
    token = joined(await bob.sync(), room)["timeline"]["prev_batch"]
    page = (await bob.get(f"rooms/{room}/messages?dir=b&from={token}&limit=5")).ok()

    assert [event["content"]["body"] for event in page["chunk"]] == ["4", "3", "2", "1", "0"]


async def test_state_of_a_first_sync_is_that_before_the_timeline(alice: Client) -> None:
    """What the timeline brings is in `state` as it was before."""
    room = await alice.create_room(topic="old")
    for number in range(9):
        await alice.say(room, f"{number}")
    await alice.set_state(room, "m.room.topic", {"topic": "new"})
    part = joined(await alice.sync(), room)
    topics = [event for event in part["state"]["events"] if event["type"] == "m.room.topic"]

    assert [event["content"]["topic"] for event in topics] == ["old"]
    assert part["timeline"]["events"][-1]["content"] == {"topic": "new"}
    assert part["timeline"]["events"][-1]["unsigned"]["prev_content"] == topics[0]["content"]


async def test_state_after_is_that_at_the_end(alice: Client, bob: Client) -> None:
    """With use_state_after the state is the one after the timeline, and there is no `state`."""
    room = await alice.create_room(preset="public_chat", topic="old")
    await bob.join(room)
    await bob.sync(use_state_after="true")
    await alice.set_state(room, "m.room.topic", {"topic": "new"})
    part = joined(await bob.sync(use_state_after="true"), room)

    assert "state" not in part
    assert [event["content"] for event in part["state_after"]["events"]] == [{"topic": "new"}]
    await alice.say(room, "nothing to do with state")
    assert joined(await bob.sync(use_state_after="true"), room)["state_after"] == {"events": []}


async def test_a_room_entered_comes_whole(alice: Client, bob: Client) -> None:
    """Who joins gets all state of the room with the next sync."""
    room = await alice.create_room(preset="public_chat", name="Kitchen")
    for number in range(12):
        await alice.say(room, f"{number}")
    await bob.sync()
    await bob.join(room)
    part = joined(await bob.sync(), room)

    assert part["timeline"]["limited"] is True
    assert {event["type"] for event in part["state"]["events"]} >= {"m.room.create", "m.room.name"}
    assert part["summary"]["m.joined_member_count"] == 2


async def test_an_invitation_shows_the_room_and_who_invites(alice: Client, bob: Client) -> None:
    """The invited gets stripped state, and hears nothing more of the room until they join."""
    room = await alice.create_room(name="Kitchen", topic="Soup")
    await bob.sync()
    await alice.invite(room, bob)
    invited = (await bob.sync())["rooms"]["invite"][room]["invite_state"]["events"]
    await alice.say(room, "are you coming?")

    found = {(event["type"], event["state_key"]): event["content"] for event in invited}
    assert found["m.room.name", ""] == {"name": "Kitchen"}
    assert found["m.room.member", bob.user_id]["membership"] == "invite"
    assert found["m.room.member", alice.user_id]["membership"] == "join"
    assert ("m.room.power_levels", "") not in found
    assert "rooms" not in await bob.sync()
    await assert_incremental_equals_full(bob)


async def test_a_refused_invitation_is_a_room_left(alice: Client, bob: Client) -> None:
    """Who refuses an invitation sees the room in the leave section, and nothing of what was said."""
    room = await alice.create_room()
    await alice.say(room, "not for bob")
    await alice.invite(room, bob)
    await bob.sync()
    await bob.leave(room)
    left = (await bob.sync())["rooms"]["leave"][room]

    assert [event["content"]["membership"] for event in left["timeline"]["events"]] == ["leave"]


async def test_a_room_left_ends_with_the_leaving(alice: Client, bob: Client) -> None:
    """Who leaves sees the events up to that, not those after it, and only once."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    await bob.sync()
    await alice.say(room, "before")
    await bob.leave(room)
    await alice.say(room, "after")
    answer = await bob.sync()

    assert bodies(answer["rooms"]["leave"][room]) == ["before", None]
    assert "join" not in answer["rooms"]
    assert "rooms" not in await bob.sync()


async def test_a_ban_is_shown_with_its_reason(alice: Client, bob: Client) -> None:
    """Who is banned sees the ban."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    await bob.sync()
    (await alice.post(f"rooms/{room}/ban", {"user_id": bob.user_id, "reason": "noise"})).ok()
    left = (await bob.sync())["rooms"]["leave"][room]

    assert left["timeline"]["events"][-1]["content"] | {"displayname": None} == {
        "membership": "ban",
        "reason": "noise",
        "displayname": None,
    }


async def test_rooms_left_are_listed_where_the_filter_asks(alice: Client) -> None:
    """A first sync has left rooms only with include_leave, and forgotten ones never."""
    kept, forgotten = await alice.create_room(), await alice.create_room()
    for room in (kept, forgotten):
        await alice.leave(room)
    (await alice.post(f"rooms/{forgotten}/forget")).ok()
    wanted = orjson.dumps({"room": {"include_leave": True}}).decode()

    assert "rooms" not in await Client(alice.server, alice.token).sync()
    assert list((await alice.sync(filter=wanted))["rooms"]["leave"]) == [kept]


async def test_who_was_not_there_does_not_see_it(alice: Client, bob: Client) -> None:
    """With joined history visibility the timeline of a newcomer begins with their own coming."""
    room = await alice.create_room(
        preset="public_chat",
        initial_state=[
            {
                "type": "m.room.history_visibility",
                "content": {"history_visibility": "joined"},
                "state_key": "",
            }
        ],
    )
    await alice.say(room, "secret")
    await bob.join(room)
    await alice.say(room, "open")
    part = joined(await bob.sync(), room)

    assert "secret" not in bodies(part)
    assert bodies(part)[-1] == "open"
    await assert_incremental_equals_full(bob)


async def test_full_state_gives_all_state_again(alice: Client, bob: Client) -> None:
    """full_state brings the state of every room, with no more timeline than what is new."""
    room = await alice.create_room(preset="public_chat", name="Kitchen")
    await bob.join(room)
    await bob.sync()
    await alice.say(room, "new")
    part = joined(await bob.sync(full_state="true"), room)

    assert bodies(part) == ["new"]
    assert {"m.room.create", "m.room.name", "m.room.member"} <= {e["type"] for e in part["state"]["events"]}


async def test_history_goes_on_from_a_full_state_without_news(alice: Client) -> None:
    """Its timeline is empty, and says where the room's history begins."""
    room = await alice.create_room()
    event_id = await alice.say(room, "hello")
    await alice.sync()
    timeline = (await alice.sync(full_state="true"))["rooms"]["join"][room]["timeline"]
    assert timeline["events"] == []

    target = path("rooms", room, "messages", dir="b", limit=1, **{"from": timeline["prev_batch"]})
    (newest,) = (await alice.get(target)).ok()["chunk"]
    assert newest["event_id"] == event_id


async def test_a_room_of_which_nothing_is_wanted_is_not_there(alice: Client) -> None:
    """Its counts of members are no news by themselves."""
    room = await alice.create_room()
    wanted = '{"room":{"timeline":{"types":[]},"state":{"types":["org.example.state"]}}}'
    await alice.sync(filter=wanted)
    own = {"membership": "join", "displayname": "Boris"}
    await alice.set_state(room, "m.room.member", own, alice.user_id)
    assert "rooms" not in await alice.sync(filter=wanted)


async def test_the_filter_chooses_events(alice: Client, bob: Client) -> None:
    """Types, senders and limits of a timeline filter hold for first and later syncs."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    for number in range(3):
        await alice.say(room, f"{number}")
        await alice.send(room, "org.example.noise", {})
    wanted = orjson.dumps({"room": {"timeline": {"types": ["m.room.message"], "limit": 2}}}).decode()
    part = joined(await bob.sync(filter=wanted), room)

    assert bodies(part) == ["1", "2"]
    await alice.send(room, "org.example.noise", {})
    assert "rooms" not in await bob.sync(filter=wanted)
    await alice.say(room, "3")
    assert bodies(joined(await bob.sync(filter=wanted), room)) == ["3"]


async def test_state_that_the_filter_keeps_out_of_the_timeline_is_in_state(alice: Client) -> None:
    """A state change that a filter drops from the timeline still reaches the client."""
    room = await alice.create_room()
    wanted = orjson.dumps({"room": {"timeline": {"types": ["m.room.message"]}}}).decode()
    await alice.sync(filter=wanted)
    await alice.set_state(room, "m.room.topic", {"topic": "new"})
    part = joined(await alice.sync(filter=wanted), room)

    assert part["timeline"]["events"] == []
    assert [event["content"] for event in part["state"]["events"]] == [{"topic": "new"}]


async def test_rooms_that_are_not_wanted_are_not_there(alice: Client) -> None:
    """`rooms` and `not_rooms` of a filter choose rooms."""
    one, other = await alice.create_room(), await alice.create_room()
    wanted = orjson.dumps({"room": {"not_rooms": [other]}}).decode()

    assert list((await alice.sync(filter=wanted))["rooms"]["join"]) == [one]
    await alice.say(other, "unheard")
    assert "rooms" not in await alice.sync(filter=wanted)


async def test_fields_are_cut_where_the_filter_says(alice: Client) -> None:
    """event_fields leaves nothing else of an event."""
    room = await alice.create_room()
    wanted = orjson.dumps({"event_fields": ["type", "content.body"]}).decode()
    await alice.sync(filter=wanted)
    await alice.say(room, "hello")
    events = joined(await alice.sync(filter=wanted), room)["timeline"]["events"]

    assert events == [{"type": "m.room.message", "content": {"body": "hello"}}]


async def test_a_redacted_message_is_empty_for_who_comes_later(alice: Client, bob: Client) -> None:
    """Who has not synced yet gets the redacted form, with the redaction; not what was said."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    await bob.sync()
    event_id = await alice.say(room, "regretted")
    (await alice.put(f"rooms/{room}/redact/{event_id}/x", {})).ok()
    first, second = joined(await bob.sync(), room)["timeline"]["events"]

    assert first["content"] == {}
    assert first["unsigned"]["redacted_because"]["event_id"] == second["event_id"]
    await assert_incremental_equals_full(bob)


async def test_the_ignored_are_not_heard(alice: Client, bob: Client, carol: Client) -> None:
    """Messages and invitations of the ignored do not come; their state events do."""
    room = await alice.create_room(preset="public_chat")
    for user in (bob, carol):
        await user.join(room)
    ignored = {"ignored_users": {bob.user_id: {}}}
    (await alice.put(f"user/{alice.user_id}/account_data/m.ignored_user_list", ignored)).ok()
    await alice.sync()
    await bob.say(room, "spam")
    await bob.invite(await bob.create_room(), alice)

    assert "rooms" not in await alice.sync()
    await carol.say(room, "ham")
    await bob.leave(room)
    part = joined(await alice.sync(), room)
    assert bodies(part) == ["ham", None]


async def test_heroes_name_a_room_without_a_name(alice: Client, bob: Client, carol: Client) -> None:
    """The summary of a nameless room lists the others; when they change it is told anew."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    summary = joined(await alice.sync(), room)["summary"]

    assert summary["m.heroes"] == [bob.user_id]
    await carol.join(room)
    summary = joined(await alice.sync(), room)["summary"]
    assert summary == {
        "m.heroes": [bob.user_id, carol.user_id],
        "m.joined_member_count": 3,
        "m.invited_member_count": 0,
    }


async def test_a_token_of_another_epoch_begins_anew(alice: Client) -> None:
    """After a restored backup the old tokens give what a first sync gives; garbage is refused."""
    room = await alice.create_room()
    await alice.say(room, "hello")
    answer = (await alice.get("sync?since=sElsewhere_99999_0")).ok()

    assert bodies(joined(answer, room))[-1] == "hello"
    (await alice.get("sync?since=garbage")).error(400, "M_INVALID_PARAM")
    (await alice.get("sync?filter=nope")).error(400, "M_INVALID_PARAM")
    (await alice.get("sync?set_presence=asleep")).error(400, "M_INVALID_PARAM")


async def test_incremental_equals_full_through_a_story(alice: Client, bob: Client, carol: Client) -> None:
    """Whatever happens, keeping up gives what beginning anew gives."""
    after = Follower(bob, state_after=True)
    kitchen = await alice.create_room(preset="public_chat", name="Kitchen")
    await assert_incremental_equals_full(bob)
    await follow(after)
    cellar = await alice.create_room(invite=[bob.user_id])
    for step in (
        lambda: bob.join(kitchen),
        lambda: alice.say(kitchen, "hi"),
        lambda: bob.say(kitchen, "hello"),
        lambda: alice.set_state(kitchen, "m.room.topic", {"topic": "Soup"}),
        lambda: carol.join(kitchen),
        lambda: bob.join(cellar),
        lambda: alice.say(cellar, f"{bob.user_id}: look", **{"m.mentions": {"user_ids": [bob.user_id]}}),
        lambda: alice.set_state(kitchen, "m.room.name", {"name": ""}),
        lambda: carol.leave(kitchen),
        lambda: alice.put(f"profile/{alice.user_id}/displayname", {"displayname": "Al"}),
        lambda: bob.leave(cellar),
        lambda: alice.invite(cellar, bob),
        lambda: bob.join(cellar),
    ):
        await step()
        await assert_incremental_equals_full(bob)
        await follow(after)
        await assert_incremental_equals_full(alice)
