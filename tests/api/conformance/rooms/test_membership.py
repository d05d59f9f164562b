"""Who may become what in a room, what others see of it, and what repeating it does (client-server API, Membership)."""

import asyncio
from typing import Any

import pytest

from tests.api.conformance.table import check, found
from tests.support.server import Client, path

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def membership(viewer: Client, room: str, user: Client) -> str | None:
    """What the viewer sees that the user is in the room."""
    answer = await viewer.state(room, "m.room.member", user.user_id)
    return answer.json["membership"] if answer.status == 200 else None


async def become(alice: Client, bob: Client, room: str, what: str) -> None:
    """Bring bob into a membership of alice's room, whose join rule is left as it is."""
    rule = (await alice.state(room, "m.room.join_rules")).ok()
    if what in ("join", "leave", "kick"):
        await alice.invite(room, bob)
        await bob.join(room)
    if what == "leave":
        await bob.leave(room)
    elif what == "invite":
        await alice.invite(room, bob)
    elif what == "knock":
        await alice.set_state(room, "m.room.join_rules", {"join_rule": "knock"})
        (await bob.post(f"knock/{room}")).ok()
        await alice.set_state(room, "m.room.join_rules", rule)
    elif what in ("kick", "ban"):
        (await alice.post(path("rooms", room, what), {"user_id": bob.user_id})).ok()


# What bob is, and what comes of: bob joining, bob knocking, alice inviting, alice kicking, alice banning,
# alice unbanning, bob leaving.
RULES = {
    "public": {
        "none": (200, 403, 200, 403, 200, 403, 403),
        "invite": (200, 403, 200, 200, 200, 403, 200),
        "join": (200, 403, 403, 200, 200, 403, 200),
        "leave": (200, 403, 200, 403, 200, 403, 200),
        "ban": (403, 403, 403, 403, 200, 200, 403),
    },
    "invite": {
        "none": (403, 403, 200, 403, 200, 403, 403),
        "invite": (200, 403, 200, 200, 200, 403, 200),
        "leave": (403, 403, 200, 403, 200, 403, 200),
        "kick": (403, 403, 200, 403, 200, 403, 200),
    },
    "knock": {
        "none": (403, 200, 200, 403, 200, 403, 403),
        "invite": (200, 403, 200, 200, 200, 403, 200),
        "join": (200, 403, 403, 200, 200, 403, 200),
        "knock": (403, 200, 200, 200, 200, 403, 200),
        "leave": (403, 200, 200, 403, 200, 403, 200),
        "ban": (403, 403, 403, 403, 200, 200, 403),
    },
}


@pytest.mark.parametrize(
    ("rule", "was"), [(rule, was) for rule, rows in RULES.items() for was in rows], ids="-".join
)
async def test_who_may_become_what(alice: Client, bob: Client, rule: str, was: str) -> None:
    """Each membership with each action and join rule: allowed or not, and a refusal changes nothing."""
    actions: list[tuple[Client, str, Any]] = [
        (bob, "join", {}),
        (bob, "knock", None),
        (alice, "invite", {"user_id": bob.user_id}),
        (alice, "kick", {"user_id": bob.user_id}),
        (alice, "ban", {"user_id": bob.user_id}),
        (alice, "unban", {"user_id": bob.user_id}),
        (bob, "leave", {}),
    ]
    state = [{"type": "m.room.join_rules", "content": {"join_rule": rule}}]
    for (actor, action, body), expected in zip(actions, RULES[rule][was], strict=True):
        room = await alice.create_room(initial_state=state)
        await become(alice, bob, room, was)
        before = await membership(alice, room, bob)
        target = f"knock/{room}" if action == "knock" else path("rooms", room, action)
        answer = await actor.post(target, body)
        assert answer.status == expected, f"{action}: {answer.json}"
        now = await membership(alice, room, bob)
        if expected == 200:
            after = {"kick": "leave", "unban": "leave"}.get(action, action)
            assert now == after, action
        else:
            assert answer.json["errcode"] in ("M_FORBIDDEN", "M_BAD_STATE")
            assert now == before, action


@pytest.mark.parametrize("action", ["invite", "kick", "ban", "unban"])
async def test_without_the_power_nobody_acts_on_others(
    alice: Client, bob: Client, carol: Client, action: str
) -> None:
    """Ordinary members, outsiders and equals are refused, whatever the target is."""
    room = await alice.create_room(
        preset="public_chat", power_level_content_override={"users": {alice.user_id: 100, bob.user_id: 50}}
    )
    await bob.join(room)
    about = {"user_id": carol.user_id, "reason": "r"}
    (await carol.post(path("rooms", room, "join"))).ok()
    if action == "unban":
        (await alice.post(path("rooms", room, "ban"), {"user_id": carol.user_id})).ok()
        await alice.set_state(room, "m.room.power_levels", {"users": {alice.user_id: 100}, "ban": 60})
        assert (await bob.post(path("rooms", room, action), about)).status == 403
    else:
        for target in (alice, bob):
            refused = await carol.post(path("rooms", room, action), {"user_id": target.user_id})
            assert found(refused) == (403, "M_FORBIDDEN")
        assert found(await bob.post(path("rooms", room, action), {"user_id": alice.user_id})) == (
            403,
            "M_FORBIDDEN",
        )
        await bob.leave(room)
        assert found(await bob.post(path("rooms", room, action), about)) == (403, "M_FORBIDDEN")


async def test_bad_requests(alice: Client, bob: Client) -> None:
    """Unknown rooms, ids that are none, missing users and wrong bodies each have their answer."""
    room = await alice.create_room()
    gone = "!nowhere:example.org"
    user = {"user_id": bob.user_id}
    await check(
        alice,
        [
            *(
                ("POST", path("rooms", room, action), body, 400, errcode)
                for action in ("invite", "kick", "ban", "unban")
                for body, errcode in (
                    ({"user_id": "nope"}, "M_INVALID_PARAM"),
                    ({"user_id": 5}, "M_BAD_JSON"),
                    ({"user_id": bob.user_id, "reason": 5}, "M_BAD_JSON"),
                    (b"{", "M_NOT_JSON"),
                    (b"[]", "M_BAD_JSON"),
                )
            ),
            *(
                ("POST", path("rooms", room, action), {}, 400, "M_MISSING_PARAM")
                for action in ("kick", "ban")
            ),
            *(
                ("POST", path("rooms", gone, action), user, 404, "M_NOT_FOUND")
                for action in ("invite", "kick")
            ),
            ("POST", path("rooms", gone, "join"), {}, 404, "M_NOT_FOUND"),
            ("POST", path("join", gone), {}, 404, "M_NOT_FOUND"),
            ("POST", path("join", "#nowhere:example.org"), {}, 404, "M_NOT_FOUND"),
            ("POST", path("join", "nowhere"), {}, 400, "M_INVALID_PARAM"),
            ("POST", path("knock", gone), {}, 404, "M_NOT_FOUND"),
            ("POST", path("rooms", room, "forget"), {}, 400, "M_UNKNOWN"),
            ("POST", path("rooms", room, "join"), {"reason": 5}, 400, "M_BAD_JSON"),
        ],
    )


async def test_reasons_are_seen_by_the_others(alice: Client, bob: Client, carol: Client) -> None:
    """The reason of every change of membership is in the member event that others get."""
    room = await alice.create_room(preset="public_chat")
    await carol.join(room)
    await carol.sync()
    user = {"user_id": bob.user_id}
    steps: list[tuple[Client, str, Any]] = [
        (bob, path("rooms", room, "join"), {}),
        (bob, path("rooms", room, "leave"), {}),
        (alice, path("rooms", room, "invite"), user),
        (bob, path("join", room), {}),
        (alice, path("rooms", room, "kick"), user),
        (alice, path("rooms", room, "ban"), user),
        (alice, path("rooms", room, "unban"), user),
    ]
    for number, (actor, target, body) in enumerate(steps):
        (await actor.post(target, body | {"reason": f"because {number}"})).ok()
        event = (await carol.sync())["rooms"]["join"][room]["timeline"]["events"][-1]
        assert (event["content"]["reason"], event["state_key"]) == (f"because {number}", bob.user_id)
    await alice.set_state(room, "m.room.join_rules", {"join_rule": "knock"})
    (await bob.post(path("knock", room), {"reason": "let me in"})).ok()
    event = (await carol.sync())["rooms"]["join"][room]["timeline"]["events"][-1]
    assert (event["content"]["membership"], event["content"]["reason"]) == ("knock", "let me in")


async def test_what_a_join_carries(alice: Client, bob: Client) -> None:
    """A join has the profile and whatever else the client sent in the body; joining again changes nothing."""
    (await bob.put(path("profile", bob.user_id, "displayname"), {"displayname": "Bob!"})).ok()
    rooms = [await alice.create_room(preset="public_chat") for _ in range(2)]
    for target, room in ((path("join", rooms[0]), rooms[0]), (path("rooms", rooms[1], "join"), rooms[1])):
        answer = (await bob.post(target, {"org.example.color": "green"})).ok()
        assert answer == {"room_id": room}
        where = path("rooms", room, "state", "m.room.member", bob.user_id, format="event")
        first = (await alice.get(where)).ok()
        assert first["content"] == {
            "membership": "join",
            "displayname": "Bob!",
            "org.example.color": "green",
        }
        assert (await bob.post(target)).ok() == {"room_id": room}
        assert (await alice.get(where)).ok()["event_id"] == first["event_id"]
    listed = (await bob.get("joined_rooms")).ok()["joined_rooms"]
    assert sorted(listed) == sorted(rooms)


async def test_a_body_cannot_make_a_join_something_else(alice: Client, bob: Client) -> None:
    """What the client sends with a join overrides neither membership nor who vouches for it."""
    room = await alice.create_room(preset="public_chat")
    body = {"membership": "ban", "join_authorised_via_users_server": "@x:y", "displayname": "custom"}
    (await bob.post(path("rooms", room, "join"), body)).ok()
    content = (await alice.state(room, "m.room.member", bob.user_id)).ok()
    assert content["membership"] == "join" and "join_authorised_via_users_server" not in content


async def test_members_by_state_events(alice: Client, bob: Client, carol: Client) -> None:
    """Memberships can be set by sending m.room.member, under the same rules."""
    room = await alice.create_room()
    await alice.set_state(room, "m.room.member", {"membership": "invite"}, bob.user_id)
    assert room in (await bob.sync())["rooms"]["invite"]
    target = path("rooms", room, "state", "m.room.member", bob.user_id)
    (await bob.put(target, {"membership": "join", "displayname": "B"})).ok()
    assert (await alice.get(path("rooms", room, "joined_members"))).ok()["joined"][bob.user_id] == {
        "display_name": "B"
    }
    rows: list[tuple[Client, Client, Any, int]] = [
        (alice, bob, {"membership": "join"}, 403),
        (carol, carol, {"membership": "join"}, 403),
        (bob, alice, {"membership": "leave"}, 403),
        (alice, bob, {"membership": "nonsense"}, 400),
        (alice, bob, {}, 400),
    ]
    for actor, user, content, status in rows:
        answer = await actor.put(path("rooms", room, "state", "m.room.member", user.user_id), content)
        assert answer.status in (status, 403), (content, answer.json)
        assert answer.json["errcode"]
    bad = await alice.put(path("rooms", room, "state", "m.room.member", "nobody"), {"membership": "invite"})
    assert bad.status in (400, 403)
    (await alice.put(target, {"membership": "leave"})).ok()
    assert room in (await bob.sync())["rooms"]["leave"]


async def test_restricted_rooms(alice: Client, bob: Client, carol: Client) -> None:
    """Members of an allowed room come in without invitation, vouched for; others are refused."""
    club = await alice.create_room(preset="public_chat")
    for version, rule in (("8", "restricted"), ("11", "restricted"), ("12", "knock_restricted")):
        rules = {"join_rule": rule, "allow": [{"type": "m.room_membership", "room_id": club}]}
        room = await alice.create_room(
            room_version=version, initial_state=[{"type": "m.room.join_rules", "content": rules}]
        )
        assert (await bob.post(path("join", room))).status == 403
        await bob.join(club)
        await bob.join(room)
        content = (await alice.state(room, "m.room.member", bob.user_id)).ok()
        assert content["join_authorised_via_users_server"] == alice.user_id
        (await bob.put(path("profile", bob.user_id, "displayname"), {"displayname": f"of {version}"})).ok()
        await bob.leave(club)
        await bob.leave(room)
        assert (await bob.post(path("join", room))).status == 403
        knocking = await carol.post(path("knock", room))
        assert knocking.status == (200 if rule == "knock_restricted" else 403)


async def test_forgetting(alice: Client, bob: Client) -> None:
    """A forgotten room is gone from reading and first syncs, the leave still told; an invitation brings it back."""
    room = await alice.create_room(preset="public_chat")
    event = await alice.say(room, "hello")
    await bob.join(room)
    since = (await bob.sync())["next_batch"]
    assert found(await bob.post(path("rooms", room, "forget"))) == (400, "M_UNKNOWN")
    (await alice.post(path("rooms", room, "kick"), {"user_id": bob.user_id})).ok()
    (await bob.get(path("rooms", room, "state"))).ok()
    for _ in range(2):
        (await bob.post(path("rooms", room, "forget"))).ok()
    for target in (
        path("rooms", room, "messages", dir="b"),
        path("rooms", room, "state"),
        path("rooms", room, "members"),
        path("rooms", room, "context", event),
    ):
        assert found(await bob.get(target)) == (403, "M_FORBIDDEN"), target
    later = (await bob.get(path("sync", since=since))).ok()
    assert later["rooms"]["leave"][room]["timeline"]["events"][-1]["state_key"] == bob.user_id
    everything = '{"room":{"include_leave":true}}'
    assert "rooms" not in (await bob.get(path("sync", filter=everything))).ok()
    await alice.invite(room, bob)
    assert room in (await bob.sync())["rooms"]["invite"]
    await bob.join(room)
    assert room in (await bob.sync())["rooms"]["join"]
    (await bob.get(path("rooms", room, "messages", dir="b"))).ok()
    (await bob.post(path("rooms", "!nowhere:example.org", "forget"))).ok()


async def test_forgetting_a_room_that_one_was_only_asked_into(alice: Client, bob: Client) -> None:
    """A refused invitation can be forgotten, an open one cannot."""
    room = await alice.create_room(invite=[bob.user_id])
    assert found(await bob.post(path("rooms", room, "forget"))) == (400, "M_UNKNOWN")
    await bob.leave(room)
    (await bob.post(path("rooms", room, "forget"))).ok()
    everything = '{"room":{"include_leave":true}}'
    assert "rooms" not in (await bob.get(path("sync", filter=everything))).ok()


async def test_knocking(alice: Client, bob: Client, carol: Client) -> None:
    """A knock shows the room's face to who knocks, the knock to the members; it is taken back, refused or accepted."""
    room = await alice.create_room(
        name="Kitchen",
        topic="Soup",
        initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}],
    )
    await alice.sync()
    await bob.sync()
    for _ in range(2):
        assert (await bob.post(path("knock", room), {"reason": "please"})).ok() == {"room_id": room}
    shown = (await bob.sync())["rooms"]["knock"][room]["knock_state"]["events"]
    by_key = {(event["type"], event["state_key"]): event for event in shown}
    assert by_key["m.room.name", ""]["content"] == {"name": "Kitchen"}
    assert by_key["m.room.join_rules", ""]["content"] == {"join_rule": "knock"}
    assert by_key["m.room.create", ""]["sender"] == alice.user_id
    assert by_key["m.room.member", bob.user_id]["content"]["reason"] == "please"
    assert all(event.keys() <= {"type", "state_key", "sender", "content"} for event in shown)
    news = (await alice.sync())["rooms"]["join"][room]["timeline"]["events"]
    assert news[-1]["content"]["membership"] == "knock"
    for target in (path("rooms", room, "state"), path("rooms", room, "messages", dir="b")):
        assert (await bob.get(target)).status == 403
    await bob.leave(room)
    left = (await bob.sync())["rooms"]
    assert list(left) == ["leave"] and len(left["leave"][room]["timeline"]["events"]) == 1
    assert left["leave"][room]["state"]["events"] == []
    (await bob.post(path("knock", room))).ok()
    (await alice.post(path("rooms", room, "kick"), {"user_id": bob.user_id})).ok()
    assert room in (await bob.sync())["rooms"]["leave"]
    (await bob.post(path("knock", room))).ok()
    await alice.invite(room, bob)
    assert list((await bob.sync())["rooms"]) == ["invite"]
    await bob.join(room)
    assert list((await bob.sync())["rooms"]) == ["join"]
    old = await alice.create_room(
        room_version="6", initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}]
    )
    assert found(await carol.post(path("knock", old))) == (403, "M_FORBIDDEN")


async def test_at_once(alice: Client, bob: Client, carol: Client) -> None:
    """Conflicting changes at the same moment leave one consistent room and no server error."""
    for _ in range(5):
        room = await alice.create_room(preset="public_chat")
        user = {"user_id": bob.user_id}
        answers = await asyncio.gather(
            bob.post(path("join", room)),
            bob.post(path("rooms", room, "leave")),
            bob.post(path("join", room)),
            alice.post(path("rooms", room, "kick"), user),
            alice.post(path("rooms", room, "ban"), user),
            bob.post(path("join", room)),
            alice.post(path("rooms", room, "invite"), user),
            carol.post(path("join", room)),
            carol.post(path("join", room)),
            alice.post(path("rooms", room, "unban"), user),
            bob.post(path("rooms", room, "forget")),
        )
        assert {answer.status for answer in answers} <= {200, 400, 403}
        joined = (await alice.get(path("rooms", room, "joined_members"))).ok()["joined"]
        assert alice.user_id in joined and carol.user_id in joined
        is_in = (await membership(alice, room, bob)) == "join"
        assert (bob.user_id in joined) is is_in
        assert (room in (await bob.get("joined_rooms")).ok()["joined_rooms"]) is is_in
        events = (await carol.get(path("rooms", room, "messages", dir="b", limit=50))).ok()["chunk"]
        own = [event for event in events if event.get("state_key") == carol.user_id]
        assert len(own) == 1
