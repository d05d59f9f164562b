"""The hand-made homeserver is one: its keys are found, its rooms follow the rules, its state is that of the room."""

from pathlib import Path

import aiohttp
import orjson
import pytest

from chamberlain.federation.client import FederationClient, federation_path
from chamberlain.matrix.auth_rules import ALLOW, check
from chamberlain.matrix.event_signatures import SignedForm, required_signers
from chamberlain.matrix.events import Event
from tests.support.peer import ALL_VERSIONS, Peer
from tests.support.peer_http import peer_hosts
from tests.support.server import Server
from tests.support.wire import Wire


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_its_rooms_follow_the_rules(version: str) -> None:
    """Every event of a furnished room is allowed where it stands, and truly hashed and signed."""
    peer = Peer("peer.test")
    room = peer.room(version).furnish(events_default=0)
    keys = dict(peer.keys)
    keys["other.test"] = Peer("other.test").key
    room.keys = keys
    room.member("@bob:other.test", "join")
    base = sorted(room.heads)
    room.say(peer.user(), "one side", prev=base)
    room.send("m.room.topic", peer.user(), {"topic": "other side"}, "", prev=base)
    room.say("@bob:other.test", "both")

    for event in room.events.values():
        state = {key: room.events[found] for key, found in room.state_before(event.event_id).items()}
        assert check(event, state) is ALLOW
        form = SignedForm(event)
        assert form.has_true_hash()
        for server in required_signers(event):
            assert (
                keys[server]
                .verify_key()
                .verify(form.message, form.signatures_of(server)[keys[server].key_id])
            )
        assert Event.parse(event.pdu, room.version).event_id == event.event_id
    assert room.events[room.state[("m.room.topic", "")]].content == {"topic": "other side"}
    assert len(room.heads) == 1


async def test_it_publishes_its_key(wire: Wire, near: Server) -> None:
    """The server finds the key with which the peer signs; the peer reaches the server."""
    peer = Peer.on(wire, "peer.test")

    answer = await peer.request("near.test", "GET", "/_matrix/federation/v1/version")
    found = await near.app.services.federation.remotes.key_ring.find_key("peer.test", peer.key.key_id)

    assert answer.status == 200
    assert found is not None and found.to_base64() == peer.key.verify_key().to_base64()
    assert [asked.name for asked in peer.asked] == ["key"]


async def test_it_answers_about_its_rooms(wire: Wire, near: Server) -> None:
    """State, history and missing events come out as they stand in the room."""
    peer = Peer.on(wire, "peer.test")
    room = peer.room("10").furnish()
    said = [room.say(peer.user(), f"message {number}") for number in range(5)]
    client: FederationClient = near.app.services.federation.remotes.client

    ids = orjson.loads(
        await client.get(
            "peer.test",
            federation_path("v1", "state_ids", room.room_id),
            [("event_id", said[0].event_id)],
        )
    )
    assert set(ids["pdu_ids"]) == set(room.state.values())
    history = orjson.loads(
        await client.get(
            "peer.test",
            federation_path("v1", "backfill", room.room_id),
            [("v", said[4].event_id), ("limit", "3")],
        )
    )
    assert [pdu["content"]["body"] for pdu in history["pdus"]] == ["message 4", "message 3", "message 2"]
    missing = orjson.loads(
        await client.request(
            "peer.test",
            "POST",
            federation_path("v1", "get_missing_events", room.room_id),
            {"latest_events": [said[4].event_id], "earliest_events": [said[1].event_id], "limit": 10},
        )
    )
    assert [pdu["content"]["body"] for pdu in missing["events"]] == ["message 2", "message 3"]


async def test_it_lies(wire: Wire, near: Server) -> None:
    """A lie sees the honest answer and takes its place."""
    peer = Peer.on(wire, "peer.test")
    peer.lies["version"] = lambda asked, honest: {"server": {"name": honest["server"]["name"] + "!"}}
    client: FederationClient = near.app.services.federation.remotes.client

    answer = await client.get("peer.test", "/_matrix/federation/v1/version")

    assert orjson.loads(answer) == {"server": {"name": "peer!"}}


async def test_it_stands_on_real_sockets(tmp_path: Path) -> None:
    """Peers with names of their own reach one another over TLS."""
    async with peer_hosts(tmp_path) as hosts:
        one, two = await hosts.add(), await hosts.add()
        hosts.addresses[two.name] = f"https://{two.name}"

        answer = await one.request(two.name, "GET", "/_matrix/key/v2/server")

        assert orjson.loads(answer.body)["server_name"] == two.name
        assert two.asked[0].origin == one.name
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.get(f"https://{two.name}/")
