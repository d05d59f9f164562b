"""Chamberlain as a process beside another homeserver."""

import os
import re
import signal
from pathlib import Path

from tests.support.authority import Authority
from tests.support.ports import free_port
from tests.support.process import Process
from tests.support.server import SECRET


class Chamberlain:
    """Federation by TLS at its name's port, clients without TLS at `url`; on SQLite, unless options say else."""

    def __init__(
        self, folder: Path, authority: Authority, host: str, *options: str, has_door: bool = False
    ) -> None:
        """`has_door`: something else listens at the name's port, and passes on to `url` what it gets."""
        self.folder = folder
        self.port = free_port()
        self.name = f"{host}:{self.port}"
        clients = free_port()
        self.url = f"http://127.0.0.1:{clients}"
        inner = free_port() if has_door else self.port
        self._options = ("--config", "chamberlain.toml", "--port", str(inner), *options)
        certificate, key = authority.vouch(host)
        (folder / "chamberlain.toml").write_text(
            f"""
server_name = "{self.name}"
[[listeners]]
port = {inner}
tls_certificate = "{certificate}"
tls_key = "{key}"
[[listeners]]
port = {clients}
[database]
synchronous = "off"
[federation]
ca_files = ["{authority.certificate}"]
trusted_key_servers = []
[outbound]
allowed_addresses = ["127.0.0.1/32"]
[registration]
enabled = true
shared_secret = "{SECRET}"
[passwords]
hash_cost = "lowest"
[rate_limits]
enabled = false
[directory]
over_federation = true
"""
        )

    def start(self) -> None:
        """It serves clients and servers when this returns."""
        self._process = Process(self.folder, *self._options, name=self.name)
        self._process.__enter__()

    def stop(self) -> None:
        """End the process, which must go well."""
        try:
            assert self._process.stop() == 0, self.log()[-2_000:]
        finally:
            self._process.__exit__(None, None, None)

    def kill(self) -> None:
        """As if the power failed."""
        self._process.__exit__(None, None, None)

    def kill_worker(self, number: int) -> None:
        """End one of several workers without asking it; another one takes its place."""
        found = re.findall(rf"ready .*\bpid=(\d+) worker={number}\b", self.log())
        os.kill(int(found[-1]), signal.SIGKILL)

    def log(self) -> str:
        """What it logged so far."""
        return (self.folder / "serve.log").read_text()
