"""`make bench`: start a fresh server, run the scenarios, print a table."""

import argparse
import asyncio
import sys
import traceback
from pathlib import Path

import aiohttp
import orjson

from bench.measure import Result
from bench.scenarios import SCENARIOS, World
from bench.server import Target


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--scenario", default=",".join(SCENARIOS), help="which, separated by commas")
    parser.add_argument("--seconds", type=float, default=2.5, help="length of each loop (2.5)")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies users, rooms and events (1)")
    parser.add_argument("--postgres", action="store_true", help="measure on PostgreSQL instead of SQLite")
    parser.add_argument("--workers", type=int, default=1, help="with --postgres: how many processes")
    parser.add_argument("--cheap-hash", action="store_true", help="with the cheapest password hash")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()
    chosen = options.scenario.split(",")
    unknown = [name for name in chosen if name not in SCENARIOS]
    if unknown:
        parser.error(f"no such scenario: {', '.join(unknown)} (there are {', '.join(SCENARIOS)})")
    settings = ("passwords.hash_cost=lowest",) if options.cheap_hash else ()
    with Target(postgres=options.postgres, workers=options.workers, settings=settings) as target:
        print(f"start to first answer: {target.start_seconds:.2f} s; idle: {target.memory_mib():.0f} MiB")
        results, failed = asyncio.run(_run(target, chosen, options.seconds, options.scale))
        memory = target.memory_mib()
        print(f"memory after the run: {memory:.0f} MiB")
    if options.json:
        figures = {
            result.name: {"rate": result.rate, "cpu_ms": result.cpu_ms, "p99_ms": result.percentile(0.99)}
            for result in results
        }
        options.json.write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2))
    sys.exit(1 if failed else 0)


async def _run(
    target: Target, chosen: list[str], seconds: float, scale: float
) -> tuple[list[Result], list[str]]:
    """The results of the scenarios, and the names of those that failed."""
    results: list[Result] = []
    failed: list[str] = []
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        connector=connector, timeout=aiohttp.ClientTimeout(total=120)
    ) as session:
        world = World(target, session, seconds, scale)
        for name in chosen:
            try:
                async for result in SCENARIOS[name](world):
                    results.append(result)
                    print(result.line(), flush=True)
            except Exception:
                failed.append(name)
                print(f"{name}: failed\n{traceback.format_exc()}", flush=True)
    return results, failed


if __name__ == "__main__":
    main()
