"""Asking other homeservers, each request signed (server-server API, Request Authentication)."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from chamberlain.federation.own_keys import OwnKeys
from chamberlain.federation.request_signing import Gate, authorize
from chamberlain.federation.transport import StreamedAnswer, Transport
from chamberlain.matrix import canonical_json
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.remote_errors import BadAnswer, Refused, Unreachable

T = TypeVar("T")

TIMEOUT: Final = 20.0
"""Seconds that a request may take where its caller does not say otherwise."""
MAX_BYTES: Final = 8 * 1024 * 1024
"""Bytes of an answer where the caller does not say otherwise."""
_MAX_ERROR_BYTES: Final = 64 * 1024
_ERROR_TIMEOUT: Final = 10.0


class _ErrorBody(msgspec.Struct):
    errcode: str | None = None
    error: str | None = None
    room_version: str | None = None


class Availability(Protocol):
    """Which servers have failed lately, and are left alone for a while."""

    async def may_ask(self, destination: str) -> bool:
        """Whether the time to try it has come (again)."""
        ...

    def answered(self, destination: str, *, is_known: bool) -> None:
        """The server gave an answer: it is there. `is_known`: this server has dealings with it."""
        ...

    def failed(self, destination: str, why: str, *, is_known: bool) -> None:
        """The server could not be reached, or has broken down."""
        ...


class FederationClient:
    """Makes requests to homeservers by name."""

    def __init__(
        self,
        transport: Transport,
        gate: Gate,
        availability: Availability,
        server_name: str,
        own_keys: OwnKeys,
    ) -> None:
        self._transport = transport
        self._gate = gate
        self._availability = availability
        self._server_name = server_name
        self._own_keys = own_keys

    async def get(
        self,
        destination: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        *,
        timeout: float = TIMEOUT,
        max_bytes: int = MAX_BYTES,
        even_if_failing: bool = False,
    ) -> bytes:
        """GET; give the body of a 200. Raises as `request`."""
        target = f"{path}?{urlencode(query)}" if query else path
        return await self.request(
            destination,
            "GET",
            target,
            timeout=timeout,
            max_bytes=max_bytes,
            even_if_failing=even_if_failing,
        )

    async def request(
        self,
        destination: str,
        method: str,
        target: str,
        body: Any = None,
        *,
        timeout: float = TIMEOUT,
        max_bytes: int = MAX_BYTES,
        even_if_failing: bool = False,
    ) -> bytes:
        """Make one signed request and give the body of its answer, which was a 200.

        `target` is percent-encoded, as `federation_path` makes it, with the query; `body` is what canonical JSON
        takes, `orjson.Fragment`s of canonical bytes included. A server that has failed lately is not asked,
        unless `even_if_failing`: for what a local user waits for.

        Raises:
            Unreachable: no answer; settings or failures keep us from asking.
            Refused: any other status than 200.
            BadAnswer: it was longer than `max_bytes`.
        """
        await self._check_may_ask(destination, even_if_failing=even_if_failing)
        # What a user waits for names any server; what this server does of itself concerns those in its rooms.
        is_known = not even_if_failing
        content, headers = self._prepare(destination, method, target, body)
        try:
            answer = await self._transport.send(
                destination, method, target, headers, content, timeout=timeout, max_bytes=max_bytes
            )
        except Unreachable as error:
            self._availability.failed(destination, error.message, is_known=is_known)
            raise
        self._note(destination, answer.status, is_known=is_known)
        if answer.status != 200:
            raise _refusal(destination, answer.status, answer.body)
        return answer.body

    async def stream(
        self,
        destination: str,
        target: str,
        *,
        method: str = "GET",
        body: Any = None,
        timeout: float = TIMEOUT,
        even_if_failing: bool = False,
        is_known: bool = False,
    ) -> StreamedAnswer:
        """Make a request as `request` does, and give the answer, which was a 200, when its head has come.

        `timeout` and the chunks are as `Transport.stream` says. `is_known`: this server has dealings with the other.

        Raises:
            Unreachable: no answer; settings or failures keep us from asking.
            Refused: any other status than 200.
        """
        await self._check_may_ask(destination, even_if_failing=even_if_failing)
        content, headers = self._prepare(destination, method, target, body)
        try:
            answer = await self._transport.stream(
                destination, method, target, headers, content, timeout=timeout
            )
        except Unreachable as error:
            self._availability.failed(destination, error.message, is_known=is_known)
            raise
        if answer.status == 200:
            self._note(destination, 200, is_known=is_known)
            return answer
        refusal = _refusal(destination, answer.status, await _short_body(answer))
        # A 5xx about the thing that was asked for is not one about the server.
        is_about_server = refusal.code in (None, ErrCode.UNKNOWN)
        self._note(destination, answer.status if is_about_server else 200, is_known=is_known)
        raise refusal

    async def _check_may_ask(self, destination: str, *, even_if_failing: bool) -> None:
        if destination == self._server_name:
            raise Unreachable(destination, "this server does not ask itself")
        if not self._gate.permits(destination):
            raise Unreachable(destination, "the settings say that it is not talked to")
        if not even_if_failing and not await self._availability.may_ask(destination):
            raise Unreachable(destination, "it has failed lately and is not asked again yet")

    def _prepare(
        self, destination: str, method: str, target: str, body: Any
    ) -> tuple[bytes | None, dict[str, str]]:
        """The bytes of a body, and the headers of its request."""
        content = None if body is None else canonical_json.encode_unchecked(body)
        key, own = self._own_keys.signing_key, self._server_name
        headers = {"Authorization": authorize(key, own, destination, method, target, content)}
        if content is not None:
            headers["Content-Type"] = "application/json"
        return content, headers

    def _note(self, destination: str, status: int, *, is_known: bool) -> None:
        if status >= 500:
            self._availability.failed(destination, f"it answered with status {status}", is_known=is_known)
        else:
            self._availability.answered(destination, is_known=is_known)


async def _short_body(answer: StreamedAnswer) -> bytes:
    """The beginning of the body of an error, as much of it as comes soon."""
    body = b""
    try:
        async with asyncio.timeout(_ERROR_TIMEOUT):
            async for chunk in answer.chunks:
                body += chunk
                if len(body) > _MAX_ERROR_BYTES:
                    break
    except (TimeoutError, Unreachable):
        pass
    finally:
        await answer.close()
    return body


def _refusal(destination: str, status: int, body: bytes) -> Refused:
    try:
        found = msgspec.json.decode(body, type=_ErrorBody)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        found = _ErrorBody()
    message = (found.error or f"status {status}")[:500]
    return Refused(destination, status, found.errcode, message, found.room_version)


def federation_path(version: str, *parts: str) -> str:
    """`/_matrix/federation/<version>/…` with each part percent-encoded whole."""
    return "/".join([f"/_matrix/federation/{version}", *(quote(part, safe="") for part in parts)])


def decode_answer(destination: str, body: bytes, kind: type[T]) -> T:
    """The JSON of an answer as `kind`.

    Raises:
        BadAnswer: it is not.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise BadAnswer(destination, f"not what was asked for: {error}") from None
