"""What the metrics say of work under way."""

import asyncio

from chamberlain.runtime import metrics
from tests.support.server import Server, until


def figure(name: str) -> float:
    """The value of a metric without labels."""
    (line,) = [
        line for line in metrics.render().decode().splitlines() if line.startswith(f"chamberlain_{name} ")
    ]
    return float(line.split()[-1])


async def test_who_waits_is_counted(server: Server) -> None:
    """A long poll counts while it waits, and not after."""
    alice = await server.register("alice")
    await alice.sync()
    assert figure("waiting_syncs") == 0
    poll = asyncio.create_task(alice.sync(timeout_ms=20_000))

    async def waits() -> bool:
        return figure("waiting_syncs") == 1

    await until(waits)
    await alice.put(f"user/{alice.user_id}/account_data/x", {})
    await poll
    assert figure("waiting_syncs") == 0


async def test_what_is_queued_is_counted(server: Server) -> None:
    """Events count while they wait for the one before them, and so do writes for the writer."""
    alice = await server.register("alice")
    room = await alice.create_room()
    submit = server.app.services.rooms.submit
    position = figure("position")
    sending = [asyncio.create_task(submit.send(alice.user_id, room, "m.test", {})) for _ in range(5)]
    await asyncio.sleep(0)

    assert (figure("room_queues"), figure("room_queue_events")) == (1, 5)
    await asyncio.gather(*sending)

    async def is_idle() -> bool:
        return figure("room_queues") == 0

    await until(is_idle)
    assert (figure("room_queue_events"), figure("write_queue")) == (0, 0)
    assert figure("position") == position + 5
