"""Other servers, as administrators see them."""

from typing import Any

from tests.federation.test_outbound import near, pass_time, peer, room, said_to, settle, until_said
from tests.support.clock import FakeClock
from tests.support.peer import Peer
from tests.support.server import Client, Server, until
from tests.support.wire import Wire

__all__ = ["near", "peer", "room"]

SYNAPSE = "/_synapse/admin/v1/federation/destinations"
NATIVE = "/_chamberlain/admin/v1/destinations"


async def test_a_server_that_fails_is_seen_and_reset(
    wire: Wire, clock: FakeClock, near: Server, room: str, peer: Peer, alice: Client
) -> None:
    """Since when, how long it is left alone, and that it is asked again at once."""
    root = await near.admin()
    await alice.say(room, "one")
    await until_said(peer, "one")
    await settle(near)
    healthy = (await root.get(f"{SYNAPSE}/peer.test")).ok()
    sent = healthy["last_successful_stream_ordering"]
    assert sent > 0
    assert healthy == {
        "destination": "peer.test",
        "retry_last_ts": 0,
        "retry_interval": 0,
        "failure_ts": None,
        "last_successful_stream_ordering": sent,
    }
    (await root.post(f"{SYNAPSE}/peer.test/reset_connection")).error(400, "M_UNKNOWN")
    wire.part("peer.test")
    await alice.say(room, "two")
    await settle(near)

    async def failing() -> Any:
        return (await root.get(f"{SYNAPSE}/peer.test")).ok()

    async def is_written() -> bool:
        return (await failing())["failure_ts"] is not None

    await until(is_written)
    seen = await failing()
    assert seen["failure_ts"] == seen["retry_last_ts"] == clock.now()
    assert seen["retry_interval"] > 0 and seen["last_successful_stream_ordering"] == sent
    detail = (await root.get(f"{NATIVE}/peer.test")).ok()
    assert detail["server"]["behind"] and detail["server"]["txn_id"] and detail["waiting_edus"] == 0
    wire.heal()
    (await root.post(f"{SYNAPSE}/peer.test/reset_connection")).ok()
    await pass_time(clock, 2, lambda: len(said_to(peer)) >= 2)
    await settle(near)

    async def is_well() -> bool:
        return (await failing())["retry_interval"] == 0

    await until(is_well)
    assert said_to(peer) == ["one", "two"]


async def test_servers_and_their_rooms_are_listed(near: Server, room: str, peer: Peer, alice: Client) -> None:
    """In pages; who was never heard of is not there."""
    root = await near.admin()
    await alice.say(room, "one")
    await until_said(peer, "one")
    await settle(near)

    page = (await root.get(SYNAPSE)).ok()
    assert page["total"] == 1 and "next_token" not in page
    assert [found["destination"] for found in page["destinations"]] == ["peer.test"]
    assert (await root.get(f"{SYNAPSE}?destination=EER&limit=0")).ok() == {"destinations": [], "total": 1}
    (await root.get(f"{SYNAPSE}?order_by=nothing")).error(400, "M_INVALID_PARAM")
    await near.app.services.federation.outbound.save()
    rooms = (await root.get(f"{SYNAPSE}/peer.test/rooms")).ok()
    newest = page["destinations"][0]["last_successful_stream_ordering"]
    assert rooms == {"rooms": [{"room_id": room, "stream_ordering": newest}], "total": 1}
    for target in ("x.test", "x.test/rooms"):
        (await root.get(f"{SYNAPSE}/{target}")).error(404, "M_NOT_FOUND")
    (await root.post(f"{SYNAPSE}/x.test/reset_connection")).error(404, "M_NOT_FOUND")
    (await alice.get(SYNAPSE)).error(403, "M_FORBIDDEN")
    assert (await root.get(f"{NATIVE}?dir=b&order_by=failure_ts")).ok()["total"] == 1
