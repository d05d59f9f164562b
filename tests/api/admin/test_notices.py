"""Server notices: what the user gets, and that it is one room and one notice."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from chamberlain.config.server_notices import ServerNotices
from tests.api.admin.asking import NATIVE, SYNAPSE, at, calls, member
from tests.support.server import Client, Server, test_config

PATH = f"{SYNAPSE}/send_server_notice"
HELLO = {"msgtype": "m.text", "body": "hello"}
NOTICES = "@notices:example.org"


async def send(root: Client, user: Client, txn: str | None = None, **body: Any) -> str:
    """Send a notice and give its event id."""
    sent = {"user_id": user.user_id, "content": HELLO} | body
    answer = await (root.post(PATH, sent) if txn is None else root.put(f"{PATH}/{txn}", sent))
    return str(answer.ok()["event_id"])


async def room_of(server: Server, user: Client) -> str:
    """The one room that the user was ever invited to by the server."""
    rows = await server.app.services.db.read(
        lambda tx: tx.all("SELECT room_id FROM memberships WHERE user_id = :user_id", user_id=user.user_id)
    )
    ((room_id,),) = rows
    return str(room_id)


async def test_a_notice_arrives(server: Server, root: Client, alice: Client) -> None:
    """The user is invited to a tagged room, joins, reads it, and cannot talk in it."""
    event_id = await send(root, alice)
    room = await room_of(server, alice)
    tags = (await alice.get(f"user/{alice.user_id}/rooms/{room}/tags")).ok()["tags"]
    await alice.join(room)
    event = (await alice.get(f"{at('/_matrix/client/v3/rooms', room, 'event', event_id)}")).ok()

    assert "m.server_notice" in tags
    assert (event["sender"], event["type"], event["content"]) == (NOTICES, "m.room.message", HELLO)
    assert (await member(alice, room, NOTICES))["displayname"] == "Server notices"
    answer = await alice.put(at("/_matrix/client/v3/rooms", room, "send", "m.room.message", "t"), HELLO)
    answer.error(403, "M_FORBIDDEN")
    joined = (await alice.get(f"{at('/_matrix/client/v3/rooms', room)}/joined_members")).ok()["joined"]
    assert set(joined) == {alice.user_id, NOTICES}


async def test_clients_hear_of_it(root: Client, alice: Client) -> None:
    """The invitation and its tag come by sync, to an old device and to a new one, and then the notice."""
    await alice.sync()
    await send(root, alice)
    heard = await alice.sync()
    ((room, invited),) = heard["rooms"]["invite"].items()
    senders = {event["sender"] for event in invited["invite_state"]["events"]}
    await alice.join(room)
    event_id = await send(root, alice)
    joined = (await alice.sync())["rooms"]["join"][room]

    assert NOTICES in senders
    assert event_id in {event["event_id"] for event in joined["timeline"]["events"]}
    tags = [
        event["content"]["tags"] for event in joined["account_data"]["events"] if event["type"] == "m.tag"
    ]
    assert tags == [{"m.server_notice": {}}]


async def test_the_invitation_cannot_be_rejected_and_the_room_is_reused(
    server: Server, root: Client, alice: Client
) -> None:
    """Rejecting is refused; leaving after joining is not, and the next notice invites to the same room."""
    await send(root, alice)
    room = await room_of(server, alice)
    leave = f"{at('/_matrix/client/v3/rooms', room)}/leave"
    (await alice.post(leave)).error(403, "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM")
    await alice.join(room)
    await alice.leave(room)
    await send(root, alice)

    assert await room_of(server, alice) == room
    found = await server.app.services.rooms.heads.current(room, "m.room.member", alice.user_id)
    assert found is not None and found.content["membership"] == "invite"
    await alice.join(room)
    await send(root, alice)
    assert await room_of(server, alice) == room


async def test_any_type_and_state(server: Server, root: Client, alice: Client) -> None:
    """Other message types, other event types and state events are sent as they are."""
    picture = {"msgtype": "m.image", "body": "p", "url": "mxc://example.org/x", "odd": {"deep": [1]}}
    first = await send(root, alice, content=picture)
    second = await send(root, alice, type="org.example.custom", content={"a": 1})
    await send(root, alice, type="org.example.state", state_key="k", content={"b": 2})
    room = await room_of(server, alice)
    await alice.join(room)

    event = at("/_matrix/client/v3/rooms", room, "event")
    assert (await alice.get(f"{event}/{first}")).ok()["content"] == picture
    assert (await alice.get(f"{event}/{second}")).ok()["type"] == "org.example.custom"
    assert (await alice.state(room, "org.example.state", "k")).ok() == {"b": 2}


async def test_a_transaction_sends_once(tmp_path: Path) -> None:
    """The same id gives the same event: repeated, at once, and after a restart; another admin's is another's."""
    server = await Server.start(test_config(tmp_path))
    root, other, alice = await server.admin(), await server.admin("other"), await server.register("alice")
    at_once = await asyncio.gather(*(send(root, alice, "t1") for _ in range(5)))
    assert len(set(at_once)) == 1
    assert await send(other, alice, "t1") != at_once[0]
    assert await send(root, alice, "t2") != at_once[0]
    await server.stop()
    server = await Server.start(test_config(tmp_path))
    root.server = server

    assert await send(root, alice, "t1") == at_once[0]
    await server.stop()


async def test_first_notices_at_once_make_one_room(
    server: Server, root: Client, alice: Client, bob: Client
) -> None:
    """Notices that race for users without a room make one room for each."""
    await asyncio.gather(*(send(root, user) for user in (alice, bob) for _ in range(4)))

    assert await room_of(server, alice) != await room_of(server, bob)


@pytest.mark.parametrize(
    ("body", "status", "errcode"),
    [
        ({"user_id": "@nobody:example.org", "content": HELLO}, 404, "M_NOT_FOUND"),
        ({"user_id": "@x:elsewhere.org", "content": HELLO}, 400, "M_INVALID_PARAM"),
        ({"user_id": "nonsense", "content": HELLO}, 400, "M_INVALID_PARAM"),
        ({"user_id": "@alice:example.org"}, 400, "M_MISSING_PARAM"),
        ({"content": HELLO}, 400, "M_MISSING_PARAM"),
        ({"user_id": "@alice:example.org", "content": "text"}, 400, "M_BAD_JSON"),
        ({"user_id": "@alice:example.org", "content": {"body": 1.5}}, 400, "M_BAD_JSON"),
        (b"", 400, "M_NOT_JSON"),
    ],
)
async def test_what_is_refused(root: Client, alice: Client, body: Any, status: int, errcode: str) -> None:
    """Bad calls say what is wrong, with and without a transaction id."""
    (await root.request("POST", PATH, body)).error(status, errcode)
    (await root.request("PUT", f"{PATH}/t", body)).error(status, errcode)


async def test_notices_can_be_off(tmp_path: Path) -> None:
    """Without notices the call is refused with a 400."""
    server = await Server.start(test_config(tmp_path, server_notices=ServerNotices(enabled=False)))
    root = await server.admin()

    (await root.post(PATH, {"user_id": root.user_id, "content": HELLO})).error(400, "M_UNKNOWN")
    await server.stop()


async def test_people_can_be_joined_at_once(tmp_path: Path) -> None:
    """With `auto_join` there is no invitation to accept."""
    server = await Server.start(
        test_config(tmp_path, server_notices=ServerNotices(auto_join=True, localpart="_server"))
    )
    root, alice = await server.admin(), await server.register("alice")
    await send(root, alice)

    (room,) = (await alice.get("joined_rooms")).ok()["joined_rooms"]
    assert (await member(alice, room, "@_server:example.org"))["membership"] == "join"
    await server.stop()


async def test_nobody_can_be_the_sender(server: Server, root: Client, alice: Client) -> None:
    """The name of the sender cannot be registered, and nobody can log in as it."""
    body = {"username": "notices", "password": "x" * 12, "auth": {"type": "m.login.dummy"}}
    (await server.anonymous.post("register", body)).error(400, "M_EXCLUSIVE")
    await send(root, alice)
    login = {"type": "m.login.password", "user": "notices", "password": ""}
    (await server.anonymous.post("login", login)).error(403, "M_FORBIDDEN")
    password = {"new_password": "a new password"}
    (await root.post(at(SYNAPSE, "reset_password", NOTICES), password)).error(400, "M_INVALID_PARAM")
    (await root.post(at(SYNAPSE, "deactivate", NOTICES))).error(400, "M_INVALID_PARAM")
    (await root.put(at(SYNAPSE, "users", NOTICES, "admin"), {"admin": True})).error(400, "M_INVALID_PARAM")


async def test_notices_are_written_down_without_what_they_say(root: Client, alice: Client) -> None:
    """The audit log has who was told something, not what."""
    await send(root, alice, content={"msgtype": "m.text", "body": "your code is 4711"})
    plan = (
        await root.post(f"{NATIVE}/notices", {"user_id": alice.user_id, "content": HELLO, "dry_run": True})
    ).ok()
    dry, sent = await calls(root, operation="notices.send")

    assert plan["users"] == [alice.user_id]
    assert (dry["dry_run"], sent["dry_run"]) == (True, False)
    assert sent["fields"]["target"] == alice.user_id
    assert "4711" not in str(sent)
