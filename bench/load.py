"""Closed loops: each of N workers sends its next request when the last was answered."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

import msgspec

from bench.processes import cpu_seconds


class Figure(msgspec.Struct):
    """What one loop showed; times in ms."""

    name: str
    operations: int
    rate: float
    cpu_ms: float
    """CPU time of the server and its database for one operation."""
    p50_ms: float
    p99_ms: float


class Meter:
    """Runs loops against a server whose processes it watches."""

    def __init__(self, pids: list[int], seconds: float) -> None:
        self._pids = pids
        self._seconds = seconds
        self.figures: list[Figure] = []

    async def loop(
        self,
        name: str,
        operation: Callable[[int], Awaitable[object]],
        *,
        workers: int = 1,
        count: int | None = None,
        weight: int = 1,
    ) -> None:
        """Run `operation(0)`, `operation(1)` … for the set time, or `count` times, and note the figure.

        `weight`: how many operations one call stands for.
        """
        times: list[float] = []
        following = iter(range(2**62 if count is None else count))
        began, used = time.perf_counter(), cpu_seconds(self._pids)

        async def worker() -> None:
            for number in following:
                start = time.perf_counter()
                await operation(number)
                times.append(time.perf_counter() - start)
                if count is None and time.perf_counter() - began > self._seconds:
                    return

        await asyncio.gather(*(worker() for _ in range(workers)))
        elapsed = time.perf_counter() - began
        done = len(times) * weight
        cpu = (cpu_seconds(self._pids) - used) * 1000 / done
        self.note(Figure(name, done, done / elapsed, cpu, percentile(times, 50), percentile(times, 99)))

    def note(self, figure: Figure) -> None:
        """Keep and print a figure."""
        self.figures.append(figure)
        print(
            f"{figure.name:32} {figure.operations:7} ops {figure.rate:9.1f}/s {figure.cpu_ms:9.3f} ms cpu/op"
            f"   p50 {figure.p50_ms:8.2f} ms   p99 {figure.p99_ms:8.2f} ms",
            flush=True,
        )


def percentile(seconds: list[float], share: int) -> float:
    """Give a percentile in ms."""
    ordered = sorted(seconds)
    return ordered[max(0, math.ceil(len(ordered) * share / 100) - 1)] * 1000
