"""Random values that are the same in every run."""

import random

from chamberlain.runtime.rng import Rng


class SeededRng(Rng):
    """Draws from a seeded generator. Never outside tests: its secrets can be guessed."""

    __slots__ = ("_random",)

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)
