"""How many requests each endpoint served, with which status, and how long they took."""

from prometheus_client import Counter, Histogram

from chamberlain.runtime import metrics

_REQUESTS = metrics.counter("http_requests", "Requests answered.", ("endpoint", "status"))
_SECONDS = metrics.histogram("http_request_seconds", "Seconds until the answer.", ("endpoint",))


class RequestMetrics:
    """Counts and times requests; endpoints are named as in the registry."""

    __slots__ = ("_counters", "_durations")

    def __init__(self) -> None:
        self._counters: dict[tuple[str, int], Counter] = {}
        self._durations: dict[str, Histogram] = {}

    def observe(self, endpoint: str, status: int, seconds: float) -> None:
        """Count one request."""
        counter = self._counters.get((endpoint, status))
        if counter is None:
            counter = self._counters[endpoint, status] = _REQUESTS.labels(endpoint, str(status))
            self._durations[endpoint] = _SECONDS.labels(endpoint)
        counter.inc()
        self._durations[endpoint].observe(seconds)
