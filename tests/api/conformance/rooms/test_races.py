"""Many clients at the same moment: nothing is lost, doubled, out of order or half done."""

import asyncio
from typing import Any

import orjson
import pytest

from tests.support.server import Client, Server, path

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("limit", [2, 100])
async def test_who_keeps_syncing_misses_nothing(server: Server, alice: Client, limit: int) -> None:
    """While others write at full speed, syncs and the gaps filled by /messages are the room, each event once."""
    room = await alice.create_room(preset="public_chat")
    writers = [await server.register(f"w{number}{alice.device_id.lower()}") for number in range(3)]
    readers = [await server.register(f"r{number}{alice.device_id.lower()}") for number in range(2)]
    for user in (*writers, *readers):
        await user.join(room)
    wanted = orjson.dumps({"room": {"timeline": {"limit": limit}}}).decode()
    end = asyncio.Event()

    async def write(user: Client) -> None:
        for number in range(25):
            sent = await user.say(room, f"{number}")
            if number % 8 == 0:
                (await user.put(path("rooms", room, "redact", sent, f"r{number}"))).ok()

    async def read(user: Client) -> list[str]:
        seen: list[str] = []
        await user.sync(filter=wanted, set_presence="offline")
        while True:
            is_last = end.is_set()
            before = user.since
            answer = await user.sync(
                filter=wanted, timeout_ms=0 if is_last else 2_000, set_presence="offline"
            )
            part = answer.get("rooms", {}).get("join", {}).get(room)
            if part is not None:
                fresh = [event["event_id"] for event in part["timeline"]["events"]]
                token: str | None = part["timeline"]["prev_batch"] if part["timeline"]["limited"] else None
                while token is not None:
                    query: dict[str, Any] = {"dir": "b", "from": token, "to": before, "limit": 10}
                    page = (await user.get(path("rooms", room, "messages", **query))).ok()
                    fresh = [event["event_id"] for event in page["chunk"]][::-1] + fresh
                    token = page.get("end") if page["chunk"] else None
                seen += fresh
            elif is_last:
                return seen

    reading = [asyncio.create_task(read(user)) for user in readers]
    await asyncio.sleep(0)
    await alice.say(room, "start")
    await asyncio.gather(*(write(user) for user in writers))
    last = await alice.say(room, "end")
    end.set()
    results = await asyncio.gather(*reading)
    whole = (await alice.get(path("rooms", room, "messages", dir="f", limit=1000))).ok()["chunk"]
    order = [event["event_id"] for event in whole]
    for seen in results:
        assert seen[-1] == last and len(seen) == len(set(seen))
        assert seen == order[len(order) - len(seen) :]


async def test_one_alias_for_many(alice: Client, bob: Client) -> None:
    """Of many rooms with one alias one is made, and of the others nothing is left."""
    name = f"race{alice.device_id.lower()}"
    makers = [alice, bob] * 5
    answers = await asyncio.gather(
        *(user.post("createRoom", {"room_alias_name": name, "visibility": "public"}) for user in makers)
    )
    made = [answer.json["room_id"] for answer in answers if answer.status == 200]
    assert len(made) == 1
    assert {answer.json["errcode"] for answer in answers if answer.status != 200} == {"M_ROOM_IN_USE"}
    for user in (alice, bob):
        assert set((await user.get("joined_rooms")).ok()["joined_rooms"]) <= set(made)
    listed = [room["room_id"] for room in (await alice.get("publicRooms?limit=500")).ok()["chunk"]]
    assert listed.count(made[0]) == 1
    alias = f"#other{name}:example.org"
    rooms = [await alice.create_room() for _ in range(5)]
    tries = await asyncio.gather(
        *(alice.put(path("directory", "room", alias), {"room_id": room}) for room in rooms)
    )
    assert sorted(answer.status for answer in tries) == [200, 409, 409, 409, 409]


async def test_crowds_come_and_go(server: Server, alice: Client) -> None:
    """Thirty join, half of them leave and some are banned, all at once: every list says the same in the end."""
    room = await alice.create_room(preset="public_chat")
    crowd = [await server.register(f"c{number}{alice.device_id.lower()}") for number in range(30)]
    await asyncio.gather(*(user.post(path("join", room)) for user in crowd))
    leaving, banned = crowd[:10], crowd[10:15]
    answers = await asyncio.gather(
        *(user.post(path("rooms", room, "leave")) for user in leaving),
        *(alice.post(path("rooms", room, "ban"), {"user_id": user.user_id}) for user in banned),
        *(user.post(path("rooms", room, "leave")) for user in banned),
        *(user.post(path("join", room)) for user in crowd[15:]),
    )
    assert {answer.status for answer in answers} <= {200, 403}
    expected = {alice.user_id, *(user.user_id for user in crowd[15:])}
    joined = set((await alice.get(path("rooms", room, "joined_members"))).ok()["joined"])
    members = (await alice.get(path("rooms", room, "members", membership="join"))).ok()["chunk"]
    state = (await alice.get(path("rooms", room, "state"))).ok()
    assert joined == {event["state_key"] for event in members} == expected
    in_state = {event["state_key"] for event in state if event["content"].get("membership") == "join"}
    assert in_state == expected
    part = (await alice.get("sync")).ok()["rooms"]["join"][room]
    assert part["summary"]["m.joined_member_count"] == len(expected)
    bans = {event["state_key"] for event in state if event["content"].get("membership") == "ban"}
    assert bans == {user.user_id for user in banned}


async def test_receipts_at_once_stand_at_the_newest(alice: Client, bob: Client) -> None:
    """However they are sent, the receipt and the read marker are in the end those of the newest event."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    await alice.sync()
    events = [await alice.say(room, f"{number}") for number in range(12)]
    await asyncio.gather(
        *(bob.post(path("rooms", room, "receipt", "m.read", event)) for event in events[::-1]),
        *(bob.post(path("rooms", room, "read_markers"), {"m.fully_read": event}) for event in events),
    )
    for answer in (await alice.sync(), (await alice.get("sync")).ok()):
        told = answer["rooms"]["join"][room]["ephemeral"]["events"]
        receipts = {
            event_id for event in told if event["type"] == "m.receipt" for event_id in event["content"]
        }
        assert receipts == {events[-1]}
    marker = (await bob.get(path("user", bob.user_id, "rooms", room, "account_data", "m.fully_read"))).ok()
    assert marker == {"event_id": events[-1]}
    unread = (await bob.get("sync")).ok()["rooms"]["join"][room]["unread_notifications"]
    assert unread == {"notification_count": 0, "highlight_count": 0}


async def test_changes_of_power_and_what_they_forbid(alice: Client, bob: Client) -> None:
    """While bob's power is given and taken, each of his changes was allowed when it happened."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    levels = (await alice.state(room, "m.room.power_levels")).ok()
    given = levels | {"users": levels["users"] | {bob.user_id: 50}}
    kind = path("rooms", room, "state", "m.room.power_levels")
    answers = await asyncio.gather(
        *(alice.put(kind, given if number % 2 else levels) for number in range(6)),
        *(bob.put(path("rooms", room, "state", "m.room.topic"), {"topic": f"{n}"}) for n in range(20)),
        *(alice.put(kind, given if number % 2 else levels) for number in range(6)),
    )
    assert {answer.status for answer in answers} <= {200, 403}
    power = 0
    for event in (await alice.get(path("rooms", room, "messages", dir="f", limit=200))).ok()["chunk"]:
        if event["type"] == "m.room.power_levels":
            power = event["content"]["users"].get(bob.user_id, 0)
        elif event["type"] == "m.room.topic":
            assert power == 50


async def test_a_reaction_counts_once(alice: Client, bob: Client) -> None:
    """Of the same reaction, sent many times at once by one user, one is taken; that of another is their own."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    root = await alice.say(room, "root")
    reaction = {"m.relates_to": {"rel_type": "m.annotation", "event_id": root, "key": "+1"}}
    answers = await asyncio.gather(
        *(
            user.put(path("rooms", room, "send", "m.reaction", f"{n}"), reaction)
            for n in range(5)
            for user in (alice, bob)
        )
    )
    refused = [answer.json["errcode"] for answer in answers if answer.status == 400]
    assert refused == ["M_DUPLICATE_ANNOTATION"] * 8
    sent = next(answer.json["event_id"] for answer in answers if answer.status == 200)
    sender = (
        alice
        if (await alice.get(path("rooms", room, "event", sent))).ok()["sender"] == alice.user_id
        else bob
    )
    (await sender.put(path("rooms", room, "redact", sent, "away"))).ok()
    await sender.send(room, "m.reaction", reaction)
