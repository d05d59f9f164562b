"""What the services of one server hold and wait for, as metrics. It is counted when somebody asks."""

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from chamberlain.http.services import Services
from chamberlain.runtime import cache
from chamberlain.runtime.lag import LoopLag
from chamberlain.runtime.metrics import PREFIX, REGISTRY


class Figures(Collector):
    """Shown from `start` to `close`."""

    def __init__(self, services: Services) -> None:
        self._are_shown = False
        self._lag = LoopLag(services.clock)
        self._gauges: tuple[tuple[str, str, Callable[[], int]], ...] = (
            ("position", "The position of the newest change.", lambda: services.db.position),
            ("write_queue", "Units of work that wait for the group writer.", lambda: services.db.waiting),
            ("room_queues", "Rooms with events under way.", lambda: len(services.rooms.submit.queued)),
            (
                "room_queue_events",
                "Events that wait in the queues of rooms.",
                lambda: sum(services.rooms.submit.queued.values()),
            ),
            ("waiting_syncs", "Long polls that wait for news.", lambda: services.sync.waiting.count),
            ("running_jobs", "Administration jobs that run here.", lambda: services.admin.jobs.running),
        )
        self._outbound = services.federation.outbound
        self._room_queues = services.federation.inbound.room_queues

    def start(self) -> None:
        """Show the figures."""
        self._are_shown = True
        REGISTRY.register(self)
        self._lag.start()

    def close(self) -> None:
        """Show them no more; harmless where they were not shown."""
        self._lag.close()
        if self._are_shown:
            self._are_shown = False
            REGISTRY.unregister(self)

    def describe(self) -> Iterator[Metric]:
        """Nothing is counted before somebody asks."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The figures as they are now."""
        for name, documentation, count in self._gauges:
            yield GaugeMetricFamily(PREFIX + name, documentation, count())
        yield from self._collect_inbound()
        yield from self._collect_outbound()
        entries = GaugeMetricFamily(PREFIX + "cache_entries", "Entries of a cache.", labels=("cache",))
        most = GaugeMetricFamily(
            PREFIX + "cache_entries_max", "Entries that a cache holds at most.", labels=("cache",)
        )
        for name, (held, space) in sorted(cache.sizes().items()):
            entries.add_metric((name,), held)
            most.add_metric((name,), space)
        yield entries
        yield most

    def _collect_inbound(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            PREFIX + "inbound_rooms",
            "Rooms with events of other servers under way here.",
            self._room_queues.busy,
        )
        yield CounterMetricFamily(
            PREFIX + "inbound_events_given_up",
            "Events of other servers that failed again and again, and were dropped.",
            self._room_queues.given_up,
        )

    def _collect_outbound(self) -> Iterator[Metric]:
        sending = self._outbound.figures()
        for name, documentation, value in (
            ("outbound_shards", "Parts of all destinations that are seen to here.", sending.shards),
            ("outbound_destinations", "Servers for which something waits here.", sending.destinations),
            ("outbound_destinations_failing", "Servers that are left alone for a while.", sending.resting),
            (
                "outbound_destinations_behind",
                "Servers for which events wait in the database.",
                sending.behind,
            ),
            ("outbound_events", "Events that wait for servers in memory; one counts for each.", sending.pdus),
            ("outbound_edus", "Servers for which EDUs wait, durable ones or not.", sending.edus),
            ("outbound_unread_changes", "Changes that others may have to hear of.", sending.unread),
        ):
            yield GaugeMetricFamily(PREFIX + name, documentation, value)
        yield CounterMetricFamily(
            PREFIX + "outbound_transactions",
            "Transactions that servers have taken.",
            sending.transactions_sent,
        )
