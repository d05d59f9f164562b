"""Requests of a server that lies, about rooms of ours and about rooms that it says to have: no, and nothing written."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from chamberlain.federation.client import federation_path
from chamberlain.federation.transport import TransportAnswer
from chamberlain.matrix import canonical_json
from chamberlain.matrix.errors import MatrixError
from chamberlain.matrix.events import Event
from chamberlain.matrix.signing import SigningKey
from chamberlain.matrix.versions import RoomVersion, get_room_version
from tests.support.peer import Peer
from tests.support.peer_room import PeerRoom, forge
from tests.support.server import Client, Server, path
from tests.support.wire import Wire

STRANGER = SigningKey(b"s" * 32, "peer")
MALLORY = "@mallory:evil.test"
BIG = "x" * 300


class Gate:
    """A public room of alice at `near.test`, and `evil.test` outside."""

    def __init__(self, near: Server, alice: Client, peer: Peer, room_id: str, version: RoomVersion) -> None:
        self.near = near
        self.alice = alice
        self.peer = peer
        self.room_id = room_id
        self.version = version

    async def ask(self, method: str, target: str, body: Any = None, **how: Any) -> TransportAnswer:
        """A signed request."""
        return await self.peer.request("near.test", method, target, body, **how)

    async def template(self, kind: str = "join", user: str = MALLORY) -> dict[str, Any]:
        """What /make_join and the others hand out."""
        target = federation_path("v1", f"make_{kind}", self.room_id, user)
        answer = await self.ask("GET", f"{target}?ver={self.version.id}")
        assert answer.status == 200, answer.body
        found: dict[str, Any] = canonical_json.decode_lenient(answer.body)["event"]
        if not self.version.has_hash_event_ids:
            found["event_id"] = "$mine:evil.test"
        return found

    async def hand_in(
        self, pdu: bytes, kind: str = "join", *, room_id: str = "", event_id: str = ""
    ) -> TransportAnswer:
        """/send_join and the others."""
        if not event_id:
            try:
                event_id = Event.parse(pdu, self.version).event_id
            except MatrixError:
                event_id = "$none"
        target = federation_path(
            "v2" if kind != "knock" else "v1", f"send_{kind}", room_id or self.room_id, event_id
        )
        return await self.ask("PUT", target, pdu)

    def forge(self, fields: dict[str, Any]) -> bytes:
        """A PDU of these fields, signed by the peer."""
        return forge(self.version, fields, "evil.test", self.peer.key)

    async def members(self) -> set[str]:
        """Who is in the room."""
        return set((await self.alice.get(path("rooms", self.room_id, "joined_members"))).ok()["joined"])


@pytest.fixture
async def gate(wire: Wire, tmp_path: Path) -> Gate:
    """A gate with a room of version 10."""
    return await stand(wire, tmp_path, "10")


async def stand(wire: Wire, folder: Path, version: str) -> Gate:
    """A gate with a room of this version."""
    near = await wire.add("near.test", folder)
    alice = await near.register("alice")
    room_id = await alice.create_room(preset="public_chat", room_version=version)
    return Gate(near, alice, Peer.on(wire, "evil.test"), room_id, get_room_version(version))


def refused(answer: TransportAnswer) -> None:
    """It is a clear error."""
    assert 400 <= answer.status < 500, f"{answer.status}: {answer.body!r}"
    assert orjson.loads(answer.body)["errcode"].startswith("M_")


@pytest.mark.parametrize("version", ["1", "6", "10", "11", "12"])
async def test_an_honest_join(wire: Wire, tmp_path: Path, version: str) -> None:
    """Nobody lies: mallory is in, and out again."""
    gate = await stand(wire, tmp_path, version)

    answer = await gate.hand_in(gate.forge(await gate.template()))
    assert answer.status == 200, answer.body
    assert MALLORY in await gate.members()

    leave = gate.forge(
        await gate.template("leave") | {"event_id": "$out:evil.test"}
        if version == "1"
        else await gate.template("leave")
    )
    answer = await gate.hand_in(leave, "leave")
    assert answer.status == 200, answer.body
    assert MALLORY not in await gate.members()


# ---------------------------------------------------------------------------------------------- send_join

JOINS: dict[str, dict[str, Any]] = {
    "of a user elsewhere": {"sender": "@victim:honest.test", "state_key": "@victim:honest.test"},
    "of a user of ours": {"sender": "@root:near.test", "state_key": "@root:near.test"},
    "of somebody else": {"state_key": "@eve:evil.test"},
    "that is a ban": {"content": {"membership": "ban"}},
    "that is an invite": {"content": {"membership": "invite"}},
    "that is a knock": {"content": {"membership": "knock"}},
    "that is nothing": {"content": {}},
    "that is a list": {"content": {"membership": ["join"]}},
    "that is no membership": {"type": "m.room.topic", "state_key": ""},
    "that is no state": {"type": "m.room.message"},
    "for another room": {"room_id": "!other:near.test"},
    "that cites nothing": {"auth_events": []},
    "that cites the unknown": {"auth_events": ["$" + "n" * 43]},
    "that follows the unknown": {"prev_events": ["$" + "n" * 43]},
    "too large": {"content": {"membership": "join", "displayname": "x" * 70_000}},
    "with a negative depth": {"depth": -1},
    "with a depth of a wrong type": {"depth": "7"},
}


@pytest.mark.parametrize("change", JOINS.values(), ids=JOINS)
async def test_joins_that_are_none(gate: Gate, change: dict[str, Any]) -> None:
    """They are refused; the room stays as it is."""
    members = await gate.members()
    fields = await gate.template() | change
    answer = await gate.hand_in(gate.forge(fields))

    # A predecessor that nobody knows may be overlooked in a join that is good otherwise.
    if "prev_events" not in change:
        refused(answer)
        assert await gate.members() == members
    assert answer.status < 500, answer.body
    await gate.alice.say(gate.room_id, "alive")


NO_EVENTS = [b"", b"1", b"[]", b"{}", b"null", b'{"content":', b"[" * 100_000, b'{"a":"\xff"}']


@pytest.mark.parametrize("kind", ["join", "leave", "knock"])
async def test_bodies_that_are_no_events(gate: Gate, kind: str) -> None:
    """They are refused."""
    for body in NO_EVENTS:
        refused(await gate.hand_in(body, kind))


@pytest.mark.parametrize("kind", ["join", "leave", "knock"])
async def test_a_signature_of_a_stranger(gate: Gate, kind: str) -> None:
    """The request is signed by the peer, the event is not."""
    fields = await gate.template() | {"content": {"membership": kind}}

    refused(await gate.hand_in(forge(gate.version, fields, "evil.test", STRANGER), kind))

    assert MALLORY not in await gate.members()


async def test_the_path_names_another_event(gate: Gate) -> None:
    """The event id in the path is not that of the event."""
    pdu = gate.forge(await gate.template())

    answer = await gate.hand_in(pdu, event_id="$" + "o" * 43)

    assert answer.status < 500


async def test_the_path_names_another_room(gate: Gate) -> None:
    """A join of one room is handed in for another."""
    secret = await gate.alice.create_room(preset="private_chat", room_version="10")
    pdu = gate.forge(await gate.template())

    refused(await gate.hand_in(pdu, room_id=secret))

    assert MALLORY not in await gate.members()


async def test_rooms_that_are_closed(gate: Gate) -> None:
    """Who is banned or not invited does not get in, with a template of before or with one made up."""
    template = await gate.template()
    pdu = gate.forge(template)
    (await gate.alice.post(f"{path('rooms', gate.room_id)}/ban", {"user_id": MALLORY})).ok()

    refused(await gate.hand_in(pdu))
    refused(await gate.ask("GET", federation_path("v1", "make_join", gate.room_id, MALLORY) + "?ver=10"))
    assert MALLORY not in await gate.members()

    secret = await gate.alice.create_room(preset="private_chat", room_version="10")
    refused(await gate.ask("GET", federation_path("v1", "make_join", secret, MALLORY) + "?ver=10"))
    refused(await gate.hand_in(gate.forge(template | {"room_id": secret}), room_id=secret))


@pytest.mark.parametrize(
    "user",
    ["@root:near.test", "@victim:honest.test", "mallory", "@:", "", "@\0:evil.test", f"@{BIG}:evil.test"],
)
async def test_templates_for_users_of_others(gate: Gate, user: str) -> None:
    """A server gets templates for its own users alone."""
    for kind in ("join", "leave", "knock"):
        refused(await gate.ask("GET", federation_path("v1", f"make_{kind}", gate.room_id, user) + "?ver=10"))


@pytest.mark.parametrize(
    "query", ["", "?ver=1", "?ver=", "?ver=org.example", "?" + "&".join(f"ver={n}" for n in range(20, 400))]
)
async def test_versions_that_do_not_fit(gate: Gate, query: str) -> None:
    """A server that does not know the room version does not join."""
    refused(await gate.ask("GET", federation_path("v1", "make_join", gate.room_id, MALLORY) + query))


# ---------------------------------------------------------------------------------------------- invites


def invite_of(peer: Peer, version: str = "10") -> tuple[PeerRoom, Event]:
    """A room of the peer, and an invite of alice to it."""
    room = peer.room(version).furnish("invite")
    return room, room.build("m.room.member", peer.user(), {"membership": "invite"}, "@alice:near.test")


INVITES: dict[str, dict[str, Any]] = {
    "for a user elsewhere": {"state_key": "@victim:honest.test"},
    "for nobody": {"state_key": ""},
    "by a user elsewhere": {"sender": "@victim:honest.test"},
    "by a user of ours": {"sender": "@root:near.test"},
    "that is a join": {"content": {"membership": "join"}},
    "that is a ban": {"content": {"membership": "ban"}},
    "that is no membership": {"type": "m.room.topic"},
    "to another room": {"room_id": "!other:evil.test"},
    "to no room": {"room_id": "x"},
    "too large": {"content": {"membership": "invite", "reason": "x" * 70_000}},
}


@pytest.mark.parametrize("change", INVITES.values(), ids=INVITES)
async def test_invites_that_are_none(gate: Gate, change: dict[str, Any]) -> None:
    """Alice hears nothing of them."""
    room, event = invite_of(gate.peer)
    pdu = gate.forge(orjson.loads(event.pdu) | change)

    refused(await invite(gate, room, event.event_id, orjson.loads(pdu)))

    assert not (await gate.alice.sync()).get("rooms", {}).get("invite")


async def invite(gate: Gate, room: PeerRoom, event_id: str, pdu: Any, **changes: Any) -> TransportAnswer:
    """Hand in an invite."""
    body = {"room_version": room.version.id, "event": pdu, "invite_room_state": [], **changes}
    return await gate.ask("PUT", federation_path("v2", "invite", room.room_id, event_id), body)


STRIPPED: dict[str, Any] = {
    "no list": {},
    "numbers": [1, 2],
    "no types": [{}],
    "wrong types": [{"type": 1, "state_key": [], "content": "x", "sender": {}}],
    "very many": [
        {"type": "m.room.name", "state_key": str(n), "content": {}, "sender": "@e:evil.test"}
        for n in range(5000)
    ],
    "very large": [
        {
            "type": "m.room.name",
            "state_key": "",
            "content": {"name": "x" * 2_000_000},
            "sender": "@e:evil.test",
        }
    ],
    "NUL": [{"type": "m.room.name", "state_key": "", "content": {"name": "\0"}, "sender": "@e:evil.test"}],
}


@pytest.mark.parametrize("state", STRIPPED.values(), ids=STRIPPED)
async def test_stripped_state_of_any_shape(gate: Gate, state: Any) -> None:
    """The invite is taken without it, or refused; clients can go on syncing."""
    room, event = invite_of(gate.peer)

    answer = await invite(gate, room, event.event_id, orjson.loads(event.pdu), invite_room_state=state)

    assert answer.status in (200, 400, 413), answer.body
    synced = await gate.alice.get("sync")
    assert synced.status == 200
    assert len(synced.body) < 1_000_000


@pytest.mark.parametrize("version", ["99", "", None, 10, [], {"a": 1}])
async def test_invites_to_unknown_versions(gate: Gate, version: Any) -> None:
    """A room version that we do not know."""
    room, event = invite_of(gate.peer)

    refused(await invite(gate, room, event.event_id, orjson.loads(event.pdu), room_version=version))

    assert not (await gate.alice.sync()).get("rooms", {}).get("invite")


async def test_an_invite_with_a_signature_of_a_stranger(gate: Gate) -> None:
    """The server of the sender has not signed it."""
    room, event = invite_of(gate.peer)
    pdu = forge(room.version, orjson.loads(event.pdu), "evil.test", STRANGER)

    refused(await invite(gate, room, event.event_id, orjson.loads(pdu)))

    assert not (await gate.alice.sync()).get("rooms", {}).get("invite")


async def test_an_invite_into_a_room_of_ours(gate: Gate) -> None:
    """Only who may invite invites: an outsider does not bring alice's friends into her room."""
    root = await gate.near.register("root")
    secret = await gate.alice.create_room(preset="private_chat", room_version="10")
    room, event = invite_of(gate.peer)
    fields = orjson.loads(event.pdu) | {"room_id": secret, "state_key": root.user_id}
    pdu = orjson.loads(gate.forge(fields))
    body = {"room_version": "10", "event": pdu, "invite_room_state": []}

    refused(await gate.ask("PUT", federation_path("v2", "invite", secret, event.event_id), body))

    assert not (await root.sync()).get("rooms", {}).get("invite")
    assert room.room_id != secret


# ---------------------------------------------------------------------------------------------- reading

READS: list[tuple[str, str]] = [
    ("state", "?event_id={event}"),
    ("state_ids", "?event_id={event}"),
    ("backfill", "?v={event}&limit=10"),
    ("event_auth", ""),
    ("get_missing_events", ""),
    ("timestamp_to_event", "?ts=0&dir=f"),
    ("hierarchy", ""),
]


@pytest.mark.parametrize(("name", "query"), READS, ids=[name for name, _ in READS])
async def test_who_is_not_in_the_room_reads_nothing(gate: Gate, name: str, query: str) -> None:
    """Of a room that is not public nothing is told."""
    secret = await gate.alice.create_room(preset="private_chat", room_version="10")
    said = await gate.alice.say(secret, "a secret")
    parts = [secret, said] if name == "event_auth" else [secret]
    target = federation_path("v1", name, *parts) + query.format(event=quote(said))
    if name == "get_missing_events":
        answer = await gate.ask("POST", target, {"latest_events": [said], "earliest_events": [], "limit": 10})
    else:
        answer = await gate.ask("GET", target)

    assert answer.status in (403, 404), answer.body
    assert b"a secret" not in answer.body
    answer = await gate.ask("GET", federation_path("v1", "event", said))
    assert answer.status in (403, 404), answer.body


ODD: list[tuple[str, str, Any]] = [
    ("GET", "/_matrix/federation/v1/state/{room}", None),
    ("GET", "/_matrix/federation/v1/state/{room}?event_id=", None),
    ("GET", "/_matrix/federation/v1/state/{room}?event_id=%00", None),
    ("GET", "/_matrix/federation/v1/state_ids/{room}?event_id=%ff", None),
    ("GET", "/_matrix/federation/v1/backfill/{room}?v=x&limit=-1", None),
    ("GET", "/_matrix/federation/v1/backfill/{room}?v=x&limit=1e9", None),
    ("GET", "/_matrix/federation/v1/backfill/{room}?limit=99999999999999999999", None),
    ("GET", "/_matrix/federation/v1/event/%00", None),
    ("GET", "/_matrix/federation/v1/event/" + "x" * 5000, None),
    ("GET", "/_matrix/federation/v1/timestamp_to_event/{room}?ts=99999999999999999999999&dir=f", None),
    ("GET", "/_matrix/federation/v1/timestamp_to_event/{room}?ts=1&dir=x", None),
    ("POST", "/_matrix/federation/v1/get_missing_events/{room}", {}),
    ("POST", "/_matrix/federation/v1/get_missing_events/{room}", []),
    ("POST", "/_matrix/federation/v1/get_missing_events/{room}", {"latest_events": 1, "earliest_events": 2}),
    (
        "POST",
        "/_matrix/federation/v1/get_missing_events/{room}",
        {
            "latest_events": ["x"] * 20_000,
            "earliest_events": ["y"] * 20_000,
            "limit": 2**60,
            "min_depth": -(2**60),
        },
    ),
    ("GET", "/_matrix/federation/v1/query/profile?user_id=%00", None),
    ("GET", "/_matrix/federation/v1/query/profile?user_id=@alice:near.test&field=%00", None),
    ("GET", "/_matrix/federation/v1/query/directory?room_alias=%23%00:near.test", None),
    ("GET", "/_matrix/federation/v1/publicRooms?limit=-5&since=%00", None),
    ("POST", "/_matrix/federation/v1/publicRooms", {"limit": "x", "filter": [], "since": {}}),
    ("POST", "/_matrix/federation/v1/user/keys/query", {"device_keys": []}),
    ("POST", "/_matrix/federation/v1/user/keys/query", {"device_keys": {"x": "y"}}),
    ("POST", "/_matrix/federation/v1/user/keys/query", {"device_keys": {"@alice:near.test": [1, None]}}),
    ("POST", "/_matrix/federation/v1/user/keys/claim", {"one_time_keys": {"@alice:near.test": {"D": 7}}}),
    ("GET", "/_matrix/federation/v1/user/devices/%00", None),
    ("GET", "/_matrix/federation/v1/hierarchy/{room}?suggested_only=maybe", None),
    ("PUT", "/_matrix/federation/v1/exchange_third_party_invite/{room}", {"type": 1}),
    ("PUT", "/_matrix/federation/v1/send/%00", {"pdus": [], "edus": [], "origin": "evil.test"}),
    ("PUT", "/_matrix/federation/v1/send/" + "t" * 5000, {"pdus": [], "edus": []}),
    ("PUT", "/_matrix/federation/v1/send/t", []),
    ("PUT", "/_matrix/federation/v1/send/t", {"pdus": {}, "edus": 7}),
    ("PUT", "/_matrix/federation/v1/send/t", {"pdus": [{}] * 51}),
    ("PUT", "/_matrix/federation/v1/send/t", {"edus": [{"edu_type": "m.typing", "content": {}}] * 101}),
    ("PUT", "/_matrix/federation/v1/send/t", {"origin": "honest.test", "pdus": []}),
]


@pytest.mark.parametrize("inside", [False, True], ids=["outside", "inside"])
async def test_odd_requests(gate: Gate, inside: bool) -> None:
    """An answer or a clear error, from outside and from inside the room; never a failure of ours."""
    if inside:
        assert (await gate.hand_in(gate.forge(await gate.template()))).status == 200
    failures: list[str] = []
    for method, target, body in ODD:
        content = None if body is None else canonical_json.encode_lenient(body)
        answer = await gate.ask(method, target.format(room=quote(gate.room_id)), content)
        if answer.status >= 500 or (b"errcode" not in answer.body and answer.status != 200):
            failures.append(f"{method} {target[:99]} {str(body)[:99]}: {answer.status} {answer.body[:99]!r}")

    assert not failures, "\n".join(failures)


EDUS: list[Any] = [
    1,
    {},
    {"edu_type": 5, "content": []},
    {"edu_type": "m.typing", "content": {"room_id": "{room}", "user_id": "@alice:near.test", "typing": True}},
    {"edu_type": "m.typing", "content": {"room_id": 1, "user_id": [], "typing": "x"}},
    {"edu_type": "m.presence", "content": {"push": [{"user_id": "@alice:near.test", "presence": "online"}]}},
    {"edu_type": "m.presence", "content": {"push": {"a": 1}}},
    {
        "edu_type": "m.receipt",
        "content": {"{room}": {"m.read": {"@alice:near.test": {"event_ids": ["$x"], "data": {}}}}},
    },
    {"edu_type": "m.receipt", "content": {"{room}": {"m.read": [1]}}},
    {"edu_type": "m.receipt", "content": {"{room}": {"m.read": {MALLORY: {"event_ids": "$x", "data": {"ts": "now"}}}}}},
    {
        "edu_type": "m.direct_to_device",
        "content": {
            "sender": "@root:near.test", "type": "m.secret", "message_id": "1",
            "messages": {"@alice:near.test": {"*": {"body": "forged"}}},
        },
    },
    {"edu_type": "m.direct_to_device", "content": {"sender": MALLORY, "type": 1, "messages": []}},
    {"edu_type": "m.device_list_update", "content": {"user_id": "@alice:near.test", "device_id": "X", "stream_id": 1}},
    {"edu_type": "m.device_list_update", "content": {"user_id": MALLORY, "device_id": [], "stream_id": 10**30}},
    {"edu_type": "m.signing_key_update", "content": {"user_id": "@alice:near.test", "master_key": {}}},
    {"edu_type": "m.signing_key_update", "content": {"user_id": MALLORY, "master_key": {"keys": 7}}},
    {"edu_type": "m.unheard_of", "content": {"a": "\0"}},
]  # fmt: skip


async def test_edus_that_are_not_theirs_to_send(gate: Gate) -> None:
    """What is not about the server's own users, or is nothing at all, is passed over; no client hears of it."""
    assert (await gate.hand_in(gate.forge(await gate.template()))).status == 200
    await gate.alice.sync()
    for number, edu in enumerate(EDUS):
        body = {"edus": [edu], "origin": "evil.test", "origin_server_ts": 1, "pdus": []}
        text = canonical_json.encode_lenient(body).replace(b"{room}", gate.room_id.encode())

        answer = await gate.ask("PUT", f"/_matrix/federation/v1/send/edu{number}", text)

        assert answer.status == 200, answer.body
        synced = await gate.alice.sync()
        assert not synced.get("to_device", {}).get("events"), edu
        assert not synced.get("presence", {}).get("events"), edu
        room = synced.get("rooms", {}).get("join", {}).get(gate.room_id, {})
        assert not room.get("ephemeral", {}).get("events"), edu


async def test_requests_in_the_name_of_others(gate: Gate) -> None:
    """The signature is that of the peer, the name is another's."""
    answer = await gate.ask("PUT", "/_matrix/federation/v1/send/1", {"pdus": []}, origin="honest.test")

    assert answer.status == 401
