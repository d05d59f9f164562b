"""The ASGI application of one listener: from a request to its handler, and back with the answer."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any

from chamberlain.accounts.requester import local_operator
from chamberlain.http import cors
from chamberlain.http.answers import Stream
from chamberlain.http.auth import Signatures, check_signature, identify
from chamberlain.http.body import BodyReader, HungUp
from chamberlain.http.context import Context, Receive, Upload
from chamberlain.http.decode import RequestDecoder
from chamberlain.http.endpoint import Auth, Endpoint, Limit, Request, is_admin, is_of_a_room
from chamberlain.http.errors import answer_to
from chamberlain.http.listener import Entrance, Entrances
from chamberlain.http.measure import REQUESTS
from chamberlain.http.refusals import note_refusal
from chamberlain.http.router import Router, unrecognized
from chamberlain.http.sending import PREFLIGHT, Send, send_stream, send_wire, to_wire
from chamberlain.matrix.errors import MatrixError
from chamberlain.runtime import log
from chamberlain.runtime.rng import Rng
from chamberlain.runtime.tasks import Tasks

if TYPE_CHECKING:
    from chamberlain.http.services import Services

Scope = MutableMapping[str, Any]
Observe = Callable[[str, int, float], None]
"""Told of each request: the endpoint's name (or `unrecognized`), the status, the seconds it took."""

HUNG_UP = 499
"""Observed, never sent: the client did not wait for the answer."""
_OF_CLIENTS = frozenset({Auth.OPTIONAL, Auth.ACCESS_TOKEN, Auth.GUEST_OK, Auth.APPSERVICE, Auth.ADMIN})
_BY_STATE = (403, 404)
"""Refusals that what happened in a room meanwhile may turn around."""

_log = log.get_logger("http")


class Application:
    """Serves the endpoints, at every listener those that its settings name."""

    def __init__(
        self,
        services: Services,
        endpoints: Iterable[Endpoint],
        *,
        rng: Rng | None = None,
        tasks: Tasks | None = None,
        observe: Observe | None = None,
        signatures: Signatures | None = None,
        log_requests: bool = False,
    ) -> None:
        """`tasks` watches for clients that hang up; `observe` is the process's metrics where none is given.

        Raises TypeError for endpoints that cannot be served together, or that ask for signed requests where
        there are no `signatures` to verify them with.
        """
        served = list(endpoints)
        if signatures is None and any(endpoint.auth is Auth.SIGNED_REQUEST for endpoint in served):
            raise TypeError("endpoints for signed requests need something that verifies signatures")
        self._services = services
        self._clock = services.clock
        self._signatures = signatures
        self._tasks = tasks or Tasks()
        self._observe = observe or REQUESTS.observe
        self._log_requests = log_requests
        self._router = Router(served)
        self._bodies = BodyReader(self._clock)
        self._decoders: dict[type[Request], RequestDecoder] = {}
        self._entrances = Entrances()
        self._operator = local_operator(services.config.server_name)
        self._id_prefix = (rng or Rng()).id(6)
        self._ids = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request. The server must speak neither lifespan nor web sockets."""
        started = self._clock.monotonic()
        request_id = f"{self._id_prefix}-{next(self._ids):x}"
        log.request_id.set(request_id)
        entrance = self._entrances.of(scope.get("state"))
        client_ip = entrance.address.of(scope)
        ctx = Context(self._services, scope, receive, self._tasks, request_id, client_ip)
        name, status = await self._answer(ctx, entrance, receive, send)
        seconds = self._clock.monotonic() - started
        self._observe(name, status, seconds)
        if self._log_requests:
            _log.info(
                "request",
                method=ctx.method,
                path=ctx.raw_path.decode("latin-1"),
                status=status,
                milliseconds=round(seconds * 1000, 3),
                client=client_ip,
            )

    async def _answer(
        self, ctx: Context, entrance: Entrance, receive: Receive, send: Send
    ) -> tuple[str, int]:
        """Send the answer; the name of the endpoint and the status, for whoever measures."""
        is_shared = cors.is_shared(ctx.raw_path)
        if is_shared and ctx.method == "OPTIONS":
            await send_wire(send, ctx, PREFLIGHT, is_shared=True)
            return "preflight", 204
        name = "unrecognized"
        endpoint: Endpoint | None = None
        try:
            if not entrance.serves(ctx.path):
                raise unrecognized()
            endpoint, holes = self._router.find(ctx.method, ctx.raw_path)
            name = endpoint.name
            answer = await self._serve(endpoint, holes, ctx, entrance, receive)
            if isinstance(answer, Stream):
                await send_stream(send, ctx, answer, is_shared=is_shared)
                return name, answer.status
            wire = to_wire(answer)
        except HungUp:
            return name, HUNG_UP
        except Exception as error:
            wire = to_wire(answer_to(error))
            if endpoint is not None:
                await note_refusal(ctx, endpoint, error)
        await send_wire(send, ctx, wire, is_shared=is_shared)
        return name, wire[0]

    async def _serve(
        self, endpoint: Endpoint, holes: dict[str, str], ctx: Context, entrance: Entrance, receive: Receive
    ) -> object:
        """What the handler answers, once the requester is known and within limits and the request is read."""
        body: bytes | None = None
        if endpoint.auth is Auth.SIGNED_REQUEST:
            assert self._signatures is not None
            body = await self._bodies.read(ctx, receive, endpoint.max_body)
            await check_signature(self._signatures, ctx, body)
        elif endpoint.auth is not Auth.NONE:
            await self._identify(endpoint, ctx, entrance)
        self._check_limit(endpoint, ctx)
        if endpoint.request is None:
            return await _call(endpoint, ctx, (ctx,))
        decoder = self._decoder(endpoint.request)
        if body is None:
            body = await self._bodies.read(ctx, receive, endpoint.max_body) if decoder.reads_body else b""
        upload = Upload(receive, ctx.content_length) if decoder.takes_upload else None
        return await _call(endpoint, ctx, (ctx, decoder.decode(holes, ctx.query_string, body, upload)))

    async def _identify(self, endpoint: Endpoint, ctx: Context, entrance: Entrance) -> None:
        if entrance.is_local and is_admin(endpoint) and ctx.raw_header(b"authorization") is None:
            ctx.found_requester = self._operator
            return
        accounts = self._services.accounts
        await identify(accounts.tokens, endpoint, ctx)
        if ctx.found_requester is not None:
            accounts.last_seen.record(ctx.found_requester, ctx.client_ip, ctx.user_agent)

    def _check_limit(self, endpoint: Endpoint, ctx: Context) -> None:
        requester = ctx.found_requester
        if endpoint.limit is Limit.NONE or requester is self._operator:
            return
        if requester is None:
            self._services.limits.check(endpoint.limit, ctx.origin or ctx.client_ip)
        elif requester.appservice_id is None:
            self._services.limits.check(endpoint.limit, requester.user_id)

    def _decoder(self, request: type[Request]) -> RequestDecoder:
        decoder = self._decoders.get(request)
        if decoder is None:
            decoder = self._decoders[request] = RequestDecoder(request)
        return decoder


async def _call(endpoint: Endpoint, ctx: Context, arguments: tuple[object, ...]) -> object:
    """Run the handler; that of a long poll ends when the client hangs up."""
    try:
        if endpoint.long_poll:
            return await _call_watched(endpoint, ctx, arguments)
        if endpoint.method == "GET" and endpoint.auth in _OF_CLIENTS:
            # What a client has seen at another worker it finds here too.
            await ctx.services.db.catch_up()
        if is_of_a_room(endpoint):
            return await _call_in_a_room(endpoint, ctx, arguments)
        return await endpoint.handler(*arguments)
    finally:
        ctx.stop_watching()


async def _call_in_a_room(endpoint: Endpoint, ctx: Context, arguments: tuple[object, ...]) -> object:
    """Run the handler; once more where it refuses for want of what another worker did a moment ago."""
    db = ctx.services.db
    heard = db.position
    try:
        return await endpoint.handler(*arguments)
    except MatrixError as refusal:
        if refusal.status not in _BY_STATE or not await db.has_heard_since(heard):
            raise
    return await endpoint.handler(*arguments)


async def _call_watched(endpoint: Endpoint, ctx: Context, arguments: tuple[object, ...]) -> object:
    task = asyncio.current_task()
    assert task is not None
    is_waiting, is_given_up = True, False

    def give_up() -> None:
        nonlocal is_given_up
        if is_waiting:
            is_given_up = True
            task.cancel()

    ctx.on_hang_up(give_up)
    try:
        return await endpoint.handler(*arguments)
    except asyncio.CancelledError:
        if is_given_up:
            task.uncancel()
            raise HungUp from None
        raise
    finally:
        is_waiting = False
