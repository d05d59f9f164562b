"""How many requests each endpoint served, with which status, and how long they took.

The figures are plain numbers that become metrics only when somebody asks for them: the library's own counters
take a lock for each increment, which would be a tenth of what the edge costs.
"""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from chamberlain.runtime.metrics import LATENCY_BUCKETS, PREFIX, REGISTRY

_BOUNDS = [*(str(bound) for bound in LATENCY_BUCKETS), "+Inf"]


class RequestMetrics(Collector):
    """Counts and times requests; endpoints are named as in the registry."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int], int] = {}
        self._buckets: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}

    def observe(self, endpoint: str, status: int, seconds: float) -> None:
        """Count one request."""
        buckets = self._buckets.get(endpoint)
        if buckets is None:
            buckets = self._buckets[endpoint] = [0] * len(_BOUNDS)
            self._seconds[endpoint] = 0.0
        buckets[bisect_left(LATENCY_BUCKETS, seconds)] += 1
        self._seconds[endpoint] += seconds
        self._counts[endpoint, status] = self._counts.get((endpoint, status), 0) + 1

    def collect(self) -> Iterator[Metric]:
        """The figures as metrics."""
        counts = CounterMetricFamily(
            PREFIX + "http_requests", "Requests answered.", labels=("endpoint", "status")
        )
        for (endpoint, status), count in self._counts.items():
            counts.add_metric((endpoint, str(status)), count)
        yield counts
        times = HistogramMetricFamily(
            PREFIX + "http_request_seconds", "Seconds until the answer.", labels=("endpoint",)
        )
        for endpoint, buckets in self._buckets.items():
            cumulative = list(zip(_BOUNDS, accumulate(buckets), strict=True))
            times.add_metric((endpoint,), cumulative, self._seconds[endpoint])
        yield times


REQUESTS = RequestMetrics()
"""The requests of this process."""

REGISTRY.register(REQUESTS)
