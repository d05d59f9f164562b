"""What a server answers to others that want into its rooms, and out."""

from typing import Any
from urllib.parse import quote

import orjson
import pytest

from chamberlain.federation.transport import TransportAnswer
from chamberlain.matrix.events import Draft, Event, build, sign
from chamberlain.matrix.types import JsonObject
from chamberlain.matrix.versions import get_room_version
from tests.federation.test_joining import members
from tests.support.peer import ALL_VERSIONS, Asked, Peer, Refusal
from tests.support.server import Client, Server, path
from tests.support.wire import Wire

PREFIX = "/_matrix/federation"


@pytest.fixture
def peer(wire: Wire) -> Peer:
    """A hand-made server."""
    return Peer.on(wire, "peer.test")


def target(version: str, *parts: str, query: str = "") -> str:
    """A path of the server-server API."""
    return "/".join([PREFIX, version, *(quote(part, safe="") for part in parts)]) + query


def refusal(answer: TransportAnswer) -> tuple[int, str]:
    """Status and errcode of an answer."""
    return answer.status, orjson.loads(answer.body).get("errcode", "")


async def make(peer: Peer, membership: str, room_id: str, user_id: str, query: str = "?ver=11") -> Any:
    """Ask for a template."""
    found = target("v1", f"make_{membership}", room_id, user_id, query=query)
    return await peer.request("near.test", "GET", found)


async def template_of(peer: Peer, membership: str, room_id: str, user_id: str) -> JsonObject:
    """A template that is given."""
    answer = await make(peer, membership, room_id, user_id)
    assert answer.status == 200, answer.body
    made = orjson.loads(answer.body)
    assert made["room_version"] == "11"
    return dict(made["event"])


def finish(peer: Peer, template: JsonObject, **changes: Any) -> Event:
    """The event that a server makes of a template."""
    fields = template | changes
    draft = Draft(
        room_id=fields["room_id"],
        type=fields["type"],
        sender=fields["sender"],
        content=fields["content"],
        state_key=fields["state_key"],
        origin_server_ts=peer.now(),
    )
    return build(
        draft,
        version=get_room_version("11"),
        prev_events=fields["prev_events"],
        auth_events=fields["auth_events"],
        depth=fields["depth"],
        server_name=peer.name,
        signing_key=peer.key,
    )


async def send(
    peer: Peer, call: str, event: Event, version: str = "v2", query: str = "", **wrong: str
) -> TransportAnswer:
    """Hand an event in."""
    names = {"room_id": event.room_id, "event_id": event.event_id} | wrong
    found = target(version, call, names["room_id"], names["event_id"], query=query)
    return await peer.request("near.test", "PUT", found, event.pdu)


async def test_a_template_has_no_id_and_no_signature(peer: Peer, alice: Client) -> None:
    """The server of the user adds these."""
    room_id = await alice.create_room(preset="public_chat")
    event = await template_of(peer, "join", room_id, peer.user())
    assert event["content"] == {"membership": "join"}
    assert (event["room_id"], event["sender"], event["state_key"]) == (room_id, peer.user(), peer.user())
    assert event["origin"] == "near.test"
    assert not {"event_id", "hashes", "signatures"} & event.keys()
    assert await members(alice, room_id) == {alice.user_id: "join"}


async def test_who_gets_no_template(peer: Peer, alice: Client, wire: Wire) -> None:
    """Users of others, rooms that are not here, versions that do not fit, the banned, those who were not invited."""
    room_id = await alice.create_room(preset="public_chat")
    own = peer.user()
    for membership in ("join", "leave", "knock"):
        answer = await make(peer, membership, room_id, "@eve:other.test")
        assert refusal(answer) == (403, "M_FORBIDDEN")
        assert refusal(await make(peer, membership, "!nothing:near.test", own)) == (404, "M_NOT_FOUND")
        assert refusal(await make(peer, membership, room_id, "eve")) == (403, "M_FORBIDDEN")
    for membership in ("join", "knock"):
        for query in ("?ver=1&ver=10", "?ver="):
            answer = await make(peer, membership, room_id, own, query)
            assert refusal(answer) == (400, "M_INCOMPATIBLE_ROOM_VERSION")
            assert orjson.loads(answer.body)["room_version"] == "11"
    assert refusal(await make(peer, "join", room_id, own, "")) == (400, "M_INCOMPATIBLE_ROOM_VERSION")
    assert refusal(await make(peer, "knock", room_id, own)) == (403, "M_FORBIDDEN")
    assert refusal(await make(peer, "leave", room_id, own)) == (403, "M_FORBIDDEN")
    private = await alice.create_room()
    assert refusal(await make(peer, "join", private, own)) == (403, "M_FORBIDDEN")

    await alice.set_state(room_id, "m.room.server_acl", {"allow": ["*"], "deny": ["peer.*"]})
    assert refusal(await make(peer, "join", room_id, own)) == (403, "M_FORBIDDEN")
    await alice.leave(private)
    assert refusal(await make(peer, "join", private, own)) == (404, "M_NOT_FOUND")


async def test_a_join_is_answered_with_the_state_before_it(peer: Peer, alice: Client) -> None:
    """All of it, with what authorizes it; the same again gives the same."""
    room_id = await alice.create_room(preset="public_chat", name="Here")
    join = finish(peer, await template_of(peer, "join", room_id, peer.user()))
    for _ in range(2):
        answer = await send(peer, "send_join", join)
        told = orjson.loads(answer.body)
        state = {(event["type"], event["state_key"]): event for event in told["state"]}
        assert ("m.room.member", peer.user()) not in state
        assert state["m.room.name", ""]["content"] == {"name": "Here"}
        assert ("m.room.member", alice.user_id) in state
        chain = {event["type"] for event in told["auth_chain"]}
        assert chain == {"m.room.create", "m.room.member", "m.room.power_levels", "m.room.join_rules"}
        assert told["members_omitted"] is False and "near.test" in told["servers_in_room"]
        assert Event.from_dict(told["event"], join.version).event_id == join.event_id
    old = await send(peer, "send_join", join, "v1")
    assert orjson.loads(old.body)[0] == 200 and orjson.loads(old.body)[1].keys() == told.keys()
    assert await members(alice, room_id) == {alice.user_id: "join", peer.user(): "join"}


async def test_a_join_can_be_answered_without_the_members(peer: Peer, alice: Client, near: Server) -> None:
    """But for those whom a room without a name is called after, and without saying anything twice."""
    dora = await near.register("dora")
    for name, heroes in (("Here", set()), (None, {alice.user_id, dora.user_id})):
        named = {} if name is None else {"name": name}
        room_id = await alice.create_room(preset="public_chat", **named)
        await dora.join(room_id)
        join = finish(peer, await template_of(peer, "join", room_id, peer.user()))
        told = orjson.loads((await send(peer, "send_join", join, query="?omit_members=true")).body)
        assert told["members_omitted"] is True and told["servers_in_room"] == ["near.test"]
        found = {event["state_key"] for event in told["state"] if event["type"] == "m.room.member"}
        assert found == heroes
        ids = [
            Event.from_dict(event, join.version).event_id for event in (*told["state"], *told["auth_chain"])
        ]
        assert len(ids) == len(set(ids))


async def test_what_is_no_join_of_the_sender_is_refused(peer: Peer, alice: Client) -> None:
    """Nothing of it gets into the room."""
    room_id = await alice.create_room(preset="public_chat")
    template = await template_of(peer, "join", room_id, peer.user())
    join = finish(peer, template)
    other = {"sender": "@eve:other.test", "state_key": "@eve:other.test"}
    for event in (
        finish(peer, template, type="m.room.name"),
        finish(peer, template, content={"membership": "leave"}),
        finish(peer, template, content={}),
    ):
        assert refusal(await send(peer, "send_join", event)) == (400, "M_INVALID_PARAM")
    for event in (finish(peer, template, state_key="@somebody:peer.test"), finish(peer, template, **other)):
        assert refusal(await send(peer, "send_join", event)) == (403, "M_FORBIDDEN")
    for wrong in ({"event_id": "$" + "a" * 43}, {"room_id": await alice.create_room(preset="public_chat")}):
        assert refusal(await send(peer, "send_join", join, **wrong)) == (400, "M_INVALID_PARAM")
    vouched = finish(
        peer, template, content={"membership": "join", "join_authorised_via_users_server": "@a:b"}
    )
    assert refusal(await send(peer, "send_join", vouched)) == (400, "M_INVALID_PARAM")
    forged = orjson.loads(join.pdu)
    forged["signatures"] = {"peer.test": {peer.key.key_id: "A" * 86}}
    found = target("v2", "send_join", room_id, join.event_id)
    assert refusal(await peer.request("near.test", "PUT", found, forged)) == (403, "M_FORBIDDEN")
    for body in ({}, {"type": 1}, []):
        assert (await peer.request("near.test", "PUT", found, body)).status == 400
    await alice.set_state(room_id, "m.room.join_rules", {"join_rule": "invite"})
    assert refusal(await send(peer, "send_join", join)) == (403, "M_FORBIDDEN")
    assert await members(alice, room_id) == {alice.user_id: "join"}


async def test_a_join_that_nobody_vouched_for_is_not_signed(peer: Peer, alice: Client) -> None:
    """A server cannot make our member vouch for its user."""
    lobby = await alice.create_room(preset="public_chat")
    rule = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": lobby}]}
    room_id = await alice.create_room(preset="public_chat")
    template = await template_of(peer, "join", room_id, peer.user())
    await alice.set_state(room_id, "m.room.join_rules", rule)
    join = finish(
        peer,
        template,
        content={"membership": "join", "join_authorised_via_users_server": alice.user_id},
    )
    assert refusal(await send(peer, "send_join", join)) == (403, "M_FORBIDDEN")
    assert await members(alice, room_id) == {alice.user_id: "join"}


async def test_leaving_by_the_old_call_and_the_new_one(peer: Peer, alice: Client) -> None:
    """An invitation is rejected through either."""
    room_id = await alice.create_room()
    for version, body in (("v1", b"[200,{}]"), ("v2", b"{}")):
        (await alice.post(path("rooms", room_id, "invite"), {"user_id": peer.user()})).ok()
        leave = finish(peer, await template_of(peer, "leave", room_id, peer.user()))
        for _ in range(2):
            answer = await send(peer, "send_leave", leave, version)
            assert (answer.status, answer.body) == (200, body)
        assert (await members(alice, room_id))[peer.user()] == "leave"
    join = finish(peer, orjson.loads(leave.pdu), content={"membership": "join"})
    assert refusal(await send(peer, "send_leave", join)) == (400, "M_INVALID_PARAM")


# ------------------------------------------------------------------------------------------------- invites


def body_of(peer: Peer, event: Event, state: Any) -> JsonObject:
    """The body of an invite."""
    return {
        "event": orjson.Fragment(event.pdu),
        "room_version": event.version.id,
        "invite_room_state": [orjson.Fragment(shown.pdu) for shown in state],
    }


async def invite(peer: Peer, event: Event, body: Any, version: str = "v2") -> TransportAnswer:
    """Offer an invite."""
    return await peer.request(
        "near.test", "PUT", target(version, "invite", event.room_id, event.event_id), body
    )


@pytest.mark.parametrize("version", ALL_VERSIONS)
async def test_an_invite_comes_back_signed(peer: Peer, alice: Client, version: str) -> None:
    """The same again too; and its user sees it."""
    room = peer.room(version).furnish("invite")
    event = room.build("m.room.member", peer.user(), {"membership": "invite"}, alice.user_id)
    create = room.events[room.state["m.room.create", ""]]
    for _ in range(2):
        answer = await invite(peer, event, body_of(peer, event, [create]))
        signed = orjson.loads(answer.body)["event"]
        assert signed["signatures"].keys() == {"near.test", "peer.test"}
    assert room.room_id in (await alice.sync())["rooms"]["invite"]
    if version in ("1", "2"):
        old = orjson.loads(event.pdu) | {"unsigned": {"invite_room_state": [orjson.loads(create.pdu)]}}
        answer = await invite(peer, event, old, "v1")
        status, told = orjson.loads(answer.body)
        assert status == 200 and told["event"]["signatures"].keys() == {"near.test", "peer.test"}


async def test_what_is_no_invite_of_ours_is_not_signed(peer: Peer, alice: Client) -> None:
    """Other events, other users, other versions, bad signatures, wrong paths, and what is no JSON of an invite."""
    room = peer.room("11").furnish("invite")
    content = {"membership": "invite"}
    good = room.build("m.room.member", peer.user(), content, alice.user_id)
    peer.keys["other.test"] = peer.key
    for event in (
        room.build("m.room.name", peer.user(), content, alice.user_id),
        room.build("m.room.member", peer.user(), {"membership": "join"}, alice.user_id),
        room.build("m.room.member", peer.user(), content, "@bob:other.test"),
        room.build("m.room.member", peer.user(), content),
    ):
        assert refusal(await invite(peer, event, body_of(peer, event, []))) == (400, "M_INVALID_PARAM")
    stranger = room.build("m.room.member", "@eve:other.test", content, alice.user_id)
    assert refusal(await invite(peer, stranger, body_of(peer, stranger, []))) == (403, "M_FORBIDDEN")
    forged = orjson.loads(good.pdu)
    forged["signatures"] = {"peer.test": {peer.key.key_id: "A" * 86}}
    changed = orjson.loads(good.pdu) | {"content": content | {"displayname": "Mallory"}}
    for body in (forged, changed):
        answer = await invite(peer, good, {"event": body, "room_version": "11"})
        assert refusal(answer) == (403, "M_FORBIDDEN")
    answer = await invite(peer, good, body_of(peer, good, []) | {"room_version": "99"})
    assert refusal(answer) == (400, "M_INCOMPATIBLE_ROOM_VERSION")
    wrong = target("v2", "invite", room.room_id, "$" + "a" * 43)
    answer = await peer.request("near.test", "PUT", wrong, body_of(peer, good, []))
    assert refusal(answer) == (400, "M_INVALID_PARAM")
    for body in ({}, {"event": 1, "room_version": "11"}, body_of(peer, good, []) | {"invite_room_state": 7}):
        assert (await invite(peer, good, body)).status == 400
    assert "rooms" not in await alice.sync()


async def test_in_new_rooms_what_is_shown_must_be_true(peer: Peer, alice: Client) -> None:
    """From room version 12 on: the create event of that very room, well signed, and nothing of other rooms."""
    room = peer.room("12").furnish("invite")
    other = peer.room("12", create_content={"type": "m.space"}).furnish()
    event = room.build("m.room.member", peer.user(), {"membership": "invite"}, alice.user_id)
    create = room.events[room.state["m.room.create", ""]]
    foreign = other.events[other.state["m.room.create", ""]]
    rules = room.events[room.state["m.room.join_rules", ""]]
    unsigned = Event.from_dict(orjson.loads(create.pdu) | {"signatures": {}}, create.version)
    for shown in ([], [rules], [foreign], [create, foreign], [unsigned]):
        answer = await invite(peer, event, body_of(peer, event, shown))
        assert refusal(answer) == (400, "M_INVALID_PARAM")
    stripped = {"type": "m.room.create", "state_key": "", "sender": peer.user(), "content": {}}
    answer = await invite(peer, event, body_of(peer, event, []) | {"invite_room_state": [stripped]})
    assert refusal(answer) == (400, "M_INVALID_PARAM")
    assert (await invite(peer, event, body_of(peer, event, [create, rules]))).status == 200


async def test_what_is_shown_of_a_room_is_bounded(peer: Peer, alice: Client) -> None:
    """Entries that are none are left out, and so is what is too much."""
    room = peer.room("11").furnish("invite")
    event = room.build("m.room.member", peer.user(), {"membership": "invite"}, alice.user_id)
    name = {"type": "m.room.name", "state_key": "", "sender": peer.user(), "content": {"name": "N"}}
    long = name | {"type": "org.example.long", "content": {"x": "y" * 20_000}}
    shown: list[Any] = [name, {}, name | {"type": 1}, name | {"sender": "eve"}, name | {"content": []}]
    body = body_of(peer, event, []) | {"invite_room_state": [*shown, *([long] * 30), name | {"type": "late"}]}
    assert (await invite(peer, event, body)).status == 200
    found = (await alice.sync())["rooms"]["invite"][room.room_id]["invite_state"]["events"]
    assert [one["type"] for one in found].count("m.room.name") == 1
    assert 2 < len(found) < 10


async def test_an_invite_with_the_signature_of_another_is_sent_to_nobody(peer: Peer, alice: Client) -> None:
    """What comes back from the invited user's server must be what went there, signed by it."""
    room_id = await alice.create_room()
    found = path("rooms", room_id, "invite")

    def unsigned(asked: Any, honest: Any) -> Any:
        return {"event": asked.body["event"]}

    def changed(asked: Any, honest: Any) -> Any:
        event = asked.body["event"]
        event = event | {"content": event["content"] | {"displayname": "Mallory"}}
        return {
            "event": orjson.Fragment(
                sign(Event.from_dict(event, get_room_version("11")), "peer.test", peer.key).pdu
            )
        }

    for lie in (unsigned, changed, lambda asked, honest: {}, lambda asked, honest: b"no"):
        peer.lies["invite"] = lie
        (await alice.post(found, {"user_id": peer.user()})).error(502, "M_UNKNOWN")
    assert await members(alice, room_id) == {alice.user_id: "join"}
    del peer.lies["invite"]
    (await alice.post(found, {"user_id": peer.user()})).ok()
    assert (await members(alice, room_id))[peer.user()] == "invite"


class OldPeer(Peer):
    """One that knows the first version of inviting alone."""

    def _answer_invite(self, asked: Asked) -> Any:
        if "room_version" in asked.body:
            raise Refusal(404, "M_UNRECOGNIZED")
        self.invites.append(Event.from_dict(dict(asked.body), get_room_version("1")))
        signed = sign(self.invites[-1], self.name, self.key)
        return [200, {"event": orjson.Fragment(signed.pdu)}]


async def test_an_old_server_is_asked_in_the_first_version(alice: Client, wire: Wire) -> None:
    """In rooms of the oldest versions, with what is shown of the room inside of the event."""
    peer = OldPeer.on(wire, "peer.test")
    room_id = await alice.create_room(room_version="1", name="Old")
    (await alice.post(path("rooms", room_id, "invite"), {"user_id": peer.user()})).ok()
    assert (await members(alice, room_id))[peer.user()] == "invite"
    shown = peer.asked[-1].body["unsigned"]["invite_room_state"]
    assert {"name": "Old"} in [event["content"] for event in shown]

    later = await alice.create_room(room_version="6")
    answer = await alice.post(path("rooms", later, "invite"), {"user_id": peer.user()})
    answer.error(502, "M_UNKNOWN")
