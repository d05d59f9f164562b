"""How late the loop is."""

from chamberlain.runtime import metrics
from chamberlain.runtime.lag import LoopLag
from tests.support.clock import FakeClock


def count() -> float:
    """How often the lag was noted."""
    name = "chamberlain_loop_lag_seconds_count"
    (line,) = [line for line in metrics.render().decode().splitlines() if line.startswith(name)]
    return float(line.split()[-1])


async def test_lag_is_noted_every_second_until_closed() -> None:
    """One note a second, none after the end."""
    clock, before = FakeClock(), count()
    lag = LoopLag(clock)
    lag.start()
    await clock.advance(3)
    lag.close()
    await clock.advance(3)

    assert count() - before == 3
