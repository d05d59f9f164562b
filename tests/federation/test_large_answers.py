"""Answers with very many events go through memory in pieces."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from chamberlain.federation import large_answers
from chamberlain.federation.large_answers import LargeAnswers
from chamberlain.federation.transport import StreamedAnswer, TransportAnswer
from chamberlain.matrix.remote_errors import BadAnswer, Refused, Unreachable
from tests.support.server import Server, until
from tests.support.wire import Wire

EVENTS = 6_000
EVENT = b'{"content":{"body":"%b"},"number":%%d}' % (b"x" * 600)


class Far:
    """A server that answers every request with what a test says, and knows whether the connection was given back."""

    def __init__(self, wire: Wire, pieces: AsyncIterator[bytes]) -> None:
        self.pieces = pieces
        self.is_closed = False
        wire.peers["far.test"] = self._handle

    async def _handle(self, *_: object) -> StreamedAnswer:
        return StreamedAnswer(200, {}, self.pieces, self._close)

    async def _close(self) -> None:
        self.is_closed = True


async def many(count: int) -> AsyncIterator[bytes]:
    """An object with that many events, in pieces that end anywhere."""
    yield b'{"pdus":['
    for start in range(0, count, 100):
        part = b",".join(EVENT % number for number in range(start, start + 100))
        yield part + (b"," if start + 100 < count else b"")
    yield b'],"auth_chain":[],"more":true}'


async def broken(events: bytes) -> AsyncIterator[bytes]:
    """The beginning of an answer, and then no more."""
    yield events
    raise Unreachable("far.test", "the connection broke")


async def endless() -> AsyncIterator[bytes]:
    """An answer without end."""
    yield b'{"pdus":['
    while True:
        yield EVENT % 1 + b","


def large(near: Server, folder: Path) -> LargeAnswers:
    """Large answers to `near`."""
    return LargeAnswers(near.app.services.federation.remotes.client, folder)


async def ask(answers: LargeAnswers, *, max_bytes: int = 2**30) -> tuple[bytes, list[bytes]]:
    """The rest of the far server's answer, and its events."""
    rest, (pdus, chain) = await answers.ask(
        "far.test", "GET", "/state", lists=("pdus", "auth_chain"), timeout=60, max_bytes=max_bytes
    )
    assert list(chain) == []
    return rest, list(pdus)


async def test_a_large_answer_is_never_in_memory(wire: Wire, near: Server, tmp_path: Path) -> None:
    """Of 4 MB, no more than a quarter is there at any time."""
    far = Far(wire, many(EVENTS))
    answers = large(near, tmp_path)
    tracemalloc.start()
    try:
        rest, (pdus, _) = await answers.ask(
            "far.test", "GET", "/state", lists=("pdus", "auth_chain"), timeout=60, max_bytes=2**30
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < EVENTS * len(EVENT) / 4
    assert rest == b'{"pdus":[],"auth_chain":[],"more":true}'
    assert len(pdus) == EVENTS and pdus[EVENTS - 1] == EVENT % (EVENTS - 1)
    assert far.is_closed


async def test_an_endless_answer_is_cut_off(wire: Wire, near: Server, tmp_path: Path) -> None:
    """At the given size; the connection is closed."""
    far = Far(wire, endless())

    with pytest.raises(BadAnswer):
        await ask(large(near, tmp_path), max_bytes=100_000)

    assert far.is_closed


async def test_an_answer_that_breaks_off_is_none(wire: Wire, near: Server, tmp_path: Path) -> None:
    """Nothing of it counts."""
    far = Far(wire, broken(b'{"pdus":[{},'))

    with pytest.raises(Unreachable):
        await ask(large(near, tmp_path))

    assert far.is_closed


@pytest.mark.parametrize("body", [b"", b"no json", b'{"pdus":[1]}', b'{"pdus":[{}'])
async def test_what_is_no_such_answer_is_refused(
    body: bytes, wire: Wire, near: Server, tmp_path: Path
) -> None:
    """As any other bad answer is; what is in no list is left to the caller."""

    async def handle(*_: object) -> TransportAnswer:
        return TransportAnswer(200, {}, body)

    wire.peers["far.test"] = handle
    if body in (b"", b"no json"):
        assert await ask(large(near, tmp_path)) == (body, [])
    else:
        with pytest.raises(BadAnswer):
            await ask(large(near, tmp_path))


async def test_a_refusal_is_one(wire: Wire, near: Server, tmp_path: Path) -> None:
    """With its errcode."""

    async def handle(*_: object) -> TransportAnswer:
        return TransportAnswer(403, {}, b'{"errcode":"M_FORBIDDEN","error":"No"}')

    wire.peers["far.test"] = handle

    with pytest.raises(Refused, match="No"):
        await ask(large(near, tmp_path))


async def test_large_answers_wait_for_one_another(
    near: Server, wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one is long under way; small ones do not."""
    monkeypatch.setattr(large_answers, "TOTAL_BYTES", 200_000)
    monkeypatch.setattr(large_answers, "SMALL_BYTES", 100_000)
    go_on = asyncio.Event()
    read: dict[str, int] = {}

    async def paused(name: str, count: int) -> AsyncIterator[bytes]:
        async for part in many(count):
            yield part
            read[name] = read.get(name, 0) + len(part)
            if name == "first" and read[name] > 150_000:
                await go_on.wait()

    answers = large(near, tmp_path)

    async def ask(name: str, count: int) -> int:
        Far(wire, paused(name, count))
        _, (events, _) = await answers.ask(
            "far.test", "GET", f"/{name}", lists=("pdus", "auth_chain"), timeout=300, max_bytes=10_000_000
        )
        return len(events)

    first = asyncio.ensure_future(ask("first", 600))
    await until_true(lambda: read.get("first", 0) > 150_000)
    second = asyncio.ensure_future(ask("second", 600))
    await until_true(lambda: read.get("second", 0) > 0)
    assert await ask("third", 100) == 100
    for _ in range(200):
        await asyncio.sleep(0)
    assert read["second"] < 150_000 and not second.done()
    go_on.set()
    assert await asyncio.gather(first, second) == [600, 600]


async def test_an_answer_with_too_many_events(
    near: Server, wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not read to its end."""
    monkeypatch.setattr(large_answers, "MAX_ITEMS", 1_000)
    far = Far(wire, endless())
    with pytest.raises(BadAnswer, match="more than 1000 events"):
        await large(near, tmp_path).ask(
            "far.test", "GET", "/x", lists=("pdus",), timeout=300, max_bytes=1_000_000_000
        )
    assert far.is_closed


async def until_true(condition: Callable[[], bool]) -> None:
    """Wait for it."""

    async def holds() -> bool:
        return condition()

    await until(holds)
