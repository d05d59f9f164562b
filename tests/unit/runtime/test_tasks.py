"""Background tasks are owned: failures are seen, closing ends them."""

import asyncio

import pytest
from structlog.testing import capture_logs

from chamberlain.runtime.tasks import Tasks


async def test_a_failure_is_logged_under_the_task_s_name() -> None:
    """An exception does not vanish and does not hurt the others."""
    tasks = Tasks()

    async def fail() -> None:
        raise ValueError("broken")

    with capture_logs() as lines:
        tasks.spawn("the follower", fail())
        await tasks.settle()

    assert [(line["task"], line["log_level"]) for line in lines] == [("the follower", "error")]


async def test_closing_cancels_everything_and_waits() -> None:
    """After `close` nothing runs, and what was cancelled could clean up."""
    tasks = Tasks()
    cleaned: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append("cleaned")

    running = tasks.spawn("forever", forever())
    await asyncio.sleep(0)
    await tasks.close()
    await tasks.close()

    assert cleaned == ["cleaned"]
    assert running.cancelled()
    assert len(tasks) == 0


async def test_nothing_starts_after_closing() -> None:
    """A late task is refused instead of outliving the server."""
    tasks = Tasks()
    await tasks.close()

    async def late() -> None:
        raise AssertionError("must not run")

    with pytest.raises(RuntimeError, match="closed"):
        tasks.spawn("late", late())
