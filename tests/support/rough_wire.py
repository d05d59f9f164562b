"""A wire that loses, delays, doubles and reorders what it carries, by the dice."""

import asyncio
import random
from collections.abc import Mapping

from chamberlain.federation.transport import TransportAnswer
from chamberlain.matrix.remote_errors import Unreachable
from tests.support.wire import Passing, Wire


class RoughWire(Wire):
    """Everything passes unharmed as long as `roughness` is 0; at 1 hardly anything does."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.roughness = 0.0
        self._dice = random.Random(seed)
        self._doubles: set[asyncio.Task[object]] = set()

    async def carry(self, passing: Passing, headers: Mapping[str, str]) -> TransportAnswer:
        """Have the destination answer, once or twice, sooner or later, or lose the request or the answer."""
        if self._happens(0.5):
            # Others overtake it.
            await asyncio.sleep(self._dice.random() * 0.02)
        if self._happens(0.4):
            raise Unreachable(passing.destination, "the request was lost")
        if passing.method == "PUT" and "/send/" in passing.target and self._happens(0.5):
            task = asyncio.ensure_future(self._again(passing, headers))
            self._doubles.add(task)
            task.add_done_callback(self._doubles.discard)
        answer = await self._answered(passing, headers)
        if self._happens(0.4):
            raise Unreachable(passing.destination, "the answer was lost")
        return answer

    async def _answered(self, passing: Passing, headers: Mapping[str, str]) -> TransportAnswer:
        server = self.servers.get(passing.destination)
        try:
            return await super().carry(passing, headers)
        except Exception:
            if self.servers.get(passing.destination) is server:
                raise
            raise Unreachable(passing.destination, "it was stopped meanwhile") from None

    async def _again(self, passing: Passing, headers: Mapping[str, str]) -> None:
        await asyncio.sleep(self._dice.random() * 0.02)
        try:
            await self._answered(passing, headers)
        except Unreachable:
            return

    def _happens(self, chance: float) -> bool:
        return self.roughness > 0 and self._dice.random() < chance * self.roughness

    async def stop(self) -> None:
        """Let the doubles arrive, and stop every server."""
        await asyncio.gather(*self._doubles, return_exceptions=True)
        await super().stop()
