"""`python -m bench.federation`: the same from hand-made servers to chamberlain and to Synapse, and what it costs."""

import argparse
import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop

from bench.client import Api
from bench.federation import targets
from bench.federation.scenarios import SCENARIOS, Run
from bench.federation.stage import PATIENCE, Figure, Side
from tests.support.peer import Peer
from tests.support.peer_http import PeerHosts, peer_hosts


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench.federation", description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--scenario", action="append", choices=tuple(SCENARIOS), help="only these; repeat")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies members, state and messages")
    parser.add_argument("--peers", type=int, default=10, help="how many hand-made servers")
    parser.add_argument("--synapse", type=Path, help="the python of an environment with matrix-synapse")
    parser.add_argument("--only", choices=("synapse", "chamberlain"), help="measure one of them")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return parser.parse_args()


async def run(options: argparse.Namespace) -> None:
    """Measure and report."""
    names = [options.only] if options.only else ["synapse", "chamberlain"]
    if "synapse" in names and options.synapse is None:
        raise SystemExit("--synapse says where Synapse is installed; --only chamberlain does without")
    figures: dict[str, list[Figure]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="chamberlain-bench-") as folder:
        async with peer_hosts(Path(folder)) as hosts:
            peers = [await hosts.add() for _ in range(options.peers)]
            for scenario in options.scenario or SCENARIOS:
                ready = await asyncio.to_thread(SCENARIOS[scenario], peers, options.scale)
                for name in names:
                    figures[name] += await measure(options, name, hosts, peers, ready)
    print_table(figures)
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(figures)))


async def measure(
    options: argparse.Namespace, name: str, hosts: PeerHosts, peers: Sequence[Peer], ready: Run
) -> list[Figure]:
    """The figures of one scenario on one fresh server."""
    if name == "synapse":
        starting = targets.synapse(options.database, hosts.ca_file, options.synapse)
    else:
        starting = targets.chamberlain(options.database, hosts.ca_file)
    async with starting as target:
        hosts.addresses[targets.NAME] = target.url
        api = Api(target.url, target.secret, timeout=PATIENCE)
        try:
            side = Side(name, target, api, await api.register(), peers)
            await ready(side)
            return side.figures
        finally:
            await api.close()


def print_table(figures: dict[str, list[Figure]]) -> None:
    """Print each figure of all servers, and how many times better the last is than the first."""
    print("\n| metric | " + " | ".join(figures) + " | times better |")
    print("|---|" + "---|" * (len(figures) + 1))
    for row in zip(*figures.values(), strict=True):
        first, last = row[0].value, row[-1].value
        times = first / last if row[0].is_cost else last / first
        values = " | ".join(f"{figure.value:.2f}" for figure in row)
        print(f"| {row[0].name}, {row[0].unit} | {values} | {times:.1f} |")


if __name__ == "__main__":
    uvloop.run(run(arguments()))
