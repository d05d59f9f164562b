"""/sync as clients and other servers' test suites lean on it (client-server API, Syncing)."""

import asyncio
from typing import Any

import orjson
import pytest

from tests.api.conformance.table import check
from tests.support.server import Client, Server, path

pytestmark = pytest.mark.asyncio(loop_scope="module")

Json = dict[str, Any]
LEFT = {"room": {"include_leave": True}}


def rooms(answer: Json, section: str = "join") -> Json:
    """One section of the rooms of an answer."""
    found: Json = answer.get("rooms", {}).get(section, {})
    return found


def timeline(part: Json) -> list[str]:
    """What stands in a timeline: bodies of messages, and types of other events."""
    return [event["content"].get("body", event["type"]) for event in part["timeline"]["events"]]


def state(part: Json) -> Json:
    """The state of a room's part, by type and key."""
    return {(event["type"], event["state_key"]): event["content"] for event in part["state"]["events"]}


async def ask(client: Client, wanted: Any = None, **query: Any) -> Json:
    """Sync from the given token, or from the beginning."""
    if wanted is not None:
        query["filter"] = orjson.dumps(wanted).decode()
    answer: Json = (await client.get(path("sync", **query))).ok()
    return answer


async def test_whole_rooms(alice: Client, bob: Client) -> None:
    """A first sync with a large limit has the whole room and no gap; with a small one a gap and the state before."""
    room = await alice.create_room(preset="public_chat", name="Kitchen")
    await bob.join(room)
    await alice.say(room, "hello")
    whole = rooms(await ask(bob, {"room": {"timeline": {"limit": 100}}}))[room]
    assert whole["timeline"]["limited"] is False and whole["state"]["events"] == []
    assert timeline(whole)[0] == "m.room.create" and timeline(whole)[-1] == "hello"
    assert whole["timeline"]["prev_batch"]
    small = rooms(await ask(bob, {"room": {"timeline": {"limit": 2}}}))[room]
    assert small["timeline"]["limited"] is True and timeline(small) == ["m.room.member", "hello"]
    assert state(small)["m.room.name", ""] == {"name": "Kitchen"}
    assert ("m.room.member", bob.user_id) not in state(small)
    none = rooms(await ask(bob, {"room": {"timeline": {"limit": 0}}}))[room]
    assert timeline(none) == [] and ("m.room.member", bob.user_id) in state(none)


@pytest.mark.parametrize("limit", [1, 3, 10])
async def test_prev_batch_goes_on_without_seam(alice: Client, bob: Client, limit: int) -> None:
    """Timeline and what /messages gives from prev_batch are the whole room, in first, gapped and later syncs."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    wanted = {"room": {"timeline": {"limit": limit}}}
    since = None
    for round in range(3):
        for number in range(6):
            await alice.say(room, f"{round}/{number}")
        answer = await ask(bob, wanted, **({} if since is None else {"since": since}))
        since = answer["next_batch"]
        part = rooms(answer)[room]["timeline"]
        events = [event["event_id"] for event in part["events"]][::-1]
        token: str | None = part["prev_batch"]
        while token is not None:
            page = (await bob.get(path("rooms", room, "messages", dir="b", limit=4, **{"from": token}))).ok()
            events += [event["event_id"] for event in page["chunk"]]
            token = page.get("end")
        all_of_it = (await alice.get(path("rooms", room, "messages", dir="b", limit=200))).ok()["chunk"]
        assert events == [event["event_id"] for event in all_of_it]
        ahead = (await bob.get(path("rooms", room, "messages", dir="f", **{"from": since}))).ok()
        assert ahead["chunk"] == []


async def test_entering_a_room_between_syncs(alice: Client, bob: Client) -> None:
    """Joined anew, joined again after leaving, in and out at once: always with the whole state, never with a seam."""
    room = await alice.create_room(preset="public_chat", name="Kitchen")
    await bob.sync()
    await bob.join(room)
    part = rooms(await bob.sync())[room]
    assert part["timeline"]["limited"] is True
    await bob.leave(room)
    await alice.set_state(room, "m.room.topic", {"topic": "while away"})
    await bob.join(room)
    answer = await bob.sync()
    assert list(answer["rooms"]) == ["join"]
    part = rooms(answer)[room]
    known = state(part) | {
        (event["type"], event["state_key"]): event["content"]
        for event in part["timeline"]["events"]
        if "state_key" in event
    }
    assert known["m.room.topic", ""] == {"topic": "while away"} and known["m.room.name", ""] == {
        "name": "Kitchen"
    }
    await bob.leave(room)
    await bob.sync()
    await bob.join(room)
    await bob.leave(room)
    left = rooms(await bob.sync(), "leave")[room]
    known = state(left) | {(e["type"], e.get("state_key")): e["content"] for e in left["timeline"]["events"]}
    assert known["m.room.name", ""] == {"name": "Kitchen"} and ("m.room.create", "") in known
    assert timeline(left)[-1] == "m.room.member"


async def test_another_name_is_no_new_room(alice: Client, bob: Client) -> None:
    """A change of one's own profile brings the member event, not the room's state again."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    await bob.sync()
    member = {"membership": "join", "displayname": "Robert"}
    await bob.set_state(room, "m.room.member", member, bob.user_id)
    part = rooms(await bob.sync())[room]
    assert [event["content"]["displayname"] for event in part["timeline"]["events"]] == ["Robert"]
    assert part["state"]["events"] == [] and part["timeline"]["limited"] is False


async def test_rooms_left(alice: Client, bob: Client) -> None:
    """In the leave section once, with what came before the leave, through gaps too, and not those of long ago."""
    room, old = [await alice.create_room(preset="public_chat", name="before") for _ in range(2)]
    await bob.join(room)
    await bob.join(old)
    await bob.leave(old)
    since = (await bob.sync())["next_batch"]
    for number in range(20):
        await alice.say(room, f"{number}")
    await alice.set_state(room, "m.room.topic", {"topic": "in time"})
    await bob.leave(room)
    await alice.set_state(room, "m.room.name", {"name": "after"})
    await alice.say(room, "after")

    left = rooms(await ask(bob, {"room": {"timeline": {"limit": 3}}}, since=since), "leave")
    assert list(left) == [room]
    assert timeline(left[room]) == ["19", "m.room.topic", "m.room.member"]
    assert left[room]["timeline"]["limited"] is True and state(left[room]) == {}
    part = rooms(await ask(bob, {"room": {"timeline": {"limit": 1}}}, since=since), "leave")[room]
    assert state(part) == {("m.room.topic", ""): {"topic": "in time"}}
    token = part["timeline"]["prev_batch"]
    page = (await bob.get(path("rooms", room, "messages", dir="b", limit=3, **{"from": token}))).ok()["chunk"]
    assert [event["content"].get("body") for event in page] == [None, "19", "18"]
    everything = rooms(await ask(bob, LEFT), "leave")
    assert set(everything) == {room, old}
    assert state(everything[room]).get(("m.room.name", ""), {"name": "before"}) == {"name": "before"}
    assert "after" not in timeline(everything[room])
    assert rooms(await ask(bob, LEFT, since=(await bob.sync())["next_batch"]), "leave") == {}
    whole = rooms(await ask(bob, LEFT, since=since, full_state="true"), "leave")[room]
    assert state(whole)["m.room.name", ""] == {"name": "before"}


@pytest.mark.parametrize("visibility", ["joined", "invited", "shared"])
@pytest.mark.parametrize("way", ["leave", "kick", "ban", "reject"])
async def test_ones_own_end_is_always_seen(alice: Client, bob: Client, visibility: str, way: str) -> None:
    """However one goes and however private the room is, the event that says so is in the leave section."""
    room = await alice.create_room(
        initial_state=[{"type": "m.room.history_visibility", "content": {"history_visibility": visibility}}]
    )
    await alice.say(room, "before bob")
    await alice.invite(room, bob)
    if way != "reject":
        await bob.join(room)
    await bob.sync()
    if way in ("leave", "reject"):
        await bob.leave(room)
    else:
        (await alice.post(path("rooms", room, way), {"user_id": bob.user_id})).ok()
    await alice.say(room, "after bob")
    for answer in (await bob.sync(), await ask(bob, LEFT)):
        part = rooms(answer, "leave")[room]
        end = part["timeline"]["events"][-1]
        assert (end["state_key"], end["content"]["membership"]) == (
            bob.user_id,
            "ban" if way == "ban" else "leave",
        )
        assert "after bob" not in timeline(part)
        if visibility != "shared" or way == "reject":
            assert "before bob" not in timeline(part)


async def test_invitations(alice: Client, bob: Client) -> None:
    """With the room's face at that time; again after being taken back; and until one decides, in each first sync."""
    room = await alice.create_room(
        name="Kitchen",
        topic="Soup",
        room_alias_name=f"i{alice.device_id.lower()}",
        initial_state=[
            {"type": "m.room.avatar", "content": {"url": "mxc://example.org/a"}},
            {"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}},
            {"type": "org.example.secret", "content": {"secret": 1}},
        ],
        creation_content={"type": "m.space"},
    )
    await bob.sync()
    await alice.invite(room, bob)
    for answer in (await bob.sync(), await ask(bob)):
        shown = rooms(answer, "invite")[room]["invite_state"]["events"]
        found = {event["type"]: event["content"] for event in shown}
        assert {
            "m.room.create",
            "m.room.join_rules",
            "m.room.encryption",
            "m.room.canonical_alias",
        } <= found.keys()
        assert found["m.room.name"] == {"name": "Kitchen"} and found["m.room.topic"]["topic"] == "Soup"
        assert found["m.room.avatar"] == {"url": "mxc://example.org/a"}
        assert found["m.room.create"]["type"] == "m.space" and "org.example.secret" not in found
    await alice.set_state(room, "m.room.name", {"name": "Cellar"})
    assert "rooms" not in await bob.sync()
    (await alice.post(path("rooms", room, "kick"), {"user_id": bob.user_id})).ok()
    assert room in rooms(await bob.sync(), "leave")
    await alice.invite(room, bob)
    shown = rooms(await bob.sync(), "invite")[room]["invite_state"]["events"]
    assert {"name": "Cellar"} in [event["content"] for event in shown]
    await alice.leave(room)
    assert room in rooms(await ask(bob), "invite")
    await bob.leave(room)
    assert list((await bob.sync())["rooms"]) == ["leave"]
    assert "rooms" not in await ask(bob)


async def test_filters(alice: Client, bob: Client) -> None:
    """Rooms, types, senders, URLs and what is not an event, wanted or not, inline or uploaded, in every section."""
    room, other = [await alice.create_room(preset="public_chat", name="n") for _ in range(2)]
    for target in (room, other):
        await bob.join(target)
    await alice.say(room, "from alice")
    await bob.say(room, "from bob")
    await alice.send(room, "org.example.a", {"url": "mxc://a/b"})
    await alice.send(room, "org.example.b", {})
    text = ["m.room.message"]
    rows: list[tuple[Json, list[str]]] = [
        ({"types": text}, ["from alice", "from bob"]),
        ({"types": text, "senders": [bob.user_id]}, ["from bob"]),
        ({"types": text, "not_senders": [bob.user_id]}, ["from alice"]),
        (
            {"types": ["m.room.mess*", "org.example.*"], "not_types": ["*.b"]},
            ["from alice", "from bob", "org.example.a"],
        ),
        ({"contains_url": True}, ["org.example.a"]),
        ({"types": ["org.*"], "contains_url": False}, ["org.example.b"]),
        ({"types": []}, []),
        ({"types": text, "limit": 1}, ["from bob"]),
        ({"not_rooms": [room]}, []),
        ({"rooms": [other], "types": text}, []),
    ]
    for wanted, expected in rows:
        part = rooms(await ask(bob, {"room": {"timeline": wanted}}))[room]
        assert timeline(part) == expected, wanted
        stored = (await bob.post(path("user", bob.user_id, "filter"), {"room": {"timeline": wanted}})).ok()[
            "filter_id"
        ]
        again = rooms((await bob.get(path("sync", filter=stored))).ok())[room]
        assert timeline(again) == expected, wanted
    assert set(rooms(await ask(bob, {"room": {"rooms": [room]}}))) == {room}
    assert rooms(await ask(bob, {"room": {"rooms": []}})) == {}
    assert set(rooms(await ask(bob, {"room": {"rooms": [room, other], "not_rooms": [room]}}))) == {other}
    part = rooms(await ask(bob, {"room": {"timeline": {"limit": 1}, "state": {"types": ["m.room.name"]}}}))[
        room
    ]
    assert list(state(part)) == [("m.room.name", "")]
    part = rooms(await ask(bob, {"room": {"timeline": {"limit": 1}, "state": {"not_types": ["m.room.*"]}}}))[
        room
    ]
    assert state(part) == {}
    quiet = {
        "presence": {"types": []},
        "account_data": {"not_types": ["*"]},
        "room": {"ephemeral": {"types": []}},
    }
    answer = await ask(bob, quiet)
    assert "presence" not in answer and "account_data" not in answer
    fed = rooms(await ask(bob, {"event_format": "federation"}))[room]["timeline"]["events"][-1]
    assert {"auth_events", "prev_events", "hashes", "signatures", "depth"} <= fed.keys()


async def test_what_sync_refuses(alice: Client, bob: Client) -> None:
    """Wrong tokens, filters, times and foreign filters are a 400; wrong tokens of access a 401."""
    mine = (await bob.post(path("user", bob.user_id, "filter"), {})).ok()["filter_id"]
    assert mine
    await check(
        alice,
        [
            ("GET", path("sync", since="nonsense"), None, 400, "M_INVALID_PARAM"),
            ("GET", path("sync", filter="{"), None, 400, "M_NOT_JSON"),
            ("GET", path("sync", filter='{"room": 5}'), None, 400, "M_BAD_JSON"),
            (
                "GET",
                path("sync", filter='{"room":{"state":{"lazy_load_members":"true"}}}'),
                None,
                400,
                "M_BAD_JSON",
            ),
            ("GET", path("sync", filter='{"room":{"timeline":{"limit":-1}}}'), None, 400, "M_INVALID_PARAM"),
            (
                "GET",
                path("sync", filter='{"room":{"timeline":{"senders":["x"]}}}'),
                None,
                400,
                "M_INVALID_PARAM",
            ),
            ("GET", path("sync", timeout="soon"), None, 400, "M_INVALID_PARAM"),
            ("GET", path("sync", full_state="perhaps"), None, 400, "M_INVALID_PARAM"),
            ("GET", path("sync", set_presence="dead"), None, 400, "M_INVALID_PARAM"),
        ],
    )
    assert (await Client(alice.server, "nope").get("sync")).status == 401
    assert (await alice.server.anonymous.get("sync")).status == 401


async def test_summaries(server: Server, alice: Client, bob: Client) -> None:
    """Counts whenever they change; heroes for rooms without a name, five at most, the gone where nobody else is."""
    room = await alice.create_room(preset="public_chat")
    assert rooms(await alice.sync())[room]["summary"] == {
        "m.heroes": [],
        "m.joined_member_count": 1,
        "m.invited_member_count": 0,
    }
    await alice.invite(room, bob)
    summary = rooms(await alice.sync())[room]["summary"]
    assert (summary["m.heroes"], summary["m.invited_member_count"]) == ([bob.user_id], 1)
    await bob.join(room)
    summary = rooms(await alice.sync())[room]["summary"]
    assert (summary["m.joined_member_count"], summary["m.invited_member_count"]) == (2, 0)
    await alice.say(room, "nothing that changes it")
    assert rooms(await alice.sync())[room]["summary"] == {}
    await bob.leave(room)
    summary = rooms(await alice.sync())[room]["summary"]
    assert (summary["m.heroes"], summary["m.joined_member_count"]) == ([bob.user_id], 1)
    others = [await server.register(f"hero{number}{alice.device_id.lower()}") for number in range(6)]
    for user in others:
        await user.join(room)
    summary = rooms(await ask(alice))[room]["summary"]
    assert len(summary["m.heroes"]) == 5 and alice.user_id not in summary["m.heroes"]
    assert set(summary["m.heroes"]) <= {user.user_id for user in others}
    await alice.set_state(room, "m.room.name", {"name": "named"})
    assert "m.heroes" not in rooms(await ask(alice))[room]["summary"]


async def test_incremental_syncs_bring_each_thing_once(alice: Client, bob: Client) -> None:
    """Tags, account data, typing and read markers come with the next sync, are in a first one, and no more."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    event = await bob.say(room, "hello")
    await alice.sync()
    mine = path("user", alice.user_id, "rooms", room)
    steps: list[tuple[Client, str, str, Any, str, str, Any]] = [
        (
            alice,
            "PUT",
            f"{mine}/tags/m.favourite",
            {"order": 0.5},
            "account_data",
            "m.tag",
            {"tags": {"m.favourite": {"order": 0.5}}},
        ),
        (alice, "DELETE", f"{mine}/tags/m.favourite", None, "account_data", "m.tag", {"tags": {}}),
        (alice, "PUT", f"{mine}/account_data/org.example", {"a": 1}, "account_data", "org.example", {"a": 1}),
        (
            alice,
            "POST",
            path("rooms", room, "read_markers"),
            {"m.fully_read": event},
            "account_data",
            "m.fully_read",
            {"event_id": event},
        ),
        (
            bob,
            "PUT",
            path("rooms", room, "typing", bob.user_id),
            {"typing": True, "timeout": 30000},
            "ephemeral",
            "m.typing",
            {"user_ids": [bob.user_id]},
        ),
        (
            bob,
            "PUT",
            path("rooms", room, "typing", bob.user_id),
            {"typing": False},
            "ephemeral",
            "m.typing",
            {"user_ids": []},
        ),
    ]
    for actor, method, target, body, where, kind, content in steps:
        (await actor.request(method, target, body)).ok()
        events = rooms(await alice.sync())[room][where]["events"]
        assert [(found["type"], found["content"]) for found in events] == [(kind, content)], kind
        again = await alice.sync()
        assert "rooms" not in again, kind
    held = {
        found["type"]: found["content"] for found in rooms(await ask(alice))[room]["account_data"]["events"]
    }
    assert held == {"m.tag": {"tags": {}}, "org.example": {"a": 1}, "m.fully_read": {"event_id": event}}


async def test_receipts(alice: Client, bob: Client, carol: Client) -> None:
    """Public ones reach all, private ones their user alone; threaded and unthreaded ones of an event are both told."""
    room = await alice.create_room(preset="public_chat")
    for user in (bob, carol):
        await user.join(room)
    root = await alice.say(room, "root")
    reply = await alice.say(room, "reply", **{"m.relates_to": {"rel_type": "m.thread", "event_id": root}})
    main = await alice.say(room, "main")
    for user in (alice, bob, carol):
        await user.sync()

    async def put(event: str, kind: str = "m.read", **body: Any) -> None:
        (await bob.post(path("rooms", room, "receipt", kind, event), body)).ok()

    def found(answer: Json) -> list[tuple[str, str, str | None]]:
        told = []
        for event in rooms(answer).get(room, {"ephemeral": {"events": []}})["ephemeral"]["events"]:
            for event_id, kinds in event["content"].items() if event["type"] == "m.receipt" else ():
                for kind, users in kinds.items():
                    told += (
                        [(event_id, kind, users[bob.user_id].get("thread_id"))]
                        if bob.user_id in users
                        else []
                    )
        return told

    await put(root)
    assert found(await alice.sync()) == [(root, "m.read", None)]
    await put(main, thread_id="main")
    await put(reply, thread_id=root)
    assert sorted(found(await alice.sync())) == sorted([(main, "m.read", "main"), (reply, "m.read", root)])
    await put(main)
    told = found(await carol.sync())
    assert told[0][2] is None, "what is of no thread comes first"
    assert sorted(told, key=str) == sorted(
        [(main, "m.read", None), (main, "m.read", "main"), (reply, "m.read", root)], key=str
    )
    assert sorted(found(await ask(carol)), key=str) == sorted(told, key=str)
    await alice.sync()
    secret = await alice.say(room, "secretly read")
    await alice.sync()
    await put(secret, "m.read.private")
    assert found(await alice.sync()) == [] and (secret, "m.read.private", None) not in found(await ask(alice))
    assert (secret, "m.read.private", None) in found(await ask(bob))


async def test_presence_of_who_meets(alice: Client, bob: Client, carol: Client) -> None:
    """Who comes to share a room is told of the other; a stranger of nobody; oneself of oneself."""
    await carol.sync()
    (
        await bob.put(path("presence", bob.user_id, "status"), {"presence": "online", "status_msg": "here"})
    ).ok()
    own = {event["sender"]: event["content"] for event in (await ask(bob))["presence"]["events"]}
    assert own[bob.user_id]["presence"] == "online" and own[bob.user_id]["status_msg"] == "here"
    room = await alice.create_room(preset="public_chat")
    await alice.sync()
    await bob.join(room)
    seen = {event["sender"]: event["content"] for event in (await alice.sync())["presence"]["events"]}
    assert seen[bob.user_id]["status_msg"] == "here"
    seen = {event["sender"]: event["content"] for event in (await ask(alice))["presence"]["events"]}
    assert bob.user_id in seen
    assert bob.user_id not in {
        e["sender"] for e in (await carol.sync()).get("presence", {}).get("events", [])
    }
    assert (await carol.get(path("presence", bob.user_id, "status"))).status == 403


async def test_news_ends_the_wait(alice: Client, bob: Client) -> None:
    """Each kind of change of a room or a membership wakes who waits, and has it in the answer."""
    room = await alice.create_room()
    await bob.sync()

    async def woken(change: Any) -> Json:
        waiting = asyncio.create_task(bob.sync(timeout_ms=600_000, set_presence="offline"))
        for _ in range(50):
            await asyncio.sleep(0)
        assert not waiting.done()
        await change
        return await asyncio.wait_for(waiting, 60)

    assert room in rooms(await woken(alice.invite(room, bob)), "invite")
    assert room in rooms(await woken(bob.join(room)))
    assert timeline(rooms(await woken(alice.say(room, "hi")))[room]) == ["hi"]
    assert room in rooms(await woken(alice.set_state(room, "org.example", {})))
    kick = path("rooms", room, "kick")
    assert room in rooms(await woken(alice.post(kick, {"user_id": bob.user_id})), "leave")
    typing = asyncio.create_task(bob.sync(timeout_ms=300, set_presence="offline"))
    await alice.say(room, "not for bob")
    assert "rooms" not in await typing


async def test_full_state(alice: Client, bob: Client) -> None:
    """All state of all rooms joined, whatever happened; the timeline only what is new; no waiting."""
    room, quiet = [await alice.create_room(preset="public_chat", name="n") for _ in range(2)]
    for target in (room, quiet):
        await bob.join(target)
    since = (await bob.sync())["next_batch"]
    await alice.say(room, "new")
    await alice.set_state(room, "m.room.topic", {"topic": "new"})
    answer = rooms(await ask(bob, since=since, full_state="true", timeout=10_000))
    assert set(answer) == {room, quiet}
    assert timeline(answer[room]) == ["new", "m.room.topic"] and timeline(answer[quiet]) == []
    for part in answer.values():
        assert state(part)["m.room.name", ""] == {"name": "n"} and ("m.room.create", "") in state(part)
    assert ("m.room.topic", "") not in state(answer[room])
