"""Followers: in order, at least once, on from the stored cursor."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from chamberlain.runtime.follower import RETRY_SECONDS, Follower
from chamberlain.runtime.tasks import Tasks
from tests.support.clock import FakeClock


class Stream:
    """A stream in memory, and who follows it."""

    def __init__(self, clock: FakeClock) -> None:
        self.items: list[str] = []
        self.cursor = 0
        self.handled: list[list[str]] = []
        self.failures = 0
        self.follower: Follower[str] = Follower(
            "test", clock, load=self.load, read=self.read, handle=self.handle, save=self.save
        )

    def add(self, *items: str) -> None:
        """Let the stream go on."""
        self.items += items
        self.follower.wake()

    async def load(self) -> int:
        """The stored cursor."""
        return self.cursor

    async def read(self, after: int) -> Sequence[tuple[int, str]]:
        """Two items at a time."""
        return list(enumerate(self.items, 1))[after : after + 2]

    async def handle(self, items: Sequence[str]) -> None:
        """Note the items, or fail."""
        if self.failures:
            self.failures -= 1
            raise ValueError("this time not")
        self.handled.append(list(items))

    async def save(self, position: int) -> None:
        """Store the cursor."""
        self.cursor = position


@pytest.fixture
async def stream(clock: FakeClock) -> AsyncIterator[Stream]:
    """A stream that is followed, with one item in it."""
    made = Stream(clock)
    made.items.append("a")
    tasks = Tasks()
    tasks.spawn("follower", made.follower.run())
    await settle()
    yield made
    await tasks.close()


async def settle() -> None:
    """Let all others run as far as they can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_it_handles_what_is_there_and_what_comes(stream: Stream) -> None:
    """It begins with what it finds, and goes on when it is woken, in order and in parts."""
    assert (stream.handled, stream.cursor) == ([["a"]], 1)
    stream.add("b", "c", "d")
    await settle()
    assert (stream.handled, stream.cursor) == ([["a"], ["b", "c"], ["d"]], 4)
    stream.follower.wake()
    await settle()
    assert len(stream.handled) == 3


async def test_a_failure_is_tried_again(stream: Stream, clock: FakeClock) -> None:
    """What could not be handled is handled later; the cursor waits for it."""
    stream.failures = 2
    stream.add("b")
    await settle()
    assert (stream.handled, stream.cursor) == ([["a"]], 1)
    for _ in range(2):
        await clock.advance(RETRY_SECONDS)
        await settle()
    assert (stream.handled, stream.cursor) == ([["a"], ["b"]], 2)


async def test_the_next_one_goes_on_from_the_cursor(stream: Stream, clock: FakeClock) -> None:
    """Whoever follows after it starts where it stopped."""
    other = Stream(clock)
    other.items, other.cursor = ["a", "b"], stream.cursor
    tasks = Tasks()
    tasks.spawn("follower", other.follower.run())
    await settle()
    await tasks.close()
    assert other.handled == [["b"]]
