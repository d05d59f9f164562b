"""Prometheus metrics of this process: plain numbers where they arise, turned into metrics when somebody asks."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.registry import Collector

REGISTRY = CollectorRegistry(auto_describe=False)
PREFIX = "chamberlain_"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds; from a cached read to a request that somebody waits for."""

ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)


class Distribution(Collector):
    """How values are distributed, exported as `chamberlain_<name>`. One thread may observe, any may ask.

    The library's own histogram takes a lock for each value, a tenth of what answering a request costs.
    """

    def __init__(self, name: str, documentation: str, bounds: Sequence[float]) -> None:
        self._name = PREFIX + name
        self._documentation = documentation
        self._bounds = bounds
        self._buckets = [0] * (len(bounds) + 1)
        self._sum = 0.0
        REGISTRY.register(self)

    def observe(self, value: float) -> None:
        """Count one value."""
        self._buckets[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def collect(self) -> Iterator[Metric]:
        """The values so far."""
        names = [*map(str, self._bounds), "+Inf"]
        family = HistogramMetricFamily(self._name, self._documentation)
        family.add_metric((), list(zip(names, accumulate(self._buckets), strict=True)), self._sum)
        yield family


def render() -> bytes:
    """Everything measured so far, in the Prometheus text format."""
    return generate_latest(REGISTRY)
