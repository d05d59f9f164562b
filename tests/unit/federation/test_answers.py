"""What other servers answered lately."""

import asyncio

import pytest

from chamberlain.federation.answers import Answers
from chamberlain.matrix.remote_errors import Unreachable
from chamberlain.runtime.tasks import Tasks
from tests.support.clock import FakeClock


class Servers:
    """Answers with a number, once it may."""

    def __init__(self) -> None:
        self.asked = 0
        self.may = asyncio.Event()
        self.is_away = False

    async def ask(self) -> int:
        """The next number."""
        self.asked += 1
        number = self.asked
        await self.may.wait()
        if self.is_away:
            raise Unreachable("x", "away")
        return number


@pytest.fixture
def servers() -> Servers:
    """Who is asked."""
    return Servers()


@pytest.fixture
def answers(clock: FakeClock) -> Answers[str, int]:
    """Kept for a minute."""
    return Answers(clock, Tasks(), size=10, seconds=60, name="test answers")


async def test_equal_questions_are_asked_once(
    answers: Answers[str, int], servers: Servers, clock: FakeClock
) -> None:
    """While under way, and for a while after that; other questions apart."""
    waiting = [asyncio.ensure_future(answers.get("a", servers.ask)) for _ in range(5)]
    other = asyncio.ensure_future(answers.get("b", servers.ask))
    await asyncio.sleep(0)
    servers.may.set()
    assert await asyncio.gather(*waiting, other) == [1, 1, 1, 1, 1, 2]
    assert await answers.get("a", servers.ask) == 1
    await clock.advance(61)
    assert await answers.get("a", servers.ask) == 3


async def test_failures_are_told_to_all_and_not_kept(answers: Answers[str, int], servers: Servers) -> None:
    """The next one asks again."""
    servers.is_away = True
    waiting = [asyncio.ensure_future(answers.get("a", servers.ask)) for _ in range(3)]
    await asyncio.sleep(0)
    servers.may.set()
    for one in waiting:
        with pytest.raises(Unreachable):
            await one
    servers.is_away = False
    assert (await answers.get("a", servers.ask), servers.asked) == (2, 2)


async def test_one_who_goes_away_leaves_the_others_their_answer(
    answers: Answers[str, int], servers: Servers
) -> None:
    """Even the one who asked first."""
    first = asyncio.ensure_future(answers.get("a", servers.ask))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(answers.get("a", servers.ask))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    servers.may.set()
    assert (await second, servers.asked) == (1, 1)
