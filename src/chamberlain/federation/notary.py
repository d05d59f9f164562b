"""Telling other servers the keys of third ones (server-server API, Querying Keys Through Another Server)."""

import asyncio
from collections.abc import Mapping

from chamberlain.federation.key_ring import KeyRing
from chamberlain.federation.own_keys import OwnKeys
from chamberlain.matrix import canonical_json
from chamberlain.matrix.ids import is_valid_server_name
from chamberlain.matrix.types import JsonObject
from chamberlain.runtime.clock import Clock


class Notary:
    """Has the keys of servers looked up, and signs what they answered."""

    def __init__(self, clock: Clock, server_name: str, own: OwnKeys, ring: KeyRing) -> None:
        self._clock = clock
        self._server_name = server_name
        self._own = own
        self._ring = ring

    async def find(self, wanted: Mapping[str, int | None]) -> list[JsonObject]:
        """What the servers have said of their keys, signed by them and by this one; those that have not left out.

        `wanted` has until when (ms) the keys of each should be valid, None: now. An answer that does not reach that
        far is given where there is no better one.
        """
        now = self._clock.now()
        found = await asyncio.gather(
            *(self._find(server, now if until is None else until) for server, until in wanted.items())
        )
        return [answer for answers in found for answer in answers]

    async def _find(self, server: str, valid_until: int) -> list[JsonObject]:
        if server == self._server_name:
            return [canonical_json.decode(self._own.answer(valid_until))]
        if not is_valid_server_name(server):
            return []
        answers = await self._ring.find_answers(server, valid_until)
        return [self._own.countersign(canonical_json.decode(answer)) for answer in answers]
