"""Asking other servers for what is missing here of a room (server-server API, Retrieving events and room state)."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

import msgspec

from chamberlain.federation.client import FederationClient, decode_answer, federation_path
from chamberlain.federation.large_answers import LargeAnswers
from chamberlain.matrix.remote_errors import BadAnswer

STATE_BYTES: Final = 256 * 1024 * 1024
"""Bytes of the state of a room that are taken from another server."""
IDS_BYTES: Final = 64 * 1024 * 1024
"""Bytes of the ids of the events of a state: more than a million."""
STATE_SECONDS: Final = 120.0
FAST_SECONDS: Final = 10.0


class _Pdus(msgspec.Struct):
    pdus: list[msgspec.Raw] = []


class _Events(msgspec.Struct):
    events: list[msgspec.Raw] = []


class _AuthChain(msgspec.Struct):
    auth_chain: list[msgspec.Raw] = []


class _StateIds(msgspec.Struct):
    pdu_ids: list[str] = []
    auth_chain_ids: list[str] = []


class RemoteServers:
    """Asks for events and states, one server at a time; raises RemoteError where it has none for us."""

    def __init__(self, client: FederationClient, large: LargeAnswers) -> None:
        self._client = client
        self._large = large

    async def event(self, server: str, event_id: str) -> bytes:
        """Give one event."""
        body = await self._client.get(server, federation_path("v1", "event", event_id), timeout=FAST_SECONDS)
        found = decode_answer(server, body, _Pdus).pdus
        if not found:
            raise BadAnswer(server, "the answer holds no event")
        return bytes(found[0])

    async def missing_events(
        self,
        server: str,
        room_id: str,
        *,
        earliest: Sequence[str],
        latest: Sequence[str],
        min_depth: int,
        limit: int,
    ) -> list[bytes]:
        """Give the events between those that are known (`earliest`) and those that are not connected to them."""
        body = await self._client.request(
            server,
            "POST",
            federation_path("v1", "get_missing_events", room_id),
            {
                "earliest_events": list(earliest),
                "latest_events": list(latest),
                "limit": limit,
                "min_depth": min_depth,
            },
            timeout=FAST_SECONDS,
        )
        return [bytes(pdu) for pdu in decode_answer(server, body, _Events).events[:limit]]

    async def state_ids(self, server: str, room_id: str, event_id: str) -> tuple[list[str], list[str]]:
        """Give the ids of the state before an event, and of all that it goes back to by auth events."""
        body = await self._client.get(
            server,
            federation_path("v1", "state_ids", room_id),
            [("event_id", event_id)],
            timeout=STATE_SECONDS,
            max_bytes=IDS_BYTES,
        )
        found = decode_answer(server, body, _StateIds)
        return found.pdu_ids, found.auth_chain_ids

    async def state(
        self, server: str, room_id: str, event_id: str
    ) -> tuple[Sequence[bytes], Sequence[bytes]]:
        """Give the state before an event, and all that it goes back to by auth events."""
        target = f"{federation_path('v1', 'state', room_id)}?{urlencode([('event_id', event_id)])}"
        _, (state, chain) = await self._large.ask(
            server,
            "GET",
            target,
            lists=("pdus", "auth_chain"),
            timeout=STATE_SECONDS,
            max_bytes=STATE_BYTES,
        )
        return state, chain

    async def auth_chain(self, server: str, room_id: str, event_id: str) -> list[bytes]:
        """Give all that an event goes back to by auth events."""
        body = await self._client.get(
            server, federation_path("v1", "event_auth", room_id, event_id), timeout=FAST_SECONDS
        )
        return [bytes(pdu) for pdu in decode_answer(server, body, _AuthChain).auth_chain]

    async def backfill(self, server: str, room_id: str, event_ids: Sequence[str], limit: int) -> list[bytes]:
        """Give these events and those before them."""
        query = [*(("v", event_id) for event_id in event_ids), ("limit", str(limit))]
        body = await self._client.get(
            server, federation_path("v1", "backfill", room_id), query, timeout=FAST_SECONDS
        )
        return [bytes(pdu) for pdu in decode_answer(server, body, _Pdus).pdus[:limit]]
