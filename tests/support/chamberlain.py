"""Chamberlain as a process beside another homeserver."""

import os
import signal
from pathlib import Path

from tests.support.authority import Authority
from tests.support.ports import free_port
from tests.support.process import Process
from tests.support.server import SECRET


class Chamberlain:
    """Federation by TLS at its name's port, clients without TLS at `url`; on SQLite, unless options say else."""

    def __init__(self, folder: Path, authority: Authority, host: str, *options: str) -> None:
        self.folder = folder
        self._options = options
        self.port = free_port()
        self.name = f"{host}:{self.port}"
        clients = free_port()
        self.url = f"http://127.0.0.1:{clients}"
        certificate, key = authority.vouch(host)
        (folder / "chamberlain.toml").write_text(
            f"""
server_name = "{self.name}"
[[listeners]]
port = {self.port}
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
        chosen = ("--config", "chamberlain.toml", "--port", str(self.port), *self._options)
        self._process = Process(self.folder, *chosen, name=self.name)
        self._process.__enter__()

    def stop(self) -> None:
        """End the process, which must go well."""
        try:
            assert self._process.stop() == 0, self.log()[-2_000:]
        finally:
            self._process.__exit__(None, None, None)

    def kill(self) -> None:
        """As if the power failed."""
        pid = self._process.child.pid
        workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split() if self._options else ()
        self._process.__exit__(None, None, None)
        for worker in workers:
            os.kill(int(worker), signal.SIGKILL)

    def log(self) -> str:
        """What it logged so far."""
        return (self.folder / "serve.log").read_text()
