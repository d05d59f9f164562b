"""Reading the answers of other servers."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chamberlain.federation.connections import Answer
from chamberlain.matrix.remote_errors import BadAnswer
from chamberlain.runtime.space import Space


class Response:
    """What the HTTP library gives: the head of an answer, and its body as the test lets it come."""

    status = 200
    content_length = None

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.pieces: asyncio.Queue[bytes] = asyncio.Queue()
        self.read = 0
        self.content = self

    async def iter_any(self) -> AsyncIterator[bytes]:
        """The pieces; an empty one is the end."""
        while piece := await self.pieces.get():
            self.read += 1
            yield piece

    def come(self, *pieces: bytes) -> None:
        """These have come."""
        for piece in pieces:
            self.pieces.put_nowait(piece)


def answers(count: int) -> tuple[list[Response], list[Answer]]:
    """Answers that share 100 bytes, those of up to ten apart."""
    space = Space(100, small=10)
    responses: list[Any] = [Response() for _ in range(count)]
    return responses, [Answer("far.test", response, space) for response in responses]


async def test_long_answers_wait_for_one_another() -> None:
    """What comes of the later ones is not read until the first is whole."""
    (first, second), (one, two) = answers(2)
    reading = [asyncio.ensure_future(answer.read(1_000)) for answer in (one, two)]
    first.come(b"a" * 80)
    await asyncio.sleep(0)
    second.come(b"b" * 20, b"b" * 20, b"b" * 20, b"")
    for _ in range(50):
        await asyncio.sleep(0)
    assert second.read < 3 and not reading[1].done()
    first.come(b"a" * 80, b"")
    assert await reading[0] == b"a" * 160
    assert await reading[1] == b"b" * 60


async def test_one_that_is_too_long() -> None:
    """It is not read to its end, and leaves its space to others."""
    (first, second), (one, two) = answers(2)
    first.come(b"a" * 90, b"a" * 90)
    with pytest.raises(BadAnswer):
        await one.read(100)
    second.come(b"b" * 90, b"b" * 90, b"")
    assert len(await two.read(1_000)) == 180
