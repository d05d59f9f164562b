"""The real program as a process, and plain HTTP to it."""

import contextlib
import http.client
import os
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

PROGRAM = Path(sys.executable).with_name("chamberlain")
START_SECONDS = 180.0
STOP_SECONDS = 90.0


def environment() -> dict[str, str]:
    """The environment of this process without settings of chamberlain."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CHAMBERLAIN")}


def run(folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command to its end in `folder`."""
    return subprocess.run(
        [PROGRAM, *arguments],
        cwd=folder,
        env=environment(),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


class Process:
    """A running `chamberlain serve`; leaving the `with` block kills what is left of it."""

    def __init__(self, folder: Path, *arguments: str, name: str = "localhost") -> None:
        self._log = (folder / "serve.log").open("ab")
        self.child = subprocess.Popen(
            [PROGRAM, "serve", "--name", name, "--port", "0", *arguments],
            cwd=folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )
        self.folder = folder
        self.greeting = ""

    def __enter__(self) -> "Process":
        self.greeting = self._read_until(r"chamberlain serves .*\n(?s:.*)\n\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Its workers too, which are of its group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait(STOP_SECONDS)
        if self.child.stdout is not None:
            self.child.stdout.close()
        self._log.close()

    def _read_until(self, pattern: str) -> str:
        """What the program prints, up to the end of its greeting."""
        assert self.child.stdout is not None
        text = ""
        deadline = time.monotonic() + START_SECONDS
        while not text.endswith("\n\n") or not re.search(r"chamberlain serves ", text):
            ready, _, _ = select.select([self.child.stdout], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(self.child.stdout.fileno(), 65536) if ready else b""
            assert chunk, f"no greeting; printed {text!r}, logged {self.log()}"
            text += chunk.decode()
        return text

    def log(self) -> str:
        """What the program logged so far."""
        return (self.folder / "serve.log").read_text()

    @property
    def port(self) -> int:
        """The port of the first listener."""
        found = re.search(r"serves \S+ at https?://[^,\n]*:(\d+)", self.greeting)
        assert found is not None, self.greeting
        return int(found[1])

    @property
    def first_admin(self) -> tuple[str, str] | None:
        """The name and password in the greeting, if it has them."""
        found = re.search(r"user +(\S+)\n +password +(\S+)", self.greeting)
        return None if found is None else (found[1], found[2])

    def call(
        self, method: str, path: str, body: Any = None, token: str | None = None, *, tls: Path | None = None
    ) -> tuple[int, Any]:
        """The status and the JSON of an answer."""
        connection = self._connect(tls)
        try:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            connection.request(method, path, None if body is None else orjson.dumps(body), headers)
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, _parse(content)
        finally:
            connection.close()

    def _connect(self, tls: Path | None) -> http.client.HTTPConnection:
        if tls is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_SECONDS)
        context = ssl.create_default_context(cafile=str(tls))
        return http.client.HTTPSConnection("localhost", self.port, timeout=START_SECONDS, context=context)

    def login(self, user: str, password: str) -> str:
        """An access token."""
        status, answer = self.call(
            "POST",
            "/_matrix/client/v3/login",
            {
                "type": "m.login.password",
                "identifier": {"type": "m.id.user", "user": user},
                "password": password,
            },
        )
        assert status == 200, answer
        return str(answer["access_token"])

    def stop(self, name: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal; the exit status."""
        self.child.send_signal(name)
        return self.child.wait(STOP_SECONDS)


def unix_get(path: Path, target: str) -> tuple[int, Any]:
    """GET by a unix socket."""
    connection = http.client.HTTPConnection("localhost", timeout=START_SECONDS)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.connect(str(path))
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        return answer.status, _parse(answer.read())
    finally:
        connection.close()


def _parse(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return content
