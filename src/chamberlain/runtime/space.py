"""Space for what comes in at once: who brings little waits for nobody, the others for one another."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Space:
    """A number of bytes that many share.

    It is full when those who brought more than `small` bytes have brought `total`. Then they wait, but for the one
    that is longest at it, so that it comes to its end. So there is never more than `total` and what one may bring,
    beside what is small.
    """

    def __init__(self, total: int, *, small: int) -> None:
        self._total = total
        self._small = small
        self._large: dict[Place, None] = {}
        self._news = asyncio.Event()

    @contextmanager
    def place(self) -> Iterator["Place"]:
        """A place to bring something to; what is brought counts until the end."""
        place = Place(self)
        try:
            yield place
        finally:
            if place in self._large:
                del self._large[place]
                self._news.set()
                self._news = asyncio.Event()

    async def _grow(self, place: "Place") -> None:
        if place.size <= self._small:
            return
        self._large[place] = None
        while place is not next(iter(self._large)) and sum(one.size for one in self._large) > self._total:
            await self._news.wait()


class Place:
    """What one brings."""

    __slots__ = ("_space", "size")

    def __init__(self, space: Space) -> None:
        self._space = space
        self.size = 0

    async def bring(self, size: int) -> None:
        """There are so many bytes more; return when there is space for them."""
        self.size += size
        await self._space._grow(self)
