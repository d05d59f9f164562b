"""What Prometheus gets from a running server."""

import http.client
import socket
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.support.process import Process

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def scrape(port: int) -> Samples:
    """Every sample, by its name and labels."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_figures_follow_what_happens(tmp_path: Path) -> None:
    """Requests, commits, positions, caches and the process are counted, on a listener of their own alone."""
    port = free_port()
    with Process(tmp_path, "--set", f"metrics.port={port}") as server:
        assert server.first_admin is not None
        token = server.login(*server.first_admin)
        before = scrape(port)
        for _ in range(3):
            assert server.call("POST", "/_matrix/client/v3/createRoom", {}, token)[0] == 200
        assert server.call("POST", "/_matrix/client/v3/createRoom", {})[0] == 401
        after = scrape(port)
        for path in ("/metrics", "/_synapse/metrics", "/_chamberlain/metrics"):
            assert server.call("GET", path, token=token)[0] == 404

    def grown(name: str, **labels: str) -> float:
        key = (name, tuple(sorted(labels.items())))
        return after[key] - before.get(key, 0.0)

    endpoint = "create_room.create_room"
    assert grown("chamberlain_http_requests_total", endpoint=endpoint, status="200") == 3
    assert grown("chamberlain_http_requests_total", endpoint=endpoint, status="401") == 1
    assert grown("chamberlain_http_request_seconds_count", endpoint=endpoint) == 4
    assert grown("chamberlain_http_request_seconds_sum", endpoint=endpoint) > 0
    assert grown("chamberlain_commit_units_count") >= 3
    assert grown("chamberlain_commit_units_sum") >= 3
    assert grown("chamberlain_commit_seconds_sum") > 0
    assert grown("chamberlain_position") >= 18
    assert grown("chamberlain_cache_entries", cache="room heads") == 3
    assert after["chamberlain_cache_entries_max", (("cache", "room heads"),)] > 3
    for name in (
        "write_queue",
        "room_queues",
        "room_queue_events",
        "waiting_syncs",
        "running_jobs",
        "inbound_rooms",
    ):
        assert after[f"chamberlain_{name}", ()] == 0
    assert after["chamberlain_inbound_events_given_up_total", ()] == 0
    assert ("chamberlain_loop_lag_seconds_count", ()) in after
    assert after["process_resident_memory_bytes", ()] > 10_000_000
    assert after["process_cpu_seconds_total", ()] > 0
