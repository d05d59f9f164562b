"""Rooms that not everyone may enter: restricted joins and knocking, in each room version that has them."""

import pytest

from tests.e2e.synapse.conftest import HERE
from tests.support.neighbors import Person, agree, join_path
from tests.support.server import path

pytestmark = pytest.mark.parametrize("version", ["10", "11", "12"])
quiet = pytest.mark.skipif(
    HERE == "synapse", reason="Synapse does not tell other servers of knocks that are over"
)


async def closed_room(ada: Person, version: str, join_rule: dict[str, object]) -> str:
    """A private room of Ada's with this join rule."""
    state = {"type": "m.room.join_rules", "state_key": "", "content": join_rule}
    return await ada.create_room(
        preset="private_chat", room_version=version, name="Behind a door", initial_state=[state]
    )


async def clubs_room(ada: Person, version: str, rule: str) -> tuple[str, str]:
    """A public club and a room that its members may enter."""
    club = await ada.create_room(preset="public_chat", room_version=version, name="The club")
    allow = [{"type": "m.room_membership", "room_id": club}]
    return club, await closed_room(ada, version, {"join_rule": rule, "allow": allow})


async def test_a_restricted_room_opens_to_members_of_another(ada: Person, ben: Person, version: str) -> None:
    """Who is not in the club is refused; who is gets in, vouched for by somebody of the resident server."""
    club, room = await clubs_room(ada, version, "restricted")
    via = ada.server.name
    (await ben.post(join_path(room, via))).error(403, "M_FORBIDDEN")

    (await ben.post(join_path(club, via))).ok()
    (await ben.post(join_path(room, via))).ok()
    await ada.sees_member(room, ben, "join")
    joined = ada.room(room).content("m.room.member", ben.user_id)
    assert joined["join_authorised_via_users_server"] == ada.user_id
    await ben.sees_member(room, ada, "join")
    for speaker, reader in ((ada, ben), (ben, ada)):
        await reader.sees(room, await speaker.say(room, "inside"))

    await ben.leave(room)
    await ada.sees_member(room, ben, "leave")
    await ben.leave(club)
    await ada.sees_member(club, ben, "leave")
    (await ben.post(join_path(room, via))).error(403, "M_FORBIDDEN")


async def test_the_other_server_lets_its_own_user_in(
    ada: Person, ben: Person, dan: Person, version: str
) -> None:
    """A user of a server that is in the room already joins there, when somebody in it may invite."""
    club, room = await clubs_room(ada, version, "restricted")
    via = ada.server.name
    for person in (ben, dan):
        (await person.post(join_path(club, via))).ok()
    (await ben.post(join_path(room, via))).ok()
    (await dan.post(join_path(room, via))).ok()
    for person in (ada, ben):
        await person.sees_member(room, dan, "join")
    await ada.sees(room, await dan.say(room, "we are all here"))
    await agree(room, ada, dan)


async def test_a_knock_is_heard_and_answered(ada: Person, ben: Person, version: str) -> None:
    """It is answered with an invite, which lets the guest in."""
    room = await closed_room(ada, version, {"join_rule": "knock"})
    via = ada.server.name
    (await ben.post(join_path(room, via))).error(403, "M_FORBIDDEN")

    await knock(ben, room, via, "let me in")
    await ben.is_in(room, "knock")
    assert ben.room(room).stripped["m.room.name", ""]["content"] == {"name": "Behind a door"}
    await ada.sees_member(room, ben, "knock")
    assert ada.room(room).content("m.room.member", ben.user_id)["reason"] == "let me in"
    await ada.invite(room, ben)
    await ben.is_in(room, "invite")
    (await ben.post(join_path(room, via))).ok()
    await ada.sees_member(room, ben, "join")
    await ada.sees(room, await ben.say(room, "thank you"))


@quiet
@pytest.mark.parametrize("pair", ["synapse-hosts"], indirect=True)
async def test_a_knock_is_taken_back(ada: Person, ben: Person, version: str) -> None:
    """Who knocked and goes away is seen to go."""
    room = await closed_room(ada, version, {"join_rule": "knock"})
    await knock(ben, room, ada.server.name, "hello?")
    await ada.sees_member(room, ben, "knock")
    await ben.is_in(room, "knock")
    await ben.leave(room)
    await ada.sees_member(room, ben, "leave")
    await ben.is_in(room, "leave")


async def test_a_club_room_where_others_may_knock(
    ada: Person, ben: Person, dan: Person, version: str
) -> None:
    """A member of the club walks in; somebody else can knock."""
    club, room = await clubs_room(ada, version, "knock_restricted")
    via = ada.server.name
    (await ben.post(join_path(club, via))).ok()
    (await ben.post(join_path(room, via))).ok()
    await ada.sees_member(room, ben, "join")
    await knock(dan, room, via, "may I?")
    await ada.sees_member(room, dan, "knock")
    await ben.sees_member(room, dan, "knock")


async def knock(person: Person, room: str, via: str, reason: str) -> None:
    """Knock at a room by way of a server."""
    (await person.post(path("knock", room, via=via, server_name=via), {"reason": reason})).ok()
