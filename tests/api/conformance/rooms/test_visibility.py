"""Who sees which event, through every endpoint that shows events (client-server API, Room History Visibility)."""

import asyncio
from typing import Any

import orjson
import pytest

from tests.api.conformance.table import found
from tests.support.server import Client, Server, path

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORDS = ["zero", "one", "two", "three", "four"]
# What bob sees while he is in the room, after he left, and after he came back.
SEEN = {
    "world_readable": ("012", "01234", "01234"),
    "shared": ("012", "012", "01234"),
    "invited": ("12", "12", "124"),
    "joined": ("2", "2", "24"),
}
EVERYTHING = orjson.dumps({"room": {"include_leave": True, "timeline": {"limit": 100}}}).decode()


class Story:
    """A room with one message at each stage of bob's being there."""

    def __init__(self, alice: Client, room: str) -> None:
        self.alice = alice
        self.room = room
        self.events: list[str] = []

    async def say(self) -> None:
        """The message of the next stage, in a thread under the first one."""
        word = WORDS[len(self.events)]
        relation = {"rel_type": "m.thread", "event_id": self.events[0]} if self.events else None
        extra = {} if relation is None else {"m.relates_to": relation}
        self.events.append(await self.alice.say(self.room, f"{word} common", **extra))

    def _told(self, events: list[Any]) -> str:
        places = {event_id: str(place) for place, event_id in enumerate(self.events)}
        return "".join(sorted(places[event["event_id"]] for event in events if event["event_id"] in places))

    async def seen_by(self, client: Client) -> dict[str, str]:
        """What each endpoint shows of the messages."""
        room, shown = self.room, {}
        for way in ("b", "f"):
            page = await client.get(path("rooms", room, "messages", dir=way, limit=100))
            shown[f"messages {way}"] = self._told(page.json.get("chunk", []))
        one = [await client.get(path("rooms", room, "event", event_id)) for event_id in self.events]
        assert {answer.status for answer in one} <= {200, 404}
        shown["event"] = self._told([answer.json for answer in one if answer.status == 200])
        around = [
            await client.get(path("rooms", room, "context", event_id, limit=100)) for event_id in self.events
        ]
        assert {answer.status for answer in around} <= {200, 403, 404}
        shown["context"] = self._told([answer.json["event"] for answer in around if answer.status == 200])
        for answer in around:
            if answer.status == 200:
                body = answer.json
                beside = [*body["events_before"], body["event"], *body["events_after"]]
                shown["around"] = self._told(beside)
        sections = (await client.get(path("sync", filter=EVERYTHING))).ok().get("rooms", {})
        part = sections.get("join", sections.get("leave", {})).get(room)
        if part is not None:
            shown["sync"] = self._told(part["timeline"]["events"])
        return shown

    async def related_seen_by(self, client: Client) -> tuple[str, str]:
        """What /relations and /search show of the messages."""
        target = path("rooms", self.room, "relations", self.events[0], limit=50)
        related = await client.request("GET", f"/_matrix/client/v1/{target}")
        search = {"search_categories": {"room_events": {"search_term": "common", "filter": {"limit": 100}}}}
        results = (await client.post("search", search)).ok()["search_categories"]["room_events"]["results"]
        return (
            self._told(related.json.get("chunk", [])),
            self._told([one["result"] for one in results if one["result"]["room_id"] == self.room]),
        )


@pytest.mark.parametrize("visibility", SEEN)
async def test_what_is_seen(alice: Client, bob: Client, carol: Client, visibility: str) -> None:
    """Before, during and after one's time in a room, and after coming back; by a stranger; the same everywhere."""
    room = await alice.create_room(
        preset="public_chat",
        initial_state=[{"type": "m.room.history_visibility", "content": {"history_visibility": visibility}}],
    )
    story = Story(alice, room)
    await story.say()
    await alice.invite(room, bob)
    await story.say()
    is_open = visibility == "world_readable"
    for stranger in (bob, carol):
        shown = await story.seen_by(stranger)
        # Who is invited may see single events from then on, but not yet page through them.
        alone = "1" if visibility == "invited" and stranger is bob else ""
        assert shown.pop("event") == ("01" if is_open else alone)
        assert set(shown.values()) == ({"01"} if is_open else {""}), shown
    stages = iter(SEEN[visibility])
    await bob.join(room)
    await story.say()
    expected = next(stages)
    shown = await story.seen_by(bob)
    assert set(shown.values()) == {expected}, shown
    related, searched = await story.related_seen_by(bob)
    assert searched == expected and related == (expected.replace("0", "") if "0" in expected else "")
    await bob.leave(room)
    await story.say()
    expected = next(stages)
    left = await story.seen_by(bob)
    # What comes after one's leave is never in /sync; for /messages one is like any stranger where all may read.
    assert left.pop("sync") == expected.replace("3", "").replace("4", "")
    assert set(left.values()) == {expected.replace("4", "")}, left
    await bob.join(room)
    await story.say()
    expected = next(stages)
    shown = await story.seen_by(bob)
    assert set(shown.values()) == {expected}, shown
    shown = await story.seen_by(carol)
    assert set(shown.values()) == ({"01234"} if is_open else {""}), shown
    assert (await carol.get(path("rooms", room, "messages", dir="b"))).status == (200 if is_open else 403)


async def test_a_change_holds_from_then_on(alice: Client, bob: Client) -> None:
    """Each event goes by the setting at its time; the change itself is seen if either setting shows it."""
    room = await alice.create_room(preset="public_chat")
    seen = [await alice.say(room, "shared")]
    kind = "m.room.history_visibility"
    seen.append(await alice.set_state(room, kind, {"history_visibility": "joined"}))
    hidden = [await alice.say(room, "joined")]
    seen.append(await alice.set_state(room, kind, {"history_visibility": "world_readable"}))
    seen.append(await alice.say(room, "for all"))
    seen.append(await alice.set_state(room, kind, {"history_visibility": "joined"}))
    hidden.append(await alice.say(room, "joined again"))
    hidden.append(await alice.set_state(room, kind, {"history_visibility": "nonsense"}))
    seen.append(await alice.say(room, "as if shared"))
    await bob.join(room)
    events = (await bob.get(path("rooms", room, "messages", dir="b", limit=50))).ok()["chunk"]
    ids = [event["event_id"] for event in events]
    assert [event_id for event_id in seen if event_id not in ids] == []
    assert hidden[0] not in ids and hidden[1] not in ids


async def test_strangers_look_only_into_open_rooms(alice: Client, bob: Client) -> None:
    """State, members, aliases and messages of a world readable room are open to any user, writing is not."""
    kind = {"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}}
    room = await alice.create_room(initial_state=[kind], name="open")
    event = await alice.say(room, "hello")
    for target in (
        "state",
        "state/m.room.name",
        "members",
        "aliases",
        "messages?dir=b",
        f"context/{event}",
        f"event/{event}",
    ):
        assert (await bob.get(f"{path('rooms', room)}/{target}")).status == 200, target
    assert (await bob.get(path("rooms", room, "joined_members"))).status == 403
    assert found(await bob.put(path("rooms", room, "send", "m.room.message", "x"), {})) == (
        403,
        "M_FORBIDDEN",
    )
    assert found(await bob.post(path("rooms", room, "receipt", "m.read", event))) == (403, "M_FORBIDDEN")
    assert found(await bob.put(path("rooms", room, "typing", bob.user_id), {"typing": True})) == (
        403,
        "M_FORBIDDEN",
    )
    await alice.set_state(room, kind["type"], {"history_visibility": "shared"})
    assert found(await bob.get(path("rooms", room, "state"))) == (403, "M_FORBIDDEN")
    assert (await bob.get(path("rooms", room, "event", event))).status == 200, (
        "it was sent while all could read"
    )
    later = await alice.say(room, "closed")
    assert found(await bob.get(path("rooms", room, "event", later))) == (404, "M_NOT_FOUND")


async def test_redacted_names_are_gone_everywhere(alice: Client, bob: Client) -> None:
    """A name, topic or display name that was redacted is in no list, summary, tree, member list or sync."""
    room = await alice.create_room(preset="public_chat", visibility="public", topic="SECRET topic")
    name = await alice.set_state(room, "m.room.name", {"name": "SECRET name"})
    topic = (await alice.get(path("rooms", room, "state", "m.room.topic", "", format="event"))).ok()[
        "event_id"
    ]
    await bob.join(room)
    await bob.say(room, "hello")
    member = await bob.set_state(
        room, "m.room.member", {"membership": "join", "displayname": "SECRET bob"}, bob.user_id
    )
    lazy = orjson.dumps({"room": {"state": {"lazy_load_members": True}, "timeline": {"limit": 1}}}).decode()
    await alice.sync(filter=lazy)
    await bob.say(room, "so that bob is loaded")
    await alice.sync(filter=lazy)
    for event_id in (name, topic, member):
        (await alice.put(path("rooms", room, "redact", event_id, event_id))).ok()
    for target in (
        "publicRooms?limit=100",
        f"/_matrix/client/v1/room_summary/{room}",
        f"/_matrix/client/v1/rooms/{room}/hierarchy",
        path("rooms", room, "joined_members"),
        path("rooms", room, "members"),
        path("rooms", room, "state"),
        path("rooms", room, "messages", dir="b", limit=100),
        path("sync", filter=lazy),
        "sync",
    ):
        body = (await alice.get(target)).body
        assert b"SECRET" not in body, target
    await bob.say(room, "again")
    assert b"SECRET" not in orjson.dumps(await alice.sync(filter=lazy))
    listed = (await alice.post("publicRooms", {"filter": {"generic_search_term": "SECRET"}})).ok()
    assert listed["chunk"] == []


async def test_no_leak_at_the_moment_of_leaving(alice: Client, bob: Client) -> None:
    """Messages that are sent while one is thrown out are seen if they came before, never if after."""
    for _ in range(5):
        room = await alice.create_room(preset="public_chat")
        await bob.join(room)
        await bob.sync()
        kick = alice.post(path("rooms", room, "kick"), {"user_id": bob.user_id})
        await asyncio.gather(
            *(alice.say(room, f"{n}") for n in range(5)), kick, *(alice.say(room, f"{n}") for n in range(5))
        )
        order = (await alice.get(path("rooms", room, "messages", dir="f", limit=100))).ok()["chunk"]
        ids = [event["event_id"] for event in order]
        end = max(place for place, event in enumerate(order) if event.get("state_key") == bob.user_id)
        events = (await bob.sync())["rooms"]["leave"][room]["timeline"]["events"]
        assert [event["event_id"] for event in events] == ids[end + 1 - len(events) : end + 1]
        assert (await bob.sync()).get("rooms") is None


async def test_erased_users(server: Server, alice: Client, bob: Client, carol: Client) -> None:
    """What an erased user said stays for who was there, and is empty for who comes later, everywhere."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    said = await bob.say(room, "SECRET words")
    auth = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": bob.user_id},
        "password": "correct horse battery",
    }
    (await bob.post("account/deactivate", {"auth": auth, "erase": True})).ok()
    await carol.join(room)
    assert (await alice.get(path("rooms", room, "event", said))).ok()["content"]["body"] == "SECRET words"
    big = orjson.dumps({"room": {"timeline": {"limit": 50}}}).decode()
    for target in (
        path("rooms", room, "event", said),
        path("rooms", room, "context", said),
        path("rooms", room, "messages", dir="b", limit=100),
        path("sync", filter=big),
    ):
        answer = await carol.get(target)
        assert said.encode() in answer.body and b"SECRET" not in answer.body, target
    search = {"search_categories": {"room_events": {"search_term": "SECRET"}}}
    assert b"SECRET words" not in (await carol.post("search", search)).body
