"""Rooms of other servers that let in the members of others."""

from typing import Any

import msgspec
import pytest

from chamberlain.matrix.events import Event
from chamberlain.rooms.handshake import Welcome
from tests.federation.test_joining import count, join, members, try_join
from tests.support.server import Client, Server, path
from tests.support.wire import Wire


async def make_rooms(host: Client, version: str, *, invite: int = 0) -> tuple[str, str]:
    """A public room, and one that its members may join; `invite`: the power to invite to the latter."""
    lobby = await host.create_room(preset="public_chat", room_version=version)
    rule = {
        "join_rule": "restricted",
        "allow": [{"type": "m.room_membership", "room_id": lobby}],
    }
    club = await host.create_room(
        room_version=version,
        initial_state=[{"type": "m.room.join_rules", "content": rule}],
        power_level_content_override={"invite": invite},
    )
    return lobby, club


@pytest.mark.parametrize("version", ("8", "9", "11", "12"))
async def test_a_member_of_the_one_room_is_let_into_the_other(
    alice: Client, bob: Client, version: str
) -> None:
    """The resident server vouches for the join with its signature."""
    lobby, club = await make_rooms(alice, version)
    (await try_join(bob, club, "near.test")).error(403, "M_FORBIDDEN")

    await join(bob, lobby, "near.test")
    await join(bob, club, "near.test")

    assert await members(alice, club) == {alice.user_id: "join", bob.user_id: "join"}
    event = (await bob.state(club, "m.room.member", bob.user_id)).ok()
    assert event["join_authorised_via_users_server"] == alice.user_id


async def test_a_server_that_cannot_know_says_so(alice: Client, bob: Client, far: Server) -> None:
    """It is not in the room whose members are let in."""
    _, club = await make_rooms(alice, "11")
    rule = {
        "join_rule": "restricted",
        "allow": [{"type": "m.room_membership", "room_id": "!elsewhere:other.test"}],
    }
    await alice.set_state(club, "m.room.join_rules", rule)
    (await try_join(bob, club, "near.test")).error(400, "M_UNABLE_TO_AUTHORISE_JOIN")


async def test_where_nobody_here_may_vouch_another_server_does(
    alice: Client, bob: Client, far: Server, wire: Wire
) -> None:
    """The server is in the room already, but only the other has a member who may invite."""
    lobby, club = await make_rooms(alice, "11", invite=50)
    carol = await far.register("carol")
    await join(carol, lobby, "near.test")
    await alice.invite(club, bob)
    await join(bob, club)

    await join(carol, club)

    assert count(wire, "send_join") == 3
    everyone = {user.user_id: "join" for user in (alice, bob, carol)}
    assert await members(alice, club) == everyone == await members(bob, club)


async def test_a_server_that_vouches_without_signing_lets_nobody_in(
    alice: Client, bob: Client, far: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user hears that they are not in the room."""
    lobby, club = await make_rooms(alice, "11", invite=50)
    carol = await far.register("carol")
    await join(carol, lobby, "near.test")
    await alice.invite(club, bob)
    await join(bob, club)
    handshakes = far.app.services.federation.remotes.handshakes
    send_join = handshakes.send_join

    async def send_in_vain(server: str, event: Event, **how: Any) -> Welcome:
        return msgspec.structs.replace(await send_join(server, event, **how), event=event)

    monkeypatch.setattr(handshakes, "send_join", send_in_vain)

    (await try_join(carol, club)).error(502, "M_UNKNOWN")


async def test_where_nobody_may_vouch_nobody_gets_in(alice: Client, bob: Client, near: Server) -> None:
    """The one who could invite has left."""
    lobby, club = await make_rooms(alice, "11", invite=50)
    dora = await near.register("dora")
    for user in (dora, bob):
        await join(user, lobby, "near.test")
    await join(dora, club)
    await alice.leave(club)
    (await try_join(bob, club, "near.test")).error(400, "M_UNABLE_TO_GRANT_JOIN")
    erin = await near.register("erin")
    await join(erin, lobby)
    (await erin.post(path("join", club))).error(400, "M_UNABLE_TO_GRANT_JOIN")
