"""What other servers send for rooms that this server is not in, or only just comes into."""

from typing import Any

import pytest

from chamberlain.federation.inbound import room_queues
from tests.federation.test_accept import enter
from tests.federation.test_handshake_requests import body_of, invite
from tests.federation.test_joining import join
from tests.support.peer import Asked, Peer
from tests.support.peer_room import PeerRoom
from tests.support.server import Client, Server, until
from tests.support.wire import Wire


@pytest.fixture
def peer(wire: Wire) -> Peer:
    """A hand-made server."""
    return Peer.on(wire, "peer.test")


async def invited(peer: Peer, user: Client, version: str = "11") -> PeerRoom:
    """A room to which the user is invited."""
    room = peer.room(version).furnish("invite")
    event = room.member(user.user_id, "invite", peer.user())
    create = room.events[room.state["m.room.create", ""]]
    assert (await invite(peer, event, body_of(peer, event, [create]))).status == 200
    return room


async def settled(server: Server) -> None:
    """Return when all that was sent has been worked off."""

    async def is_idle() -> bool:
        return server.app.services.federation.inbound.room_queues.busy == 0

    await until(is_idle)


@pytest.mark.parametrize("version", ("1", "10", "12"))
async def test_an_invitation_is_taken_back(peer: Peer, alice: Client, near: Server, version: str) -> None:
    """By the inviter, with a leave or a ban; the user is rid of it, and may be invited again."""
    for membership in ("leave", "ban"):
        room = await invited(peer, alice, version)
        assert room.room_id in (await alice.sync())["rooms"]["invite"]
        event = room.member(alice.user_id, membership, peer.user())
        for _ in range(2):
            await peer.send("near.test", [event])
            await settled(near)
        answer = await alice.sync()
        (shown,) = answer["rooms"]["leave"][room.room_id]["timeline"]["events"]
        assert shown["content"]["membership"] == membership
        assert "rooms" not in await alice.sync()


async def test_who_did_not_invite_does_not_take_it_back(peer: Peer, alice: Client, near: Server) -> None:
    """Nobody here can know who has the power in a room that this server is not in."""
    room = await invited(peer, alice)
    other = "@other:peer.test"
    room.member(other, "invite", peer.user())
    room.member(other, "join")
    await alice.sync()
    kick = {"membership": "leave"}
    auth = sorted({room.state["m.room.create", ""], room.state["m.room.member", peer.user()]})
    forged = room.build("m.room.member", peer.user(), kick, alice.user_id)
    for pdu in (
        room.build("m.room.member", other, kick, alice.user_id),
        room.build("m.room.member", peer.user(), kick, alice.user_id, auth=auth),
        room.build("m.room.member", peer.user(), {"membership": "join"}, alice.user_id),
        room.build("m.room.name", peer.user(), {"membership": "leave"}, alice.user_id),
        forged.pdu.replace(peer.key.key_id.encode(), b"ed25519:none"),
    ):
        await peer.send("near.test", [pdu])
    await settled(near)
    assert "rooms" not in await alice.sync()
    assert room.room_id in (await alice.get("sync")).ok()["rooms"]["invite"]


async def test_a_knock_is_turned_away(peer: Peer, alice: Client, near: Server) -> None:
    """By somebody of the server that took it."""
    room = peer.room("11").furnish("knock")
    (await alice.post(f"knock/{room.room_id}")).ok()
    assert room.room_id in (await alice.sync())["rooms"]["knock"]
    await peer.send("near.test", [room.member(alice.user_id, "leave", peer.user())])
    await settled(near)
    assert room.room_id in (await alice.sync())["rooms"]["leave"]


async def test_a_template_of_another_version(peer: Peer, alice: Client, near: Server) -> None:
    """Nothing is signed that reads otherwise than the room does: one leaves alone, and does not knock."""
    room = await invited(peer, alice)
    known = peer.room("11").furnish()
    await enter(near, peer, known, alice)
    await alice.leave(known.room_id)
    for name in ("make_leave", "make_knock"):
        peer.lies[name] = lambda asked, honest: honest | {"room_version": "10"}

    await alice.sync()
    await alice.leave(room.room_id)
    assert room.room_id in (await alice.sync())["rooms"]["leave"]
    (await alice.post(f"knock/{known.room_id}?server_name=peer.test")).error(502, "M_UNKNOWN")

    assert {one.name for one in peer.asked} >= {"make_leave", "make_knock"}
    assert not {one.name for one in peer.asked} & {"send_leave", "send_knock"}


async def test_what_is_said_while_one_joins_is_not_lost(
    peer: Peer, alice: Client, near: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other server sends it as soon as it has the join, and this one keeps it until it has the room."""
    monkeypatch.setattr(room_queues, "ENTERING_RETRY_S", 0.01)
    room = peer.room("11").furnish()

    async def meanwhile(asked: Asked, honest: Any) -> Any:
        await peer.send("near.test", [room.say(peer.user(), "Welcome!")])
        return honest

    peer.lies["send_join"] = meanwhile
    await join(alice, room.room_id)

    def has_come(answer: dict[str, Any]) -> bool:
        events = answer.get("rooms", {}).get("join", {}).get(room.room_id, {}).get("timeline", {})
        return any(event["content"].get("body") == "Welcome!" for event in events.get("events", ()))

    await alice.sync_until(has_come)


async def test_what_comes_for_a_room_that_is_not_joined_after_all_is_dropped(
    peer: Peer, alice: Client, near: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing waits for it any more."""
    monkeypatch.setattr(room_queues, "ENTERING_RETRY_S", 0.01)
    room = peer.room("11").furnish()

    async def meanwhile(asked: Asked, honest: Any) -> Any:
        await peer.send("near.test", [room.say(peer.user(), "Welcome!")])
        return {}

    peer.lies["send_join"] = meanwhile
    (await alice.post(f"join/{room.room_id}")).error(502, "M_UNKNOWN")
    await settled(near)
    assert await near.app.services.rooms.heads.find(room.room_id) is None
