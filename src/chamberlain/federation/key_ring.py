"""The keys of other servers: in memory, in the database, asked of the servers themselves, asked of notaries."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

import msgspec

from chamberlain.federation.availability import Destinations
from chamberlain.federation.client import FederationClient
from chamberlain.federation.notaries import Notaries, Wanted
from chamberlain.matrix import canonical_json
from chamberlain.matrix.errors import BadJson
from chamberlain.matrix.remote_errors import RemoteError
from chamberlain.matrix.server_keys import PublishedKey, parse_server_keys
from chamberlain.matrix.signing import VerifyKey
from chamberlain.runtime.cache import Cache
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.shared import Shared
from chamberlain.store import server_keys as rows
from chamberlain.store.database import Database
from chamberlain.store.server_keys import KeyAnswer

SERVERS_KEPT: Final = 10_000
TIMEOUT: Final = 10.0
MAX_BYTES: Final = 16 * 1024
ASKED_AT_ONCE: Final = 50
"""Servers whose keys are asked for at the same time; more of them wait."""
STRANGERS_WAITING: Final = 200
"""With so many waiting, who signs a request with a key that is not known is refused."""
MANY: Final = 20
"""Above so many servers, notaries are asked first: one answer of theirs has the keys of a hundred."""
ASK_AGAIN_MS: Final = 60_000
"""A server is not asked again before, whatever keys of its are named."""
LONGEST_WAIT_MS: Final = 600_000

ServerKeys = Mapping[str, PublishedKey]


class _Kept(msgspec.Struct, frozen=True):
    keys: ServerKeys
    asked_at: int
    """When the server, or a notary, told them last (ms)."""


class _Failure(msgspec.Struct, frozen=True):
    until: int
    count: int


_NOTHING: Final = _Kept({}, 0)


class KeyRing:
    """Knows the keys of servers, those of this one too."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        client: FederationClient,
        availability: Destinations,
        *,
        server_name: str,
        own: Callable[[], ServerKeys],
        notaries: Collection[str],
    ) -> None:
        self._db = db
        self._clock = clock
        self._client = client
        self._server_name = server_name
        self._own = own
        others = [name for name in notaries if name != server_name]
        self._notaries = Notaries(client, availability, others, self._find_notary_key)
        self._kept: Cache[str, _Kept] = Cache(SERVERS_KEPT, "server keys")
        self._failures: Cache[str, _Failure] = Cache(SERVERS_KEPT, "servers without keys")
        self._loading = Shared("load server keys", self._load)
        self._asking = Shared("ask for server keys", self._ask)
        self._slots = asyncio.Semaphore(ASKED_AT_ONCE)

    async def close(self) -> None:
        """End the questions under way."""
        await self._asking.close()
        await self._loading.close()
        await self._notaries.close()

    async def find_key(self, server_name: str, key_id: str) -> VerifyKey | None:
        """The key of the server under this id, as long as it is valid now; None where it has none."""
        now = self._clock.now()
        key = self._current(server_name, key_id, now)
        if key is not None or server_name == self._server_name:
            return key
        await self._load_unknown([server_name])
        if len(self._asking) < STRANGERS_WAITING:
            await self._seek({server_name: {key_id: now}})
        return self._current(server_name, key_id, now)

    async def find_keys(
        self, wanted: Collection[tuple[str, str]], valid_at: int
    ) -> dict[tuple[str, str], PublishedKey]:
        """The keys by (server, key id), those that no one knows left out.

        A server is asked anew where a key of its would not be valid at that time (ms).
        """
        lacking: Wanted = {}
        for server, key_id in wanted:
            if server != self._server_name and not self._has(server, key_id, valid_at):
                lacking.setdefault(server, {})[key_id] = valid_at
        if lacking:
            await self._load_unknown(lacking)
            await self._seek(lacking)
        found = {(server, key_id): self._keys(server).get(key_id) for server, key_id in wanted}
        return {name: key for name, key in found.items() if key is not None}

    async def find_answers(self, server_name: str, valid_until: int) -> list[bytes]:
        """What the server has said of its keys, as it has signed it; asked anew where none of it holds until then.

        For whom this server is a notary: no other notary is asked.
        """
        await self._load_unknown([server_name])
        if not self._holds_until(server_name, valid_until) and len(self._asking) < STRANGERS_WAITING:
            await self._ask_if_due(server_name, lambda: self._holds_until(server_name, valid_until))
        return [found.answer for found in await self._db.read(rows.find, server_name)]

    def _keys(self, server: str) -> ServerKeys:
        return self._own() if server == self._server_name else self._kept.get(server, _NOTHING).keys

    def _current(self, server: str, key_id: str, now: int) -> VerifyKey | None:
        found = self._keys(server).get(key_id)
        return None if found is None or found.is_old or now > found.valid_until else found.key

    def _has(self, server: str, key_id: str, valid_at: int) -> bool:
        found = self._keys(server).get(key_id)
        return found is not None and (found.is_old or found.is_valid_at(valid_at))

    def _holds_until(self, server: str, valid_until: int) -> bool:
        keys = self._keys(server).values()
        return any(key.is_valid_at(valid_until) for key in keys if not key.is_old)

    def _lacking(self, wanted: Wanted) -> Wanted:
        return {
            server: keys
            for server, keys in wanted.items()
            if not all(self._has(server, key_id, until) for key_id, until in keys.items())
        }

    async def _seek(self, wanted: Wanted) -> None:
        """Ask for keys that are not in memory, of whom it is time to ask."""
        wanted = self._lacking({server: wanted[server] for server in wanted if self._may_ask(server)})
        steps = [self._ask_directly, self._ask_notaries]
        for step in reversed(steps) if len(wanted) > MANY else steps:
            if wanted:
                await step(wanted)
                wanted = self._lacking(wanted)
        for server in wanted:
            self._note_failure(server)

    def _may_ask(self, server: str) -> bool:
        now = self._clock.now()
        failure = self._failures.get(server)
        if failure is not None and now < failure.until:
            # Somebody who asks at this moment is waited for.
            return server in self._asking
        return now - self._kept.get(server, _NOTHING).asked_at >= ASK_AGAIN_MS or server in self._asking

    def _note_failure(self, server: str) -> None:
        before = self._failures.get(server)
        count = 1 if before is None else before.count + 1
        wait = min(ASK_AGAIN_MS * 2 ** min(count - 1, 5), LONGEST_WAIT_MS)
        self._failures.set(server, _Failure(self._clock.now() + wait, count))

    async def _load_unknown(self, servers: Iterable[str]) -> None:
        unknown = [server for server in servers if server not in self._kept]
        await asyncio.gather(*map(self._loading.get, unknown))

    async def _load(self, server: str) -> None:
        keys: dict[str, PublishedKey] = {}
        asked_at = 0
        for found in await self._db.read(rows.find, server):
            try:
                keys |= parse_server_keys(canonical_json.decode(found.answer), server, found.fetched_at)
            except BadJson:
                continue
            asked_at = found.fetched_at
        if keys and server not in self._kept:
            self._kept.set(server, _Kept(keys, asked_at))

    async def _ask_directly(self, servers: Iterable[str]) -> None:
        waiting = list(servers)
        for start in range(0, len(waiting), ASKED_AT_ONCE):
            await asyncio.gather(*map(self._asking.get, waiting[start : start + ASKED_AT_ONCE]))

    async def _ask(self, server: str) -> None:
        async with self._slots:
            try:
                body = await self._client.get(
                    server,
                    "/_matrix/key/v2/server",
                    timeout=TIMEOUT,
                    max_bytes=MAX_BYTES,
                    even_if_failing=True,
                )
            except RemoteError:
                return
        try:
            await self._keep(server, canonical_json.decode(body), is_direct=True)
        except BadJson:
            return

    async def _ask_notaries(self, wanted: Wanted) -> None:
        for server, answers in (await self._notaries.ask(wanted)).items():
            for answer in answers if server in wanted else ():
                try:
                    await self._keep(server, answer, is_direct=False)
                except BadJson:
                    continue

    async def _find_notary_key(self, server: str, key_id: str) -> VerifyKey | None:
        now = self._clock.now()
        await self._load_unknown([server])
        if self._current(server, key_id, now) is None:
            await self._ask_if_due(server, lambda: self._current(server, key_id, now) is not None)
        return self._current(server, key_id, now)

    async def _ask_if_due(self, server: str, is_enough: Callable[[], bool]) -> None:
        if self._may_ask(server):
            await self._asking.get(server)
            if not is_enough():
                self._note_failure(server)

    async def _keep(self, server: str, answer: object, *, is_direct: bool) -> None:
        """Take up what a server has said of its keys; raises BadJson where it has not.

        What a notary tells may be older than what is known: it is taken up where there is more in it.
        """
        now = self._clock.now()
        found = parse_server_keys(answer, server, now)
        encoded = canonical_json.encode(answer)
        if len(encoded) > MAX_BYTES:
            raise BadJson("The keys take too many bytes")
        await self._load_unknown([server])
        known = self._keys(server)
        if not is_direct and all(self._has(server, key_id, key.valid_until) for key_id, key in found.items()):
            return
        self._kept.set(server, _Kept({**known, **found}, now))
        self._failures.pop(server)
        await self._db.write(rows.put, server, list(found), KeyAnswer(now, encoded))
