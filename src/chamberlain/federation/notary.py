"""Telling other servers the keys of third ones (server-server API, Querying Keys Through Another Server)."""

import asyncio
from collections.abc import Collection, Mapping

import msgspec

from chamberlain.federation.key_ring import KeyRing
from chamberlain.federation.own_keys import OwnKeys
from chamberlain.matrix import canonical_json
from chamberlain.matrix.ids import is_valid_server_name
from chamberlain.matrix.types import JsonObject
from chamberlain.runtime.clock import Clock


class Wanted(msgspec.Struct, frozen=True):
    """Which keys of a server are wanted, all where no ids are given. `until`: when (ms) they are to be valid."""

    until: int | None = None
    """None: now."""
    key_ids: Collection[str] = ()


class Notary:
    """Has the keys of servers looked up, and signs what they answered."""

    def __init__(self, clock: Clock, server_name: str, own: OwnKeys, ring: KeyRing) -> None:
        self._clock = clock
        self._server_name = server_name
        self._own = own
        self._ring = ring

    async def find(self, wanted: Mapping[str, Wanted]) -> list[JsonObject]:
        """What the servers have said of the keys that are wanted, signed by them and by this one.

        Servers that have said nothing are left out. An answer that does not hold as long as wanted is given where
        there is no better one.
        """
        found = await asyncio.gather(*(self._find(server, keys) for server, keys in wanted.items()))
        return [answer for answers in found for answer in answers]

    async def _find(self, server: str, wanted: Wanted) -> list[JsonObject]:
        valid_until = self._clock.now() if wanted.until is None else wanted.until
        if server == self._server_name:
            return [canonical_json.decode(self._own.answer(valid_until))]
        if not is_valid_server_name(server):
            return []
        answers = map(canonical_json.decode, await self._ring.find_answers(server, valid_until))
        return [self._own.countersign(answer) for answer in answers if _has_any(answer, wanted.key_ids)]


def _has_any(answer: JsonObject, key_ids: Collection[str]) -> bool:
    """Whether a server speaks of any of these keys of its, or of whichever where there are none."""
    old = answer.get("old_verify_keys")
    own = [*answer["verify_keys"], *(old if isinstance(old, dict) else ())]
    return not key_ids or any(key_id in key_ids for key_id in own)
