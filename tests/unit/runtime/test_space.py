"""Space that many share."""

import asyncio
from collections.abc import Sequence

import pytest

from chamberlain.runtime.space import Place, Space


class Guest:
    """Somebody who brings one piece after the other, each when told, and goes."""

    def __init__(self, space: Space) -> None:
        self.brought = 0
        self._pieces: asyncio.Queue[int | None] = asyncio.Queue()
        self.task = asyncio.ensure_future(self._bring(space))

    async def _bring(self, space: Space) -> None:
        with space.place() as place:
            while (size := await self._pieces.get()) is not None:
                await place.bring(size)
                self.brought += size

    async def bring(self, size: int | None) -> int:
        """Bring something, or go; give how much there was space for."""
        self._pieces.put_nowait(size)
        await settle()
        return self.brought


async def settle() -> None:
    """Let everybody do what they can."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def guests() -> Sequence[Guest]:
    """Three who share 100 bytes; up to ten wait for nobody."""
    space = Space(100, small=10)
    return [Guest(space) for _ in range(3)]


async def test_the_later_ones_wait_when_it_is_full(guests: Sequence[Guest]) -> None:
    """And go on when others have gone; the one that is longest at it waits for nobody."""
    first, second, third = guests
    assert [await first.bring(60), await second.bring(30)] == [60, 30]
    assert await third.bring(10) == 10
    assert await third.bring(5) == 10
    assert await second.bring(20) == 30
    assert await first.bring(500) == 560

    await first.bring(None)
    assert (second.brought, third.brought) == (50, 15)
    assert await third.bring(80) == 15
    await second.bring(None)
    assert third.brought == 95
    await third.bring(None)
    await asyncio.gather(*(guest.task for guest in guests))


async def test_what_is_small_does_not_count(guests: Sequence[Guest]) -> None:
    """However much of it there is, and however full it is."""
    first, second, third = guests
    assert await first.bring(100) == 100
    assert [await second.bring(10), await third.bring(10)] == [10, 10]
    assert await second.bring(1) == 10
    second.task.cancel()
    await settle()
    assert await third.bring(1) == 10
    await first.bring(None)
    assert third.brought == 11
    third.task.cancel()


async def test_a_place_knows_its_size() -> None:
    """All that was brought to it."""
    with Space(10, small=10).place() as place:
        assert isinstance(place, Place)
        await place.bring(3)
        await place.bring(4)
        assert place.size == 7
