"""A request's way through the edge, as a client sees it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chamberlain.config.listeners import Listener
from chamberlain.config.rate_limits import Rate, RateLimits
from chamberlain.http.answers import Raw, Status, Stream
from chamberlain.http.asgi import HUNG_UP
from chamberlain.http.endpoint import (
    Auth,
    Body,
    Context,
    Limit,
    Path,
    Request,
    Response,
    Upload,
    endpoint,
)
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import Forbidden, LimitExceeded, MatrixError, UIARequired
from chamberlain.matrix.types import JsonObject
from tests.support.asgi import begin, call
from tests.support.edge import Edge

ALICE = {"Authorization": "Bearer alice"}
ECHO = "/_matrix/client/v3/echo/n%2Fn"


class Echo(Request):
    name: Path[str]
    content: Body[JsonObject]


class Echoed(Response):
    name: str
    content: JsonObject
    note: str = ""


@endpoint("PUT", "/_matrix/client/v3/echo/{name}", auth=Auth.ACCESS_TOKEN, limit=Limit.SEND, max_body=1000)
async def echo(ctx: Context, request: Echo) -> Echoed:
    """Give back what was sent."""
    return Echoed(request.name, request.content)


@endpoint("POST", "/_matrix/client/v3/nothing", auth=Auth.NONE, limit=Limit.LOGIN)
async def answer_nothing(ctx: Context) -> None:
    """Answer nothing."""


class InARoom(Request):
    room_id: Path[str]


def raising(error: BaseException) -> Any:
    """An endpoint that raises."""

    @endpoint("GET", "/_matrix/client/v3/raise", auth=Auth.NONE)
    async def act(ctx: Context) -> None:
        """Raise."""
        raise error

    return act


def answering(answer: object) -> Any:
    """An endpoint that answers so."""

    @endpoint("GET", "/_matrix/client/v3/answer", auth=Auth.NONE)
    async def act(ctx: Context) -> object:
        """Answer."""
        return answer

    return act


async def test_a_request_reaches_its_handler_and_its_answer_comes_back() -> None:
    """Path decoded, body read, requester known; what holds its default is left out of the answer."""
    edge = Edge(echo)

    answer = await call(edge.app, "PUT", ECHO, ALICE, {"a": [1, 2]})

    assert answer.ok() == {"name": "n/n", "content": {"a": [1, 2]}}
    assert answer.headers["content-type"] == "application/json"
    assert edge.observed == [("test_asgi.echo", 200)]


async def test_every_request_has_an_id_of_its_own() -> None:
    """In a header of errors too."""
    edge = Edge(echo)
    answers = [await call(edge.app, "PUT", ECHO, ALICE, {}) for _ in range(2)]
    answers.append(await call(edge.app, "GET", "/nowhere"))

    assert len({answer.headers["x-request-id"] for answer in answers}) == 3


async def test_the_body_is_json_whatever_its_content_type() -> None:
    """As `curl -d` declares a form."""
    edge = Edge(echo)
    headers = ALICE | {"Content-Type": "application/x-www-form-urlencoded"}

    assert (await call(edge.app, "PUT", ECHO, headers, {"a": 1})).ok()["content"] == {"a": 1}


async def test_a_body_may_come_in_pieces() -> None:
    """And is put together before it is read."""
    edge = Edge(echo)

    assert (await call(edge.app, "PUT", ECHO, ALICE, [b'{"a"', b": ", b"1}"])).ok()["content"] == {"a": 1}


@pytest.mark.parametrize("body", [b" " * 1001, [b"{", b" " * 1000, b"}"], [b" " * 2000, b"never read"]])
@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_over_its_limit_is_too_large(body: Any, declared: bool) -> None:
    """413 by its declared length, or as soon as it has grown over the limit."""
    edge = Edge(echo)
    headers = ALICE if declared else ALICE | {"Content-Length": "what"}

    (await call(edge.app, "PUT", ECHO, headers, body)).error(413, "M_TOO_LARGE")


async def test_a_client_that_hangs_up_within_its_body_is_let_go() -> None:
    """Nothing is answered, and nothing was called."""
    edge = Edge(echo)
    exchange = begin(edge.app, "PUT", ECHO, ALICE, [b'{"a": ', b"1}"])
    exchange.hang_up()
    await exchange.task

    assert edge.observed == [("test_asgi.echo", HUNG_UP)]


async def test_a_body_that_does_not_come_in_time_is_refused() -> None:
    """408 after a minute, so that slow senders do not gather; who has not had that long is left alone."""
    edge = Edge(echo)
    slow = begin(edge.app, "PUT", ECHO, ALICE, [b"{", b"}"])
    slow.stall()
    await edge.clock.advance(30)
    later = begin(edge.app, "PUT", ECHO, ALICE, [b"{", b"}"])
    later.stall()
    await edge.clock.advance(40)

    (await slow.answer()).error(408, "M_UNKNOWN")
    assert not later.task.done()
    later.hang_up()
    await later.task


async def test_the_token_is_asked_before_the_body() -> None:
    """Who is not known learns nothing from a bad or large body."""
    edge = Edge(echo)

    (await call(edge.app, "PUT", ECHO, {}, b"x" * 5000)).error(401, "M_MISSING_TOKEN")


@pytest.mark.parametrize("prefix", ["/_matrix/client/v3/x", "/_synapse/admin/x", "/.well-known/x"])
async def test_web_pages_may_read_answers_and_errors(prefix: str) -> None:
    """CORS headers on everything there; OPTIONS is answered for any path, known or not."""
    edge = Edge(echo)
    error = await call(edge.app, "GET", prefix)
    preflight = await call(edge.app, "OPTIONS", prefix)

    assert error.error(404, "M_UNRECOGNIZED")
    assert error.headers["access-control-allow-origin"] == "*"
    assert (preflight.status, preflight.body) == (204, b"")
    assert "PUT" in preflight.headers["access-control-allow-methods"]
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    assert preflight.headers["access-control-allow-origin"] == "*"


async def test_answers_too_have_cors_headers() -> None:
    """Not only errors."""
    edge = Edge(answer_nothing)

    answer = await call(edge.app, "POST", "/_matrix/client/v3/nothing")

    assert answer.ok() == {}
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("path", ["/_chamberlain/admin/v1/x", "/_dendrite/admin/x", "/health"])
async def test_no_page_of_another_origin_reads_the_rest(path: str) -> None:
    """The console's API has no CORS headers, and no OPTIONS."""
    edge = Edge(echo)
    for method in ("GET", "OPTIONS"):
        answer = await call(edge.app, method, path)

        answer.error(404, "M_UNRECOGNIZED")
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_wrong_method_is_told_the_right_ones() -> None:
    """405 with Allow; HEAD is not run as a GET."""
    edge = Edge(echo, answering({}))

    assert (await call(edge.app, "POST", ECHO, ALICE)).error(405, "M_UNRECOGNIZED")
    answer = await call(edge.app, "HEAD", "/_matrix/client/v3/answer")
    assert (answer.status, answer.headers["allow"]) == (405, "GET")


async def test_a_refusal_has_its_status_errcode_and_fields() -> None:
    """As the domain raised it."""
    edge = Edge(raising(Forbidden("No entry", limit=3)))

    answer = (await call(edge.app, "GET", "/_matrix/client/v3/raise")).error(403, "M_FORBIDDEN")

    assert answer == {"errcode": "M_FORBIDDEN", "error": "No entry", "limit": 3}


async def test_who_asks_too_often_is_told_when_to_come_back() -> None:
    """In milliseconds in the body, in seconds, rounded up, in the header."""
    edge = Edge(raising(LimitExceeded(1001)))

    answer = await call(edge.app, "GET", "/_matrix/client/v3/raise")

    assert answer.error(429, "M_LIMIT_EXCEEDED")["retry_after_ms"] == 1001
    assert answer.headers["retry-after"] == "2"


async def test_a_failure_of_ours_tells_nothing_of_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """500 to the client; the cause goes to the log."""
    edge = Edge(raising(RuntimeError("the secret is 42")))

    answer = await call(edge.app, "GET", "/_matrix/client/v3/raise")

    answer.error(500, "M_UNKNOWN")
    assert b"42" not in answer.body
    assert "the secret is 42" in "".join(capsys.readouterr())


async def test_an_answer_that_is_no_json_is_a_failure_of_ours() -> None:
    """A lone surrogate must not break the connection off."""
    edge = Edge(answering({"a": "\ud800"}))

    (await call(edge.app, "GET", "/_matrix/client/v3/answer")).error(500, "M_UNKNOWN")


async def test_interactive_authentication_is_asked_without_an_errcode() -> None:
    """401 with the flows; with an errcode and the flows when a stage has failed."""
    body = {"session": "s", "flows": [{"stages": ["m.login.dummy"]}], "params": {}}
    first = Edge(raising(UIARequired(body)))
    second = Edge(raising(UIARequired(body, failure=Forbidden("Wrong password"))))

    asked = await call(first.app, "GET", "/_matrix/client/v3/raise")
    failed = await call(second.app, "GET", "/_matrix/client/v3/raise")

    assert (asked.status, asked.json) == (401, body)
    assert failed.error(401, "M_FORBIDDEN") == {"errcode": "M_FORBIDDEN", "error": "Wrong password", **body}


@pytest.mark.parametrize(
    ("answer", "status", "body", "header"),
    [
        (None, 200, b"{}", ("content-type", "application/json")),
        ([1, 2], 200, b"[1,2]", ("content-type", "application/json")),
        (Raw(b"hi", "text/plain", 201, (("ETag", "x"),)), 201, b"hi", ("etag", "x")),
        (Status(202, {"a": 1}), 202, b'{"a":1}', ("content-length", "7")),
        (Status(302, None, (("Location", "/x"),)), 302, b"{}", ("location", "/x")),
    ],
)
async def test_a_handler_may_answer_in_several_ways(
    answer: object, status: int, body: bytes, header: tuple[str, str]
) -> None:
    """Nothing, any JSON, bytes, and another status or further headers."""
    edge = Edge(answering(answer))

    found = await call(edge.app, "GET", "/_matrix/client/v3/answer")

    assert (found.status, found.body) == (status, body)
    assert found.headers[header[0]] == header[1]


async def test_an_answer_can_be_streamed() -> None:
    """Chunk by chunk, with a length where it is known."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"cd"

    edge = Edge(answering(Stream(chunks(), "image/png", 4)))

    answer = await call(edge.app, "GET", "/_matrix/client/v3/answer")

    assert (answer.status, answer.body) == (200, b"abcd")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-length"] == "4"


class File(Request):
    file: Upload


@endpoint("POST", "/_matrix/media/v3/upload", auth=Auth.NONE)
async def upload(ctx: Context, request: File) -> JsonObject:
    """Measure a file."""
    content = await request.file.read(10)
    return {"type": ctx.content_type, "declared": request.file.length, "size": len(content)}


async def test_an_upload_is_read_by_the_handler() -> None:
    """With its declared type and length, up to the limit that the handler sets."""
    edge = Edge(upload)
    path, headers = "/_matrix/media/v3/upload", {"Content-Type": "image/png"}

    assert (await call(edge.app, "POST", path, headers, [b"\xff\x00", b"abc"])).ok() == {
        "type": "image/png",
        "declared": 5,
        "size": 5,
    }
    (await call(edge.app, "POST", path, headers, b"x" * 11)).error(413, "M_TOO_LARGE")
    undeclared = {"Content-Length": ""}
    (await call(edge.app, "POST", path, undeclared, [b"x" * 6, b"x" * 6])).error(413, "M_TOO_LARGE")


async def test_an_upload_that_is_cut_off_is_an_error_in_the_handler() -> None:
    """So that half a file is never kept."""
    edge = Edge(upload)
    exchange = begin(edge.app, "POST", "/_matrix/media/v3/upload", {}, [b"abc", b"d"])
    exchange.hang_up()

    (await exchange.answer()).error(400, "M_UNKNOWN")


class Poll:
    """A long poll that ends when `news` is set, and notes how it ended."""

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self.waiting = asyncio.Event()
        self.ended = ""

        @endpoint("GET", "/_matrix/client/v3/sync", auth=Auth.NONE, long_poll=True)
        async def sync(ctx: Context) -> JsonObject:
            """Wait for news."""
            self.waiting.set()
            try:
                await self.news.wait()
            except asyncio.CancelledError:
                self.ended = "cancelled"
                raise
            self.ended = "answered"
            return {"news": True}

        self.handler = sync


async def test_a_long_poll_ends_when_the_client_hangs_up() -> None:
    """The handler is cancelled, and the server below sees a request that just ended."""
    poll = Poll()
    edge = Edge(poll.handler)
    exchange = begin(edge.app, "GET", "/_matrix/client/v3/sync")
    await poll.waiting.wait()
    exchange.hang_up()
    await exchange.task

    assert poll.ended == "cancelled"
    assert edge.observed == [("test_asgi.sync", HUNG_UP)]


async def test_a_long_poll_is_answered_when_there_is_news() -> None:
    """And leaves no task behind."""
    poll = Poll()
    edge = Edge(poll.handler)
    exchange = begin(edge.app, "GET", "/_matrix/client/v3/sync")
    await poll.waiting.wait()
    poll.news.set()

    assert (await exchange.answer()).ok() == {"news": True}
    await edge.app._tasks.settle()
    assert len(asyncio.all_tasks()) == 1


async def test_a_long_poll_that_is_cancelled_by_the_server_stays_cancelled() -> None:
    """A hang-up is the client's; what the server cancels is passed on."""
    poll = Poll()
    edge = Edge(poll.handler)
    exchange = begin(edge.app, "GET", "/_matrix/client/v3/sync")
    await poll.waiting.wait()
    exchange.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await exchange.task

    assert edge.observed == []


async def test_a_handler_can_ask_whether_the_client_is_still_there() -> None:
    """What it gave to `on_hang_up` is called when the client hangs up."""
    started, gone = asyncio.Event(), asyncio.Event()

    @endpoint("GET", "/_matrix/client/v3/wait", auth=Auth.NONE)
    async def wait(ctx: Context) -> None:
        """Wait for the hang-up."""
        ctx.on_hang_up(gone.set)
        started.set()
        await gone.wait()

    edge = Edge(wait)
    exchange = begin(edge.app, "GET", "/_matrix/client/v3/wait")
    await started.wait()
    exchange.hang_up()

    assert (await exchange.answer()).ok() == {}


async def test_each_user_is_limited_and_who_is_unknown_by_address() -> None:
    """One user's or address's excess is not another's."""
    rate = Rate(per_second=1.0, burst=1)
    edge = Edge(echo, answer_nothing, limits=RateLimits(send=rate, login=rate))

    (await call(edge.app, "PUT", ECHO, ALICE, {})).ok()
    (await call(edge.app, "PUT", ECHO, ALICE, {}, client=("10.0.0.9", 1))).error(429, "M_LIMIT_EXCEEDED")

    path = "/_matrix/client/v3/nothing"
    (await call(edge.app, "POST", path)).ok()
    (await call(edge.app, "POST", path)).error(429, "M_LIMIT_EXCEEDED")
    (await call(edge.app, "POST", path, client=("10.0.0.9", 1))).ok()


async def test_a_listener_serves_the_apis_of_its_settings() -> None:
    """What it does not serve is unrecognized there, `/health` and the like excepted."""

    @endpoint("GET", "/_synapse/admin/v1/x", auth=Auth.NONE)
    @endpoint("GET", "/_matrix/client/v1/media/x", auth=Auth.NONE)
    @endpoint("GET", "/_matrix/client/v3/x", auth=Auth.NONE)
    @endpoint("GET", "/health", auth=Auth.NONE)
    async def act(ctx: Context) -> None:
        """Answer."""

    edge = Edge(act)
    state = {"listener": Listener(resources=("client",))}
    statuses = {
        path: (await call(edge.app, "GET", path, state=state)).status
        for path in ("/_synapse/admin/v1/x", "/_matrix/client/v1/media/x", "/_matrix/client/r0/x", "/health")
    }

    assert list(statuses.values()) == [404, 404, 200, 200]


class Refusing:
    """Signatures of which one is good."""

    async def verify(self, method: str, target: str, authorization: str, body: bytes) -> str:
        if authorization != "X-Matrix good":
            raise MatrixError(ErrCode.UNAUTHORIZED, "Bad signature")
        assert (method, target, body) == ("PUT", "/_matrix/federation/v1/send/t%2F1?a=b", b'{"a":1}')
        return "remote.example"


class Transaction(Request):
    txn: Path[str]
    content: Body[JsonObject]


@endpoint("PUT", "/_matrix/federation/v1/send/{txn}", auth=Auth.SIGNED_REQUEST, limit=Limit.REMOTE)
async def take_transaction(ctx: Context, request: Transaction) -> JsonObject:
    """Take a transaction."""
    return {"from": ctx.origin, "txn": request.txn, "content": request.content}


async def test_a_signed_request_is_verified_with_its_exact_path_and_body() -> None:
    """Undecoded and with the query string, before anything is parsed; the handler knows the origin."""
    edge = Edge(take_transaction, signatures=Refusing())
    target = "/_matrix/federation/v1/send/t%2F1?a=b"

    good = await call(edge.app, "PUT", target, {"Authorization": "X-Matrix good"}, {"a": 1})
    bad = await call(edge.app, "PUT", target, {"Authorization": "X-Matrix bad"}, b"no json")

    assert good.ok() == {"from": "remote.example", "txn": "t/1", "content": {"a": 1}}
    bad.error(401, "M_UNAUTHORIZED")
    with pytest.raises(TypeError):
        Edge(take_transaction)


@pytest.mark.parametrize(("unheard", "statuses"), [(0, [403, 403]), (1, [200, 200])])
async def test_a_refusal_in_a_room_holds_by_what_all_workers_know(unheard: int, statuses: list[int]) -> None:
    """Where there was news that this worker had not heard, the handler is asked once more."""

    @endpoint("GET", "/_matrix/client/v3/rooms/{room_id}/look", auth=Auth.NONE)
    async def look(ctx: Context, request: InARoom) -> None:
        """Look at what the news let in."""
        if ctx.services.db.position == 0:
            raise Forbidden("You are not in this room")

    edge = Edge(look)
    edge.news.unheard = unheard
    target = "/_matrix/client/v3/rooms/%21a/look"
    assert [(await call(edge.app, "GET", target)).status for _ in range(2)] == statuses


async def test_other_refusals_are_final() -> None:
    """Elsewhere nothing is tried twice: what a guess at a password costs is counted."""
    calls = []

    @endpoint("POST", "/_matrix/client/v3/guess", auth=Auth.NONE)
    async def guess(ctx: Context) -> None:
        """Guess."""
        calls.append(ctx)
        raise Forbidden("Wrong")

    edge = Edge(guess)
    edge.news.unheard = 1
    assert (await call(edge.app, "POST", "/_matrix/client/v3/guess")).status == 403
    assert len(calls) == 1
