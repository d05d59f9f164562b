"""A server through which a user of ours wants to join a room, and which lies: an error for the user, and no room."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from chamberlain.federation.transport import TransportAnswer
from chamberlain.matrix import canonical_json
from chamberlain.matrix.signing import SigningKey
from tests.support.asgi import Answer
from tests.support.peer import Asked, Peer
from tests.support.peer_room import PeerRoom, forge, resign
from tests.support.server import Client, Server, path
from tests.support.tables import select
from tests.support.wire import Wire

STRANGER = SigningKey(b"s" * 32, "peer")
LEFT = ("rooms", "memberships", "room_summaries", "state_rows")


class Trap:
    """A room of `evil.test` that alice of `near.test` wants to join."""

    def __init__(self, near: Server, alice: Client, peer: Peer, room: PeerRoom) -> None:
        self.near = near
        self.alice = alice
        self.peer = peer
        self.room = room

    async def join(self) -> Answer:
        """Have alice try."""
        return await self.alice.post(f"{path('join', self.room.room_id)}?server_name=evil.test&via=evil.test")

    async def counts(self) -> dict[str, int]:
        """The rows of the tables that say which rooms there are, and of events with a place in one."""
        found = {name: (await select(self.near, f"SELECT count(*) FROM {name}"))[0][0] for name in LEFT}
        placed = await select(self.near, "SELECT count(*) FROM events WHERE position IS NOT NULL")
        return found | {"placed": placed[0][0]}

    async def fails(self) -> Answer:
        """Have alice try in vain: a clear error, nothing written, and the server goes on."""
        before = await self.counts()
        answer = await self.join()
        assert answer.status in (400, 403, 404, 502, 504), f"{answer.status}: {answer.body!r}"
        assert answer.json["errcode"].startswith("M_")
        assert await self.counts() == before
        assert (await self.alice.get("joined_rooms")).ok() == {"joined_rooms": []}
        assert not (await self.alice.sync()).get("rooms", {}).get("join")
        own = await self.alice.create_room()
        await self.alice.say(own, "alive")
        await self.alice.leave(own)
        return answer


@pytest.fixture
async def trap(wire: Wire, tmp_path: Path) -> Trap:
    """A trap with a room of version 10."""
    return await lay(wire, tmp_path, "10")


async def lay(wire: Wire, folder: Path, version: str) -> Trap:
    """A trap with a room of this version."""
    near = await wire.add("near.test", folder)
    peer = Peer.on(wire, "evil.test")
    room = peer.room(version).furnish()
    room.member(peer.user("mallory"), "join")
    return Trap(near, await near.register("alice"), peer, room)


def raw(body: bytes, status: int = 200) -> TransportAnswer:
    """An answer of these bytes."""
    return TransportAnswer(status, {"content-type": "application/json"}, body)


NONSENSE: dict[str, Any] = {
    "nothing": raw(b""),
    "no JSON": raw(b"<html>"),
    "a list": [],
    "null": None,
    "empty": {},
    "wrong types": {"room_version": 10, "event": [], "state": {}, "auth_chain": "x"},
    "wrong items": {"room_version": "10", "event": "x", "state": ["x"], "auth_chain": [1]},
    "deep": raw(b'{"event":' + b"[" * 100_000),
    "500": raw(b"{}", 500),
    "403": raw(b'{"errcode":"M_FORBIDDEN","error":"no"}', 403),
    "an errcode that is none": raw(b'{"errcode":5,"error":{}}', 400),
    "no UTF-8": raw(b'{"room_version":"\xff"}'),
    "a redirect": TransportAnswer(302, {"location": "http://127.0.0.1/"}, b""),
}


@pytest.mark.parametrize("name", ["make_join", "send_join"])
@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE)
async def test_nonsense_for_an_answer(trap: Trap, name: str, answer: Any) -> None:
    """It is no room."""
    trap.peer.lies[name] = lambda asked, honest: answer

    await trap.fails()


async def test_an_honest_answer(trap: Trap) -> None:
    """The trap is a room where nobody lies."""
    assert (await trap.join()).status == 200


# ---------------------------------------------------------------------------------------------- make_join

TEMPLATES: dict[str, Callable[[Any, Trap], Any]] = {
    "unknown room version": lambda told, trap: told | {"room_version": "org.example.99"},
    "room version of a wrong type": lambda told, trap: told | {"room_version": ["10"]},
    "no event": lambda told, trap: {"room_version": "10"},
    "another type": lambda told, trap: changed(told, type="m.room.power_levels", state_key=""),
    "another sender": lambda told, trap: changed(told, sender="@root:near.test"),
    "another member": lambda told, trap: changed(told, state_key="@root:near.test"),
    "a sender elsewhere": lambda told, trap: changed(told, sender=trap.peer.user()),
    "another room": lambda told, trap: changed(told, room_id="!other:evil.test"),
    "another membership": lambda told, trap: changed(told, content={"membership": "ban"}),
    "content of a wrong type": lambda told, trap: changed(told, content=[]),
    "too many predecessors": lambda told, trap: changed(told, prev_events=[f"${n}" for n in range(1000)]),
    "too many auth events": lambda told, trap: changed(told, auth_events=[f"${n}" for n in range(1000)]),
    "predecessors of a wrong type": lambda told, trap: changed(told, prev_events={}),
    "auth events of a wrong type": lambda told, trap: changed(told, auth_events=[{}]),
    "auth events that nobody has": lambda told, trap: changed(told, auth_events=["$" + "n" * 43]),
    "a negative depth": lambda told, trap: changed(told, depth=-5),
    "a depth of a wrong type": lambda told, trap: changed(told, depth="deep"),
    "a depth beyond all": lambda told, trap: changed(told, depth=2**63),
}


def changed(told: Any, **fields: Any) -> Any:
    """The template with other fields."""
    return told | {"event": told["event"] | fields}


@pytest.mark.parametrize("change", TEMPLATES.values(), ids=TEMPLATES)
async def test_templates_that_are_no_join(trap: Trap, change: Callable[[Any, Trap], Any]) -> None:
    """We never sign but a join of our user into the room that was meant; at worst that one comes to pass."""
    trap.peer.lies["make_join"] = lambda asked, honest: change(honest, trap)

    answer = await trap.join()

    for asked in trap.peer.asked:
        if asked.name == "send_join":
            body = asked.body
            assert (body["type"], body["sender"], body["state_key"], body["room_id"]) == (
                "m.room.member", "@alice:near.test", "@alice:near.test", trap.room.room_id
            )  # fmt: skip
            assert body["content"]["membership"] == "join"
    if answer.status != 200:
        trap.peer.lies.clear()
        trap.peer.lies["make_join"] = lambda asked, honest: change(honest, trap)
        await trap.fails()


async def test_a_version_that_the_room_does_not_have(trap: Trap) -> None:
    """What the server says of the version counts for nothing where the create event says something else."""
    trap.peer.lies["make_join"] = lambda asked, honest: honest | {"room_version": "9"}

    await trap.fails()


async def test_what_the_template_slips_into_the_join(trap: Trap) -> None:
    """Of the content only what a join needs is signed."""
    content = {"membership": "join", "displayname": "I am a fool", "org.example.contract": "signed"}
    trap.peer.lies["make_join"] = lambda asked, honest: changed(honest, content=content)

    await trap.join()

    (sent,) = [asked.body for asked in trap.peer.asked if asked.name == "send_join"]
    assert "org.example.contract" not in sent["content"]
    assert sent["content"].get("displayname") != "I am a fool"


# ---------------------------------------------------------------------------------------------- send_join


def pdus(room: PeerRoom, *event_ids: str) -> list[Any]:
    """Events as dicts."""
    return [canonical_json.decode_lenient(room.events[found].pdu) for found in event_ids]  # type: ignore[index]


def whole(trap: Trap, **changes: Any) -> dict[str, Any]:
    """An answer out of the room as it is, alice left out, as dicts, with changes."""
    state = [found for key, found in trap.room.state.items() if key != ("m.room.member", "@alice:near.test")]
    return {
        "origin": "evil.test",
        "state": pdus(trap.room, *state),
        "auth_chain": pdus(trap.room, *sorted(trap.room.auth_chain(state))),
    } | changes


def without(trap: Trap, kind: str) -> list[Any]:
    """The state without the events of a type."""
    return [pdu for pdu in whole(trap)["state"] if pdu["type"] != kind]


def twice(trap: Trap) -> dict[str, Any]:
    """The join rules of now, and those of before."""
    before = trap.room.state[("m.room.join_rules", "")]
    trap.room.send("m.room.join_rules", trap.peer.user(), {"join_rule": "public"}, "")
    answer = whole(trap)
    return answer | {"state": [*answer["state"], *pdus(trap.room, before)]}


def of_another_room(trap: Trap) -> dict[str, Any]:
    """The state of a room that is not the one asked for."""
    other = trap.peer.room("10").furnish()
    return whole(trap) | {
        "state": pdus(other, *other.state.values()),
        "auth_chain": pdus(other, *other.events),
    }


def signed_by_a_stranger(trap: Trap) -> dict[str, Any]:
    """No event is signed with the key of its server."""
    version = trap.room.version
    answer = whole(trap)
    return answer | {
        name: [orjson.loads(resign(version, pdu, "evil.test", STRANGER)) for pdu in answer[name]]
        for name in ("state", "auth_chain")
    }


def a_forged_create_event(trap: Trap) -> dict[str, Any]:
    """The create event says that another made the room."""
    answer = whole(trap)
    (create,) = [pdu for pdu in answer["state"] if pdu["type"] == "m.room.create"]
    false = forge(trap.room.version, create | {"sender": "@root:near.test"}, "evil.test", trap.peer.key)
    return answer | {"state": [*without(trap, "m.room.create"), orjson.loads(false)]}


def a_version_that_was_not_said(trap: Trap) -> dict[str, Any]:
    """The create event is of another room version than /make_join said."""
    answer = whole(trap)
    (create,) = [pdu for pdu in answer["state"] if pdu["type"] == "m.room.create"]
    fields = create | {"content": create["content"] | {"room_version": "6"}}
    false = forge(trap.room.version, fields, "evil.test", trap.peer.key)
    return answer | {"state": [*without(trap, "m.room.create"), orjson.loads(false)], "auth_chain": []}


def banned(trap: Trap) -> dict[str, Any]:
    """In the state that we are told alice is banned."""
    ban = trap.room.member("@alice:near.test", "ban", trap.peer.user())
    answer = whole(trap)
    return answer | {"state": [*answer["state"], *pdus(trap.room, ban.event_id)]}


def invite_only(trap: Trap) -> dict[str, Any]:
    """In the state that we are told nobody may join uninvited."""
    trap.room.send("m.room.join_rules", trap.peer.user(), {"join_rule": "invite"}, "")
    return whole(trap)


def messages_for_state(trap: Trap) -> dict[str, Any]:
    """Events without a state key."""
    said = [trap.room.say(trap.peer.user(), "x").event_id for _ in range(3)]
    return whole(trap, state=pdus(trap.room, *said))


STATES: dict[str, Callable[[Trap], Any]] = {
    "no state": lambda trap: whole(trap, state=[]),
    "nothing at all": lambda trap: whole(trap, state=[], auth_chain=[]),
    "no create event": lambda trap: whole(trap, state=without(trap, "m.room.create"), auth_chain=[]),
    "two events for a key": twice,
    "another room": of_another_room,
    "bad signatures": signed_by_a_stranger,
    "a forged create event": a_forged_create_event,
    "another room version": a_version_that_was_not_said,
    "a ban": banned,
    "an invite-only room": invite_only,
    "messages for state": messages_for_state,
}


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
async def test_states_that_are_none(trap: Trap, state: Callable[[Trap], Any]) -> None:
    """Or in which alice may not join."""
    trap.peer.lies["send_join"] = lambda asked, honest: state(trap)

    await trap.fails()


async def test_what_is_not_allowed_in_the_state_is_left_out(trap: Trap) -> None:
    """Events that their auth events do not allow are no part of the room that we believe in."""
    taken = trap.room.build("m.room.topic", trap.peer.user("mallory"), {"topic": "taken by mallory"}, "")

    def lie(asked: Asked, honest: Any) -> Any:
        return honest | {"state": [*honest["state"], orjson.Fragment(taken.pdu)]}

    trap.peer.lies["send_join"] = lie

    assert (await trap.join()).status == 200
    assert (await trap.alice.state(trap.room.room_id, "m.room.topic")).status == 404


async def test_events_of_others_that_are_not_signed_by_them(wire: Wire, trap: Trap) -> None:
    """The peer cannot put words into the mouth of other servers."""
    Peer.on(wire, "honest.test")
    trap.room.keys = {**trap.peer.keys, "honest.test": STRANGER}
    trap.room.member("@victim:honest.test", "join")

    assert (await trap.join()).status == 200
    answer = await trap.alice.state(trap.room.room_id, "m.room.member", "@victim:honest.test")
    assert answer.status == 404


async def test_the_join_comes_back_as_another(trap: Trap) -> None:
    """The event in the answer is not ours: our own counts, or none."""

    def lie(asked: Asked, honest: Any) -> Any:
        other = orjson.loads(orjson.dumps(asked.body)) | {
            "content": {"membership": "join", "displayname": "Fool"}
        }
        return orjson.loads(orjson.dumps(honest)) | {"event": other}

    trap.peer.lies["send_join"] = lie

    if (await trap.join()).status == 200:
        state = (await trap.alice.state(trap.room.room_id, "m.room.member", "@alice:near.test")).ok()
        assert state.get("displayname") != "Fool"


@pytest.mark.parametrize("version", ["1", "2"])
async def test_circles_in_the_auth_chain(wire: Wire, tmp_path: Path, version: str) -> None:
    """Events that authorize one another are left out; the room is one without them."""
    trap = await lay(wire, tmp_path, version)
    base = canonical_json.decode_lenient(
        trap.room.build("m.room.topic", trap.peer.user(), {"topic": "round"}, "").pdu
    )
    circle = []
    for own, other in (("$one:evil.test", "$two:evil.test"), ("$two:evil.test", "$one:evil.test")):
        fields = base | {"event_id": own, "auth_events": [*base["auth_events"], [other, {"sha256": "x"}]]}
        circle.append(orjson.Fragment(forge(trap.room.version, fields, "evil.test", trap.peer.key)))
    trap.peer.lies["send_join"] = lambda asked, honest: (
        honest
        | {
            "state": [*honest["state"], circle[0]],
            "auth_chain": [*honest["auth_chain"], *circle],
        }
    )

    assert (await trap.join()).status == 200
    assert (await trap.alice.state(trap.room.room_id, "m.room.topic")).status == 404


async def test_circles_in_what_the_room_needs(wire: Wire, tmp_path: Path) -> None:
    """The power levels are part of the circle, and the join cites them: no room."""
    trap = await lay(wire, tmp_path, "1")
    power = canonical_json.decode_lenient(trap.room.events[trap.room.state[("m.room.power_levels", "")]].pdu)
    rules = canonical_json.decode_lenient(trap.room.events[trap.room.state[("m.room.join_rules", "")]].pdu)
    power["auth_events"].append([rules["event_id"], {"sha256": "x"}])
    false = orjson.Fragment(forge(trap.room.version, power, "evil.test", trap.peer.key))
    ids = {power["event_id"]}

    def lie(asked: Asked, honest: Any) -> Any:
        answer = whole(trap)
        for name in ("state", "auth_chain"):
            answer[name] = [pdu for pdu in answer[name] if pdu["event_id"] not in ids] + [false]
        return answer

    trap.peer.lies["send_join"] = lie

    await trap.fails()


async def test_a_server_that_does_not_answer(trap: Trap, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user is told after a while; somebody else who gives up leaves nothing behind."""
    never = asyncio.Event()

    async def hang(asked: Asked, honest: Any) -> Any:
        await never.wait()

    trap.peer.lies["make_join"] = hang
    before = await trap.counts()

    joining = asyncio.ensure_future(trap.join())
    await asyncio.sleep(0.05)
    own = await trap.alice.create_room()
    await trap.alice.say(own, "meanwhile")
    await trap.alice.leave(own)
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining

    after = await trap.counts()
    assert after["rooms"] == before["rooms"] + 1


@pytest.mark.parametrize("version", ["11", "12"])
async def test_an_honest_peer_of_new_versions(wire: Wire, tmp_path: Path, version: str) -> None:
    """Versions whose create events differ are joined as well."""
    trap = await lay(wire, tmp_path, version)

    assert (await trap.join()).status == 200
    members = (await trap.alice.get(path("rooms", trap.room.room_id, "joined_members"))).ok()["joined"]
    assert set(members) == {"@alice:near.test", trap.peer.user(), trap.peer.user("mallory")}


async def test_a_room_id_that_is_not_that_of_its_create_event(wire: Wire, tmp_path: Path) -> None:
    """In version 12 the state of another room is no state, whatever its events say."""
    trap = await lay(wire, tmp_path, "12")
    other = trap.peer.room("12").furnish()

    def lie(asked: Asked, honest: Any) -> Any:
        moved = []
        for event in other.events.values():
            fields = orjson.loads(event.pdu)
            if event.type != "m.room.create":
                fields["room_id"] = trap.room.room_id
            moved.append(orjson.Fragment(forge(other.version, fields, "evil.test", trap.peer.key)))
        return {"origin": "evil.test", "state": moved, "auth_chain": moved}

    trap.peer.lies["send_join"] = lie

    await trap.fails()
