"""Speaking to the server of this machine: by its admin socket when it runs, in this process when not."""

import http.client
import socket
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import click
import orjson

from chamberlain.cli import data_folder
from chamberlain.config import Config, ConfigError
from chamberlain.runtime import log

PREFIX = "/_chamberlain/admin/v1"
TIMEOUT = 3600.0
"""Seconds that an answer may take: some administration takes long."""


class LocalApi(Protocol):
    """Calls the admin API as the owner of the server."""

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON that the endpoint answers; raises ClickException with its words when it refuses."""
        ...


@contextmanager
def open_local(config: Config) -> Iterator[LocalApi]:
    """The API of the running server, or of one built for this command alone where none runs."""
    if data_folder.is_in_use(config.data_dir):
        yield SocketApi(config.admin_socket)
        return
    with data_folder.locked(config.data_dir):
        api = InProcessApi(config)
        try:
            yield api
        finally:
            api.close()


class SocketApi:
    """The API of a running server, by its unix socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def call(self, method: str, path: str, body: Any = None) -> Any:
        connection = _UnixConnection(self._path)
        try:
            sent = None if body is None else orjson.dumps(body)
            connection.request(method, path, sent, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return _read(answer.status, answer.read())
        except (OSError, http.client.HTTPException) as problem:
            raise click.ClickException(
                f"the server holds the data folder, but does not answer at {self._path}: {problem}"
            ) from problem
        finally:
            connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class InProcessApi:
    """The API of a server without listeners, built in this process: what it does is in the same database."""

    def __init__(self, config: Config) -> None:
        import asyncio

        from chamberlain import app as composition

        log.configure("warning")
        self._runner = asyncio.Runner()
        try:
            self._app = self._runner.run(composition.build(config))
            self._runner.run(self._app.start())
        except (ConfigError, OSError) as problem:
            self._runner.close()
            raise click.ClickException(str(problem)) from problem
        if self._app.first_admin is not None:
            click.echo(describe_first_admin(self._app.first_admin), err=True)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        return _read(*self._runner.run(self._request(method, path, body)))

    async def _request(self, method: str, path: str, body: Any) -> tuple[int, bytes]:
        parts = urlsplit(path)
        scope = {
            "type": "http",
            "method": method,
            "path": parts.path,
            "raw_path": parts.path.encode("ascii"),
            "query_string": parts.query.encode("ascii"),
            "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
            "client": None,
            "state": {"local_admin": True},
        }
        messages = [{"type": "http.request", "body": b"" if body is None else orjson.dumps(body)}]
        status = 0
        received: list[bytes] = []

        async def receive() -> MutableMapping[str, Any]:
            return messages.pop() if messages else {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)
            received.append(message.get("body", b""))

        await self._app.asgi(scope, receive, send)
        return status, b"".join(received)

    def close(self) -> None:
        """End the server as a stop does."""
        try:
            self._runner.run(self._app.close())
        finally:
            self._runner.close()


def describe_first_admin(first_admin: tuple[str, str]) -> str:
    """What is said once, when the first administrator was made."""
    user_id, password = first_admin
    return (
        "The first administrator was made. This password is not shown again:\n"
        f"    user      {user_id}\n"
        f"    password  {password}"
    )


def _read(status: int, body: bytes) -> Any:
    try:
        answer = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError:
        answer = {}
    if 200 <= status < 300:
        return answer
    words = answer.get("error") if isinstance(answer, dict) else None
    raise click.ClickException(str(words or f"the server answered with status {status}"))
