"""Prometheus metrics of this process.

Hold the returned objects, and the children that `labels(...)` gives, in variables: looking a child up for
each call costs four times the increment.
"""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector

REGISTRY = CollectorRegistry(auto_describe=False)
PREFIX = "chamberlain_"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds; from a cached read to a request that somebody waits for."""

ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)


def counter(name: str, documentation: str, labels: Sequence[str] = ()) -> Counter:
    """A count that only grows, exported as `chamberlain_<name>_total`."""
    return Counter(PREFIX + name, documentation, labels, registry=REGISTRY)


def gauge(name: str, documentation: str, labels: Sequence[str] = ()) -> Gauge:
    """A value that goes up and down, exported as `chamberlain_<name>`."""
    return Gauge(PREFIX + name, documentation, labels, registry=REGISTRY)


def histogram(
    name: str, documentation: str, labels: Sequence[str] = (), buckets: Sequence[float] = LATENCY_BUCKETS
) -> Histogram:
    """A distribution in seconds (or the unit that `name` ends with), exported as `chamberlain_<name>`."""
    return Histogram(PREFIX + name, documentation, labels, buckets=buckets, registry=REGISTRY)


def render() -> bytes:
    """Everything measured so far, in the Prometheus text format."""
    return generate_latest(REGISTRY)
