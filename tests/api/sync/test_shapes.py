"""What filters and erasure make of events, and rooms one knocks at."""

from typing import Any

import orjson

from tests.support.server import Client
from tests.support.sync_model import assert_incremental_equals_full


def timeline(answer: dict[str, Any], room: str) -> list[dict[str, Any]]:
    """The timeline of a joined room."""
    events: list[dict[str, Any]] = answer["rooms"]["join"][room]["timeline"]["events"]
    return events


async def test_a_stored_filter_is_used_by_its_id(alice: Client) -> None:
    """What a filter says holds the same when it was uploaded; another user's id is none."""
    definition = {"room": {"timeline": {"limit": 1}}}
    filter_id = (await alice.post(f"user/{alice.user_id}/filter", definition)).ok()["filter_id"]
    room = await alice.create_room()

    assert len(timeline(await alice.sync(filter=filter_id), room)) == 1
    (await alice.get("sync?filter=unknown")).error(400, "M_INVALID_PARAM")
    (await alice.get("sync?filter=%7B%22room%22%3A3%7D")).error(400, "M_BAD_JSON")


async def test_events_in_the_form_of_servers(alice: Client) -> None:
    """event_format federation gives the events as they were signed, and their ids."""
    room = await alice.create_room()
    wanted = orjson.dumps({"event_format": "federation"}).decode()
    await alice.sync(filter=wanted)
    event_id = await alice.say(room, "hello")
    (event,) = timeline(await alice.sync(filter=wanted), room)

    assert event["content"]["body"] == "hello"
    assert event["event_id"] == event_id
    assert {"auth_events", "prev_events", "hashes", "signatures", "depth"} <= set(event)


async def test_account_data_is_filtered(alice: Client) -> None:
    """Global and room account data have filters of their own."""
    room = await alice.create_room()
    for name in ("org.example.a", "org.example.b"):
        (await alice.put(f"user/{alice.user_id}/account_data/{name}", {})).ok()
        (await alice.put(f"user/{alice.user_id}/rooms/{room}/account_data/{name}", {})).ok()
    only = {"types": ["org.example.b"]}
    wanted = orjson.dumps({"account_data": only, "room": {"account_data": only}}).decode()
    answer = await alice.sync(filter=wanted)

    assert [event["type"] for event in answer["account_data"]["events"]] == ["org.example.b"]
    part = answer["rooms"]["join"][room]["account_data"]["events"]
    assert [event["type"] for event in part] == ["org.example.b"]


async def test_only_events_with_an_url(alice: Client) -> None:
    """contains_url chooses by whether the content has one, from memory and from the database."""
    room = await alice.create_room()
    wanted = orjson.dumps({"room": {"timeline": {"contains_url": True}}}).decode()
    await alice.sync(filter=wanted)
    await alice.say(room, "words")
    await alice.say(room, "picture", url="mxc://example.org/a")

    assert [e["content"]["body"] for e in timeline(await alice.sync(filter=wanted), room)] == ["picture"]
    fresh = await Client(alice.server, alice.token).sync(filter=wanted)
    assert [e["content"]["body"] for e in timeline(fresh, room)] == ["picture"]


async def test_no_timeline_at_all(alice: Client) -> None:
    """A limit of 0 gives no events, and the token to fetch them from."""
    room = await alice.create_room()
    await alice.say(room, "hello")
    wanted = orjson.dumps({"room": {"timeline": {"limit": 0}}}).decode()
    part = (await alice.sync(filter=wanted))["rooms"]["join"][room]

    assert part["timeline"]["events"] == []
    assert part["timeline"]["limited"] is True
    assert {event["type"] for event in part["state"]["events"]} >= {"m.room.create", "m.room.member"}
    token = part["timeline"]["prev_batch"]
    page = (await alice.get(f"rooms/{room}/messages?dir=b&limit=1&from={token}")).ok()
    assert page["chunk"][0]["content"]["body"] == "hello"


async def test_an_erased_user_is_silent_for_newcomers(alice: Client, bob: Client, carol: Client) -> None:
    """What the erased said is empty for who was not there, and as before for who was."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    await bob.say(room, "my secret")
    body = {
        "erase": True,
        "auth": {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": "bob"},
            "password": "correct horse battery",
        },
    }
    (await bob.post("account/deactivate", body)).ok()
    await carol.join(room)

    def said(answer: dict[str, Any]) -> list[Any]:
        events = [e for e in timeline(answer, room) if e["type"] == "m.room.message"]
        return [event["content"].get("body") for event in events]

    assert said(await carol.sync()) == [None]
    assert said(await alice.sync()) == ["my secret"]


async def test_a_room_one_knocks_at(alice: Client, bob: Client) -> None:
    """Who knocks sees what the room shows of itself; being let in makes it a joined room."""
    rule = {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}
    room = await alice.create_room(name="Kitchen", initial_state=[rule])
    await bob.sync()
    (await bob.post(f"knock/{room}", {"reason": "hungry"})).ok()
    events = (await bob.sync())["rooms"]["knock"][room]["knock_state"]["events"]

    found = {(event["type"], event["state_key"]): event["content"] for event in events}
    assert found["m.room.name", ""] == {"name": "Kitchen"}
    assert found["m.room.member", bob.user_id]["reason"] == "hungry"
    await assert_incremental_equals_full(bob)
    await alice.invite(room, bob)
    assert list((await bob.sync())["rooms"]) == ["invite"]
    await bob.join(room)
    assert list((await bob.sync())["rooms"]) == ["join"]
    await assert_incremental_equals_full(bob)


async def test_threads_and_edits_are_bundled(alice: Client, bob: Client) -> None:
    """A first sync tells of an event what relates to it, and so does a later one that comes late."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    await bob.sync()
    root = await alice.say(room, "root")
    relation = {"rel_type": "m.thread", "event_id": root}
    last = await alice.say(room, "in the thread", **{"m.relates_to": relation})

    for client in (bob, Client(bob.server, bob.token)):
        event = next(e for e in timeline(await client.sync(), room) if e["event_id"] == root)
        thread = event["unsigned"]["m.relations"]["m.thread"]
        assert (thread["count"], thread["latest_event"]["event_id"]) == (1, last)


async def test_two_receipts_for_one_event_are_both_told(alice: Client, bob: Client) -> None:
    """A threaded and an unthreaded receipt of one user at one event do not hide each other."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    event_id = await alice.say(room, "hello")
    await alice.sync()
    for body in ({}, {"thread_id": "main"}):
        (await bob.post(f"rooms/{room}/receipt/m.read/{event_id}", body)).ok()
    events = (await alice.sync())["rooms"]["join"][room]["ephemeral"]["events"]
    threads = [event["content"][event_id]["m.read"][bob.user_id].get("thread_id") for event in events]

    assert sorted(threads, key=str) == [None, "main"]
