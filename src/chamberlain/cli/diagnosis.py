"""The checks of `chamberlain doctor`. None of them changes anything."""

import enum
import os
import shutil
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import click
import msgspec
import orjson

from chamberlain.cli import data_folder
from chamberlain.cli.local import SocketApi
from chamberlain.cli.sockets import bind_tcp
from chamberlain.config import Config
from chamberlain.config.later import find_idle
from chamberlain.federation import key_file
from chamberlain.federation.key_file import KeyFileError
from chamberlain.runtime.clock import Clock

NETWORK_TIMEOUT = 5.0
LOW_SPACE = 1 << 30
CLOCK_TOLERANCE_MS = 30_000
_GIVE = "Give it to the user that runs chamberlain."
_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")


class Kind(enum.Enum):
    """How bad a finding is."""

    GOOD = "good"
    HINT = "hint"
    BAD = "bad"


class Finding(msgspec.Struct, frozen=True):
    """What a check found, and what to do about it."""

    kind: Kind
    text: str
    advice: str = ""


def _good(text: str) -> Finding:
    return Finding(Kind.GOOD, text)


def _hint(text: str, advice: str = "") -> Finding:
    return Finding(Kind.HINT, text, advice)


def _bad(text: str, advice: str = "") -> Finding:
    return Finding(Kind.BAD, text, advice)


def check_settings(config: Config) -> Iterator[Finding]:
    """The settings were read; say what in them is unwise."""
    yield _good(f"the settings are good: {config.server_name}, clients at {config.public_url}")
    for key in find_idle(config):
        yield _hint(f"{key} is set, and has no effect in this version")
    if config.registration.enabled and not (
        config.registration.require_token or config.registration.captcha.site_key
    ):
        yield _hint(
            "anybody can register without token or captcha: spammers find such servers",
            "Set registration.require_token = true.",
        )
    if config.passwords.hash_cost == "lowest":
        yield _bad("passwords.hash_cost is lowest: for tests only", "Remove it.")
    if config.database.synchronous == "off":
        yield _bad("database.synchronous is off: a crash loses messages", "Remove it.")
    if not config.rate_limits.enabled:
        yield _hint("rate limits are off", "Set rate_limits.enabled = true unless this is a test.")
    for listener in config.listeners:
        public = listener.address not in ("127.0.0.1", "::1", "localhost")
        if listener.unix_socket is None and public and listener.tls_certificate is None:
            yield _hint(
                f"{listener.where} is reachable from other machines without TLS",
                "Put a reverse proxy before it, or set tls_certificate and tls_key.",
            )


def check_data_folder(config: Config) -> Iterator[Finding]:
    """The data folder is there, writable and private."""
    folder = config.data_dir
    if not folder.exists():
        yield _hint(f"the data folder {folder} is not there yet", "`chamberlain serve` makes it.")
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        yield _bad(f"the data folder {folder} cannot be written", _GIVE)
    elif folder.stat().st_mode & 0o007:
        yield _hint(f"other users can look into the data folder {folder}", f"chmod o= {folder}")
    else:
        yield _good(f"the data folder {folder} is writable and private")


def check_signing_key(config: Config) -> Iterator[Finding]:
    """The signing key is one, and can be read by its owner alone."""
    key = config.signing_key_path
    if not key.exists():
        yield _hint(f"the signing key {key} is not there yet", "`chamberlain serve` makes it. Keep a copy.")
    elif not os.access(key, os.R_OK):
        yield _bad(f"the signing key {key} cannot be read", _GIVE)
    elif key.stat().st_mode & 0o077:
        yield _bad(f"other users can read the signing key {key}", f"chmod 600 {key}")
    else:
        try:
            key_file.load(key)
        except (KeyFileError, OSError) as problem:
            yield _bad(str(problem), "Restore it from a copy: without it other servers do not know yours.")
            return
        yield _good(f"the signing key {key} is private")


def check_disk(config: Config) -> Iterator[Finding]:
    """There is space left where the data are."""
    folder = config.data_dir
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    space = shutil.disk_usage(folder)
    words = f"{space.free / (1 << 30):.1f} GiB free of {space.total / (1 << 30):.0f} at {config.data_dir}"
    yield _bad(words, "Make space: a full disk stops the server.") if space.free < LOW_SPACE else _good(words)


def check_clock(config: Config) -> Iterator[Finding]:
    """The clock is not behind the newest file of the server's own."""
    now = Clock().now()
    files: list[Path] = [Path(__file__)]
    if config.data_dir.is_dir():
        files += [file for file in config.data_dir.iterdir() if file.is_file()]
    newest = max(int(file.stat().st_mtime * 1000) for file in files)
    if newest > now + CLOCK_TOLERANCE_MS:
        yield _bad("the clock is behind the server's own files", "Set the clock; let NTP keep it.")
    else:
        yield _good("the clock is ahead of all files")


def check_server(config: Config) -> Iterator[Finding]:
    """The server answers if it runs; if not, its database opens and its ports are free."""
    if data_folder.is_in_use(config.data_dir):
        try:
            SocketApi(config.admin_socket).call("GET", "/_matrix/client/versions")
            yield _good("the server runs and answers")
        except click.ClickException as problem:
            yield _bad(problem.message)
        return
    yield _hint("the server does not run")
    yield from _check_database(config)
    for listener in config.listeners:
        if listener.unix_socket is not None:
            continue
        try:
            bind_tcp(listener.address, listener.port).close()
            yield _good(f"{listener.where} is free to listen on")
        except click.ClickException as problem:
            yield _bad(problem.message, "Stop what uses it, or choose another port.")


def _check_database(config: Config) -> Iterator[Finding]:
    if config.is_sqlite:
        file = Path(config.database_url.removeprefix("sqlite:///"))
        if not file.exists():
            yield _hint(f"the database {file} is not there yet", "`chamberlain serve` makes it.")
        elif not os.access(file, os.R_OK | os.W_OK):
            yield _bad(f"the database {file} cannot be written", _GIVE)
        else:
            yield _good(f"the database {file} is there")
        return
    host, port = _postgres_address(config.database_url)
    try:
        if host.startswith("/"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
                channel.connect(f"{host}/.s.PGSQL.{port}")
        else:
            socket.create_connection((host, port), NETWORK_TIMEOUT).close()
        yield _good(f"something listens where PostgreSQL should be: {host} port {port}")
    except OSError as problem:
        yield _bad(
            f"PostgreSQL does not answer at {host} port {port}: {problem}", "Does it run? See database.url."
        )


def _postgres_address(url: str) -> tuple[str, int]:
    """Host (or the folder of the unix socket) and port of a PostgreSQL URL."""
    parts = urlsplit(url)
    named = parse_qs(parts.query)
    host = named.get("host", [parts.hostname or "/var/run/postgresql"])[0]
    return host, int(named.get("port", [str(parts.port or 5432)])[0])


def check_name(config: Config) -> Iterator[Finding]:
    """The server name is known to the DNS."""
    if config.server_name in _LOCAL_NAMES:
        yield _hint(f"the server name is {config.server_name}: for trying out on this machine only")
        return
    host = config.server_name.rsplit(":", 1)[0]
    try:
        socket.getaddrinfo(host.strip("[]"), None)
        yield _good(f"{host} has an address")
    except OSError:
        yield _bad(f"{host} has no address in the DNS", "Add an A or AAAA record.")


def check_public_url(config: Config) -> Iterator[Finding]:
    """Clients reach the server at the URL that they are told."""
    found, problem = _get(f"{config.public_url}/_matrix/client/versions")
    if found is None:
        yield _bad(
            f"clients cannot reach {config.public_url}: {problem}",
            "Check base_url, the reverse proxy and the firewall (and that the server runs).",
        )
        return
    yield _good(f"clients reach the server at {config.public_url}")
    date = found.headers.get("date")
    if date:
        ahead = Clock().now() - int(parsedate_to_datetime(date).timestamp() * 1000)
        if abs(ahead) > CLOCK_TOLERANCE_MS:
            yield _bad(f"this clock and the proxy's differ by {abs(ahead) // 1000} s", "Let NTP keep both.")


def check_delegation(config: Config) -> Iterator[Finding]:
    """The server name leads clients, and other servers, to this server."""
    if config.server_name in _LOCAL_NAMES:
        return
    where = f"https://{config.server_name}/.well-known/matrix"
    found, problem = _get(f"{where}/client")
    told = _field(found, "m.homeserver", "base_url")
    if told is None:
        yield _hint(
            f"{where}/client does not answer: {problem or 'no base_url in it'}",
            "People then have to type the homeserver's URL. See packaging/ for proxy examples.",
        )
    elif str(told).rstrip("/") != config.public_url:
        yield _bad(f"{where}/client says {told}, and base_url is {config.public_url}", "Make them agree.")
    else:
        yield _good(f"{where}/client leads clients here")
    if config.federation.enabled:
        yield from _check_server_delegation(config, f"{where}/server")


def _check_server_delegation(config: Config, url: str) -> Iterator[Finding]:
    found, problem = _get(url)
    told = _field(found, "m.server")
    if told is None:
        yield _hint(
            f"{url} does not answer: {problem or 'no m.server in it'}",
            f"Other servers then try port 8448 of {config.server_name}, unless an SRV record leads elsewhere.",
        )
    elif config.well_known.server and told != config.well_known.server:
        yield _bad(f"{url} says {told}, and well_known.server is {config.well_known.server}")
    else:
        yield _good(f"{url} leads other servers to {told}")


def _get(url: str) -> tuple[Any, str]:
    """The answer to a GET with its body read into `.content`, or None and the reason."""
    try:
        with urllib.request.urlopen(url, timeout=NETWORK_TIMEOUT) as answer:
            answer.content = answer.read(1 << 20)
            return answer, ""
    except urllib.error.URLError as problem:
        return None, str(problem.reason)
    except (OSError, ValueError) as problem:
        return None, str(problem)


def _field(answer: Any, *names: str) -> Any:
    if answer is None:
        return None
    try:
        found = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        return None
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found
