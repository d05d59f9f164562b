"""`chamberlain serve`: run the server in the foreground until it is told to stop."""

import asyncio
import os
import signal
import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from chamberlain.cli import data_folder, notify, workers
from chamberlain.cli.edge import Edge
from chamberlain.cli.local import describe_first_admin
from chamberlain.cli.settings import config_options
from chamberlain.cli.sockets import bind_tcp, bind_unix
from chamberlain.config import Config, ConfigError
from chamberlain.config.later import find_idle
from chamberlain.config.listeners import Listener
from chamberlain.config.load import remember_name
from chamberlain.runtime import log, memory, metrics

STOP_SECONDS = 10.0
"""How long requests under way may take after the signal to stop."""


@click.command(
    epilog="""\b
Examples:
  chamberlain serve --name example.org
  chamberlain serve --config /etc/chamberlain.toml
  chamberlain serve --name example.org --address 0.0.0.0 --port 8008
  chamberlain serve --name example.org --database postgresql:///chamberlain --workers 4
"""
)
@click.option("--address", metavar="ADDRESS", help="The address to listen on. [default: 127.0.0.1]")
@click.option("--port", type=int, metavar="PORT", help="The port to listen on. [default: 8008]")
@click.option("--workers", type=int, metavar="N", help="How many processes; above 1 on PostgreSQL only.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="[default: info]")
@config_options(
    address="listeners.0.address", port="listeners.0.port", workers="cluster.workers", log_level="log.level"
)
def serve(config: Config) -> None:
    """Run the server until SIGINT or SIGTERM.

    The first start makes the data folder, the signing key and an administrator, and prints how to log in.
    With only a name it keeps everything in a SQLite database in ./data. A second signal stops without waiting
    for requests under way.
    """
    log.configure(config.log.level, config.log.format, config.log.file)
    memory.return_big_blocks()
    for key in find_idle(config):
        log.get_logger("serve").warning("this setting has no effect in this version", setting=key)
    with data_folder.locked(config.data_dir), ExitStack() as stack:
        unix = {
            place: _bind_here(stack, listener.unix_socket, listener.unix_socket_mode)
            for place, listener in enumerate(config.listeners)
            if listener.unix_socket is not None
        }
        admin = _bind_here(stack, config.admin_socket, 0o600)
        if config.cluster.workers > 1:
            workers.run(
                config.cluster.workers, lambda number, ready: _work(config, unix, admin, number, ready)
            )
        else:
            _work(config, unix, admin, 1, lambda: None)


def _bind_here(stack: ExitStack, path: Path, mode: int) -> socket.socket:
    """A bound unix socket that disappears with `stack`."""
    bound = bind_unix(path, mode)
    stack.callback(path.unlink, missing_ok=True)
    return stack.enter_context(bound)


def _work(
    config: Config,
    unix: dict[int, socket.socket],
    admin: socket.socket,
    number: int,
    ready: Callable[[], None],
) -> None:
    """Be one worker: bind, build the app, serve, and return when stopped."""
    import uvloop

    shared = config.cluster.workers > 1
    with ExitStack() as stack:
        bound = []
        for place, listener in enumerate(config.listeners):
            where = unix.get(place)
            if where is None:
                where = stack.enter_context(bind_tcp(listener.address, listener.port, shared=shared))
            bound.append((listener, where, _make_tls(listener)))
        figures = None
        if config.metrics.port is not None:
            figures = stack.enter_context(bind_tcp(config.metrics.address, config.metrics.port + number - 1))
        uvloop.run(_Worker(config, number, ready).run(bound, admin, figures))


def _make_tls(listener: Listener) -> ssl.SSLContext | None:
    if listener.tls_certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(listener.tls_certificate, listener.tls_key)
    except (OSError, ssl.SSLError) as problem:
        raise click.ClickException(f"{listener.where}: cannot use the certificate: {problem}") from problem
    return context


class _Worker:
    """One process from its start to its clean end."""

    def __init__(self, config: Config, number: int, ready: Callable[[], None]) -> None:
        self._config = config
        self._ready = ready
        self._number = number
        self._log = log.get_logger("serve")
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(
        self,
        bound: list[tuple[Listener, socket.socket, ssl.SSLContext | None]],
        admin: socket.socket,
        figures: socket.socket | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, self._on_signal)
        from chamberlain import app as composition

        try:
            app = await composition.build(self._config, worker=self._number)
        except (ConfigError, OSError) as problem:
            raise click.ClickException(str(problem)) from problem
        remember_name(self._config)
        edge = Edge()
        try:
            await app.start()
            for listener, where, tls in bound:
                await edge.listen(app.asgi, where, {"listener": listener}, tls)
            await edge.listen(app.asgi, admin, {"local_admin": True})
            if figures is not None:
                await edge.listen(_show_figures, figures, {})
            self._tell_ready(bound, app.first_admin)
            await self._stop.wait()
            notify.stopping()
            self._log.info("stopping")
            edge.stop_listening()
            app.services.shutdown.set()
            await edge.settle(self._hurry, STOP_SECONDS)
        finally:
            edge.close()
            await app.close()
            self._log.info("stopped")

    def _on_signal(self) -> None:
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    def _tell_ready(
        self,
        bound: list[tuple[Listener, socket.socket, ssl.SSLContext | None]],
        first_admin: tuple[str, str] | None,
    ) -> None:
        memory.collect_seldom()
        places = [_describe(listener, where) for listener, where, _ in bound]
        self._log.info("ready", listeners=places, worker=self._number, pid=os.getpid())
        if self._number == 1:
            click.echo(_greeting(self._config, places, first_admin))
        notify.ready()
        self._ready()


def _describe(listener: Listener, bound: socket.socket) -> str:
    if listener.unix_socket is not None or listener.port != 0:
        return listener.where
    return listener.where.removesuffix(":0") + f":{bound.getsockname()[1]}"


def _greeting(config: Config, places: list[str], first_admin: tuple[str, str] | None) -> str:
    lines = ["", f"chamberlain serves {config.server_name} at {', '.join(places)}"]
    if first_admin is not None:
        localpart = first_admin[0].removeprefix("@").split(":")[0]
        lines += [
            "",
            describe_first_admin(first_admin),
            "",
            f"Log in with any Matrix client: choose the homeserver {config.public_url},",
            "then this name and password.",
            f"Change the password in the client, or with: chamberlain user set-password {localpart}",
        ]
    return "\n".join([*lines, ""])


async def _show_figures(scope: Any, receive: Any, send: Any) -> None:
    """The ASGI app of the metrics listener."""
    found = scope["path"] in ("/", "/metrics", "/_synapse/metrics")
    body = metrics.render() if found and scope["method"] in ("GET", "HEAD") else b"not found\n"
    headers = [
        (b"content-type", metrics.CONTENT_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200 if found else 404, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
