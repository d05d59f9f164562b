"""Servers that are trusted to tell the keys of others (server-server API, Querying Keys Through Another Server)."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec

from chamberlain.federation.availability import Destinations
from chamberlain.federation.client import FederationClient
from chamberlain.matrix import canonical_json
from chamberlain.matrix.errors import BadJson
from chamberlain.matrix.remote_errors import RemoteError
from chamberlain.matrix.signing import VerifyKey, verify_json
from chamberlain.matrix.types import JsonObject
from chamberlain.runtime.log import get_logger
from chamberlain.runtime.tasks import Tasks

TIMEOUT: Final = 20.0
MAX_BYTES: Final = 4 * 1024 * 1024
AT_ONCE: Final = 100
"""Servers that are asked for in one request."""

MOST_WAITING: Final = 2_000
"""Servers that can wait for one round."""

_log = get_logger("federation")

Wanted = dict[str, dict[str, int]]
"""Until when (ms) a key should be valid, by server and key id."""
Answers = dict[str, list[JsonObject]]
FindKey = Callable[[str, str], Awaitable[VerifyKey | None]]
"""The key of a notary, which is asked of itself."""


class Notaries:
    """Asks the trusted key servers, in one round at a time: who comes meanwhile shares the next one."""

    def __init__(
        self, client: FederationClient, availability: Destinations, names: Sequence[str], find_key: FindKey
    ) -> None:
        self._client = client
        self._availability = availability
        self._names = names
        self._find_key = find_key
        self._tasks = Tasks()
        self._wanted: Wanted = {}
        self._next: asyncio.Future[Answers] | None = None
        self._is_asking = False

    async def ask(self, wanted: Wanted) -> Answers:
        """Answers by server, each signed by a notary, among them those about the servers that are wanted.

        Whether they are signed by the servers themselves is still to be checked. Nothing is found of what is more
        than fits into a round.
        """
        if not self._names or len(self._wanted) >= MOST_WAITING:
            return {}
        for server, keys in wanted.items():
            waiting = self._wanted.setdefault(server, {})
            for key_id, until in keys.items():
                waiting[key_id] = max(until, waiting.get(key_id, 0))
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        if not self._is_asking:
            self._is_asking = True
            self._tasks.spawn("notaries", self._ask_rounds())
        return await asyncio.shield(self._next)

    async def close(self) -> None:
        """End the questions under way."""
        await self._tasks.close()

    async def _ask_rounds(self) -> None:
        told = None
        try:
            while self._next is not None:
                wanted, told = self._wanted, self._next
                self._wanted, self._next = {}, None
                told.set_result(await self._ask_all(wanted))
        except Exception:
            _log.exception("asking notaries failed")
            for future in (told, self._next):
                if future is not None and not future.done():
                    future.set_result({})
            self._wanted, self._next = {}, None
        finally:
            self._is_asking = False
            for future in (told, self._next):
                if future is not None:
                    future.cancel()

    async def _ask_all(self, wanted: Wanted) -> Answers:
        found: Answers = {}
        for notary in self._names:
            left = [server for server in wanted if server not in found and server != notary]
            if not left or not await self._availability.may_ask(notary):
                continue
            for start in range(0, len(left), AT_ONCE):
                some = {server: wanted[server] for server in left[start : start + AT_ONCE]}
                for answer in await self._ask(notary, some):
                    if answer["server_name"] in some:
                        found.setdefault(answer["server_name"], []).append(answer)
        return found

    async def _ask(self, notary: str, wanted: Wanted) -> list[JsonObject]:
        body = {
            "server_keys": {
                server: {key_id: {"minimum_valid_until_ts": until} for key_id, until in keys.items()}
                for server, keys in wanted.items()
            }
        }
        try:
            # Whether it fails was asked before: the settings name it, which makes it no server of our rooms.
            answer = await self._client.request(
                notary,
                "POST",
                "/_matrix/key/v2/query",
                body,
                timeout=TIMEOUT,
                max_bytes=MAX_BYTES,
                even_if_failing=True,
            )
            decoded = canonical_json.decode(answer)
        except (RemoteError, BadJson, msgspec.MsgspecError):
            return []
        listed = decoded.get("server_keys") if isinstance(decoded, dict) else None
        return [
            answer
            for answer in (listed if isinstance(listed, list) else [])
            if isinstance(answer, dict)
            and isinstance(answer.get("server_name"), str)
            and await self._has_signed(notary, answer)
        ]

    async def _has_signed(self, notary: str, answer: JsonObject) -> bool:
        signatures: Any = answer.get("signatures")
        by_key = signatures.get(notary) if isinstance(signatures, dict) else None
        for key_id in list(by_key)[:5] if isinstance(by_key, dict) else ():
            key = await self._find_key(notary, key_id)
            if key is not None and _is_signed(answer, notary, key):
                return True
        return False


def _is_signed(answer: JsonObject, notary: str, key: VerifyKey) -> bool:
    try:
        return verify_json(answer, notary, key)
    except BadJson:
        return False
