"""Asking policy servers for their signatures (server-server API, Policy Servers)."""

import asyncio
from typing import Any, Final

import orjson

from chamberlain.federation.client import FederationClient, decode_answer
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import Forbidden, MatrixError
from chamberlain.matrix.events import Event
from chamberlain.matrix.policy import PolicyServer, add_signature
from chamberlain.matrix.remote_errors import Refused, RemoteError
from chamberlain.runtime.cache import Cache
from chamberlain.runtime.clock import Clock

PATH: Final = "/_matrix/policy/v1/sign"
TIMEOUT_S: Final = 8.0
"""Seconds that a policy server has for one event: the sender waits."""
REST_S: Final = 10.0
"""Seconds in which a policy server that gave no answer is not asked again, so that senders do not wait for nothing."""
AT_ONCE: Final = 20
"""How many events one policy server is asked about at once; others do not wait for it."""
MAX_BYTES: Final = 64 * 1024
_ABOUT_US: Final = frozenset(
    {ErrCode.UNKNOWN_TOKEN, ErrCode.MISSING_TOKEN, ErrCode.UNAUTHORIZED, ErrCode.UNRECOGNIZED}
)
"""What a policy server may say to this server, and must not say to its users: their clients would log out."""


class AskedPolicyServers:
    """Asks; `rooms.ports.PolicyServers`."""

    def __init__(self, client: FederationClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._places: Cache[str, asyncio.Semaphore] = Cache(1_000)
        self._resting: Cache[str, float] = Cache(1_000)
        """Until when, by the monotonic clock."""

    async def sign(self, server: PolicyServer, event: Event) -> Event:
        """As `PolicyServers.sign`."""
        places = self._places.get(server.name)
        if places is None:
            places = asyncio.Semaphore(AT_ONCE)
            self._places.set(server.name, places)
        async with places:
            if self._clock.monotonic() < self._resting.get(server.name, 0.0):
                raise _unreachable(server)
            try:
                body = await self._client.request(
                    server.name,
                    "POST",
                    PATH,
                    orjson.Fragment(event.pdu),
                    timeout=TIMEOUT_S,
                    max_bytes=MAX_BYTES,
                    even_if_failing=True,
                )
                answer = decode_answer(server.name, body, dict[str, Any])
            except Refused as refusal:
                if refusal.status < 500:
                    raise _in_its_words(refusal) from refusal
                raise self._rests(server) from refusal
            except RemoteError as error:
                raise self._rests(server) from error
        signed = add_signature(event, server, answer)
        if signed is None:
            raise Forbidden("The policy server has not signed with the key that the room names")
        return signed

    def _rests(self, server: PolicyServer) -> MatrixError:
        self._resting.set(server.name, self._clock.monotonic() + REST_S)
        return _unreachable(server)


def _unreachable(server: PolicyServer) -> MatrixError:
    message = f"The policy server of this room, {server.name}, gives no answer"
    return MatrixError(ErrCode.UNKNOWN, message, status=502)


def _in_its_words(refusal: Refused) -> MatrixError:
    try:
        code = ErrCode(refusal.code or "")
    except ValueError:
        return Forbidden(refusal.message)
    if code in _ABOUT_US or refusal.status < 400:
        return Forbidden(refusal.message)
    return MatrixError(code, refusal.message, status=refusal.status)
