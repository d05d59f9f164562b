"""Servers read rooms from one another, request by request."""

from typing import Any

import orjson
import pytest

from chamberlain.matrix.remote_errors import Refused
from tests.support.server import Client, Server, path

V1 = "/_matrix/federation/v1"


@pytest.fixture
async def room(alice: Client, bob: Client) -> str:
    """A room of Alice that Bob is in."""
    made = await alice.create_room(preset="public_chat")
    await bob.join(made)
    return made


async def ask(server: Server, method: str, target: str, body: Any = None) -> Any:
    """What `near.test` answers to another server."""
    client = server.app.services.federation.remotes.client
    return orjson.loads(await client.request("near.test", method, f"{V1}/{target}", body))


async def test_reading_a_room(far: Server, alice: Client, room: str) -> None:
    """Every way to read one, as another server asks."""
    sent = [await alice.say(room, str(n)) for n in range(4)]

    ids = await ask(far, "GET", path("state_ids", room, event_id=sent[0]))
    state = await ask(far, "GET", path("state", room, event_id=sent[0]))
    auth = await ask(far, "GET", path("event_auth", room, sent[0]))
    event = await ask(far, "GET", path("event", sent[1]))
    history = await ask(far, "GET", path("backfill", room, v=sent[2:], limit=3))
    between = {"earliest_events": sent[:1], "latest_events": sent[3:], "limit": 10}
    missing = await ask(far, "POST", path("get_missing_events", room), between)
    nearest = await ask(far, "GET", path("timestamp_to_event", room, ts=0, dir="f"))

    assert len(state["pdus"]) == len(ids["pdu_ids"]) > 5
    assert len(state["auth_chain"]) == len(ids["auth_chain_ids"])
    assert {one["type"] for one in auth["auth_chain"]} >= {"m.room.create", "m.room.member"}
    assert (event["origin"], event["pdus"][0]["content"]["body"]) == ("near.test", "1")
    assert [one["content"]["body"] for one in history["pdus"]] == ["3", "2", "1"]
    assert [one["content"]["body"] for one in missing["events"]] == ["1", "2"]
    assert nearest["event_id"] in ids["pdu_ids"]


async def test_servers_that_are_not_in_the_room(far: Server, alice: Client, bob: Client, room: str) -> None:
    """They get nothing after their last user is gone; nor does one that the room has banned."""
    sent = await alice.say(room, "x")
    targets = [
        ("GET", path("state_ids", room, event_id=sent), None),
        ("GET", path("state", room, event_id=sent), None),
        ("GET", path("event_auth", room, sent), None),
        ("GET", path("event", sent), None),
        ("GET", path("backfill", room, v=sent, limit=3), None),
        ("GET", path("timestamp_to_event", room, ts=0, dir="f"), None),
        (
            "POST",
            path("get_missing_events", room),
            {"earliest_events": [], "latest_events": [sent]},
        ),
    ]

    async def all_are_refused() -> None:
        for method, target, body in targets:
            with pytest.raises(Refused) as refused:
                await ask(far, method, target, body)
            assert (refused.value.status, refused.value.code) == (403, "M_FORBIDDEN"), target

    for target in targets:
        await ask(far, *target)
    await alice.set_state(room, "m.room.server_acl", {"allow": ["*"], "deny": ["far.*"]})
    await all_are_refused()
    await alice.set_state(room, "m.room.server_acl", {"allow": ["*"]})
    await ask(far, *targets[0])
    (await alice.post(path("rooms", room, "kick"), {"user_id": bob.user_id})).ok()
    await all_are_refused()
