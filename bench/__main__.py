"""`python -m bench`: measure a fresh server on SQLite or PostgreSQL, or a server that runs already."""

import argparse
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from bench.client import Api
from bench.load import Meter
from bench.processes import resident_mib
from bench.scenarios import SCENARIOS
from bench.target import SECRET, Target, started


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--scenario", action="append", choices=tuple(SCENARIOS), help="only these; repeat")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each loop")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies users, rooms and events")
    parser.add_argument("--hash-cost", choices=("lowest", "default"), default="default")
    parser.add_argument("--url", help="measure the server at this address, and start none")
    parser.add_argument("--secret", default=SECRET, help="the shared secret of the server at --url")
    parser.add_argument(
        "--pid", type=int, action="append", default=[], help="a process of the server at --url"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return parser.parse_args()


async def run(options: argparse.Namespace) -> None:
    """Measure and report."""
    running: Any = (
        nullcontext(Target(options.url, options.secret, options.pid))
        if options.url
        else started(options.database, options.hash_cost)
    )
    async with running as target:
        api = Api(target.url, target.secret)
        meter = Meter(target.pids, options.seconds)
        summary: dict[str, float] = {}
        if target.start_seconds is not None:
            summary["start to first answer, s"] = target.start_seconds
        if target.pids:
            summary["memory idle, MiB"] = resident_mib(target.pids[0])
        try:
            for name in options.scenario or SCENARIOS:
                await SCENARIOS[name](api, meter, options.scale)
        finally:
            await api.close()
        if target.pids:
            summary["memory after, MiB"] = resident_mib(target.pids[0])
        for name, value in summary.items():
            print(f"{name:32} {value:10.2f}")
        if options.json:
            figures = {"figures": meter.figures, "summary": summary}
            options.json.write_bytes(msgspec.json.format(msgspec.json.encode(figures)))


if __name__ == "__main__":
    uvloop.run(run(arguments()))
