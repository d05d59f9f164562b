"""What a web client meets in its first minute."""

from tests.support.server import Client, Server


async def test_a_new_user_makes_a_room_and_another_joins(alice: Client, bob: Client) -> None:
    """From registration to a message that both can read."""
    room = await alice.create_room(preset="public_chat", name="A room")
    await bob.join(room)
    await bob.say(room, "hello")

    assert (await alice.state(room, "m.room.name")).ok() == {"name": "A room"}
    assert (await bob.get("joined_rooms")).ok() == {"joined_rooms": [room]}
    members = (await alice.get(f"rooms/{room}/joined_members")).ok()["joined"]
    assert set(members) == {alice.user_id, bob.user_id}


async def test_old_names_of_a_path_answer_too(alice: Client) -> None:
    """r0, v1 and v2 stand for v3."""
    for version in ("r0", "v1", "v2", "v3"):
        answer = await alice.get(f"/_matrix/client/{version}/account/whoami")
        assert answer.ok()["user_id"] == alice.user_id


async def test_the_token_may_stand_in_the_query(server: Server, alice: Client) -> None:
    """As old clients send it."""
    answer = await server.anonymous.get(f"account/whoami?access_token={alice.token}")

    assert answer.ok()["user_id"] == alice.user_id


async def test_unknown_paths_and_methods_are_told_apart(alice: Client) -> None:
    """404 and 405, both M_UNRECOGNIZED."""
    unknown = await alice.get("/_matrix/client/v3/nothing/here")
    wrong = await alice.request("PATCH", "account/whoami", {})

    assert (unknown.status, unknown.json["errcode"]) == (404, "M_UNRECOGNIZED")
    assert (wrong.status, wrong.json["errcode"]) == (405, "M_UNRECOGNIZED")


async def test_a_browser_may_ask_from_anywhere(server: Server) -> None:
    """A preflight is answered without a token, and errors carry the CORS headers too."""
    preflight = await server.anonymous.request("OPTIONS", "sync")
    refused = await server.anonymous.get("sync")

    assert preflight.status in (200, 204)
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert refused.status == 401
    assert refused.headers["access-control-allow-origin"] == "*"


async def test_state_with_an_empty_key_has_three_spellings(alice: Client) -> None:
    """Without the key, with a slash at the end, and by reading it back either way."""
    room = await alice.create_room()
    for number, target in enumerate(("m.room.topic", "m.room.topic/")):
        await alice.put(f"rooms/{room}/state/{target}", {"topic": str(number)})
        for spelling in ("m.room.topic", "m.room.topic/"):
            assert (await alice.get(f"rooms/{room}/state/{spelling}")).ok() == {"topic": str(number)}


async def test_sending_the_same_state_again_makes_no_event(alice: Client) -> None:
    """The answer names the event that already says so."""
    room = await alice.create_room()
    first = await alice.set_state(room, "m.room.topic", {"topic": "x"})

    assert await alice.set_state(room, "m.room.topic", {"topic": "x"}) == first


async def test_a_transaction_id_is_a_devices_own(server: Server, alice: Client) -> None:
    """The same device gets the same event; another device of the user sends a new one."""
    other = await server.login("alice")
    room = await alice.create_room()
    target = f"rooms/{room}/send/m.room.message/same"
    first = (await alice.put(target, {"body": "1"})).ok()["event_id"]
    again = (await alice.put(target, {"body": "2"})).ok()["event_id"]
    elsewhere = (await other.put(target, {"body": "3"})).ok()["event_id"]

    assert first == again
    assert elsewhere != first
