"""So many transactions under way at a time, and no more."""

from collections import deque
from collections.abc import Callable


class Slots:
    """Lets calls begin, in the order in which they came, while fewer than `limit` are under way."""

    __slots__ = ("_free", "_waiting")

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._waiting: deque[Callable[[], bool]] = deque()

    def enter(self, begin: Callable[[], bool]) -> None:
        """Call `begin` now or when it is its turn. It says whether it has begun what ends with `leave`."""
        self._waiting.append(begin)
        self._fill()

    def leave(self) -> None:
        """The next one may begin."""
        self._free += 1
        self._fill()

    def _fill(self) -> None:
        while self._free and self._waiting:
            if self._waiting.popleft()():
                self._free -= 1
