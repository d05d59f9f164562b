"""Closed loops: each of some clients sends its next request when the last was answered."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench.server import Target

Operation = Callable[[int], Awaitable[object]]
"""Does the operation once; the argument is the number of the client in the loop."""


@dataclass
class Result:
    """What one loop gave."""

    name: str
    count: int
    seconds: float
    cpu_seconds: float
    latencies: list[float]

    @property
    def rate(self) -> float:
        """Operations a second."""
        return self.count / self.seconds

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds of all the server's processes for one operation."""
        return 1000 * self.cpu_seconds / max(1, self.count)

    def percentile(self, share: float) -> float:
        """Milliseconds within which that share of the operations was answered."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def line(self) -> str:
        """The result as a row of the table."""
        return (
            f"{self.name:28} {self.rate:9.0f}/s {self.cpu_ms:9.3f} ms CPU"
            f" {self.percentile(0.5):9.2f} ms p50 {self.percentile(0.99):9.2f} ms p99"
        )


async def loop(target: Target, name: str, operation: Operation, *, clients: int, seconds: float) -> Result:
    """Run the operation in that many clients at once for that long."""
    latencies: list[float] = []
    for number in range(clients):
        await operation(number)
    began = time.monotonic()
    end = began + seconds
    cpu = target.cpu_seconds()

    async def work(number: int) -> None:
        while (start := time.monotonic()) < end:
            await operation(number)
            latencies.append(time.monotonic() - start)

    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(work(number))
    elapsed = time.monotonic() - began
    return Result(name, len(latencies), elapsed, target.cpu_seconds() - cpu, latencies)


async def times(target: Target, name: str, operation: Operation, *, count: int) -> Result:
    """Run the operation that many times, one after the other: for what is too big for a loop."""
    latencies: list[float] = []
    began = time.monotonic()
    cpu = target.cpu_seconds()
    for number in range(count):
        start = time.monotonic()
        await operation(number)
        latencies.append(time.monotonic() - start)
    return Result(name, count, time.monotonic() - began, target.cpu_seconds() - cpu, latencies)
