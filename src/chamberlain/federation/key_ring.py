"""The keys of other servers: kept in memory, asked for where they are not known or have lapsed."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from chamberlain.federation.client import FederationClient
from chamberlain.matrix import canonical_json
from chamberlain.matrix.errors import BadJson
from chamberlain.matrix.remote_errors import BadAnswer, RemoteError
from chamberlain.matrix.server_keys import PublishedKey, parse_server_keys
from chamberlain.matrix.signing import SigningKey, VerifyKey
from chamberlain.runtime.cache import Cache
from chamberlain.runtime.clock import Clock

SERVERS_KEPT: Final = 10_000
ServerKeys = Mapping[str, PublishedKey]


class KeyRing:
    """Knows the keys of servers."""

    def __init__(
        self, clock: Clock, client: FederationClient, server_name: str, signing_key: SigningKey
    ) -> None:
        self._clock = clock
        self._client = client
        self._server_name = server_name
        self._own = {signing_key.key_id: PublishedKey(signing_key.verify_key(), 2**53 - 1)}
        self._kept: Cache[str, ServerKeys] = Cache(SERVERS_KEPT, "server keys")
        self._asking: dict[str, asyncio.Future[ServerKeys]] = {}

    async def find_key(self, server_name: str, key_id: str) -> VerifyKey | None:
        """The key of the server under this id, as long as it is valid now; None where it has none."""
        found = await self.find_keys([(server_name, key_id)], self._clock.now())
        published = found.get((server_name, key_id))
        return None if published is None or published.is_old else published.key

    async def find_keys(
        self, wanted: Collection[tuple[str, str]], valid_at: int
    ) -> dict[tuple[str, str], PublishedKey]:
        """The keys by (server, key id), those that no one knows left out.

        A server is asked anew where a key of its would not be valid at that time (ms).
        """
        servers = {server for server, _ in wanted}
        known = dict(zip(servers, await asyncio.gather(*map(self._known, servers)), strict=True))
        lacking = {
            server
            for server, key_id in wanted
            if (key := known[server].get(key_id)) is None or not (key.is_old or key.is_valid_at(valid_at))
        } - {self._server_name}
        asked = await asyncio.gather(*map(self._ask, lacking))
        known.update(zip(lacking, asked, strict=True))
        return {
            (server, key_id): known[server][key_id] for server, key_id in wanted if key_id in known[server]
        }

    async def _known(self, server: str) -> ServerKeys:
        if server == self._server_name:
            return self._own
        return self._kept.get(server) or {}

    async def _ask(self, server: str) -> ServerKeys:
        asking = self._asking.get(server)
        if asking is None:
            asking = self._asking[server] = asyncio.ensure_future(self._fetch(server))  # noqa: TID251
            asking.add_done_callback(lambda _: self._asking.pop(server, None))
        return await asyncio.shield(asking)

    async def _fetch(self, server: str) -> ServerKeys:
        before = self._kept.get(server) or {}
        try:
            body = await self._client.get(server, "/_matrix/key/v2/server", even_if_failing=True)
            found = parse_server_keys(canonical_json.decode(body), server, self._clock.now())
        except (RemoteError, BadJson, BadAnswer, msgspec.MsgspecError):
            return before
        merged = {**before, **found}
        self._kept.set(server, merged)
        return merged
