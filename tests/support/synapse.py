"""Synapse from PyPI as a process, in the environment that `make test` installs it into."""

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import yaml

from tests.support.authority import Authority
from tests.support.ports import free_port
from tests.support.server import SECRET

PYTHON = Path(__file__).parents[2] / ".venv-synapse/bin/python"
START_SECONDS = 180.0
STOP_SECONDS = 90.0
UNLIMITED = {"per_second": 10_000, "burst_count": 10_000}


class Synapse:
    """One Synapse on SQLite: federation by TLS at its name's port, clients without TLS at `url`."""

    def __init__(self, folder: Path, authority: Authority, host: str) -> None:
        assert PYTHON.exists(), (
            "Synapse is not installed: `make test` does it, or `make .venv-synapse/.stamp`"
        )
        self.folder = folder
        self.port = free_port()
        self.name = f"{host}:{self.port}"
        clients = free_port()
        self.url = f"http://127.0.0.1:{clients}"
        certificate, key = authority.vouch(host)
        self._write("log.yaml", _log_settings())
        self._write(
            "homeserver.yaml",
            {
                "server_name": self.name,
                "listeners": [
                    _listener(self.port, ["federation", "client"], tls=True),
                    _listener(clients, ["client"], tls=False),
                ],
                "tls_certificate_path": str(certificate),
                "tls_private_key_path": str(key),
                "federation_custom_ca_list": [str(authority.certificate)],
                **self._places(),
                **_neighbourhood(),
                **_accounts(),
                **_no_limits(),
            },
        )

    def _places(self) -> dict[str, object]:
        return {
            "database": {"name": "sqlite3", "args": {"database": str(self.folder / "homeserver.db")}},
            "media_store_path": str(self.folder / "media"),
            "signing_key_path": str(self.folder / "signing.key"),
            "log_config": str(self.folder / "log.yaml"),
        }

    def _write(self, name: str, settings: dict[str, object]) -> None:
        (self.folder / name).write_text(yaml.safe_dump(settings))

    def start(self) -> None:
        """It serves clients and servers when this returns."""
        with (self.folder / "homeserver.log").open("ab") as log:
            self._child = subprocess.Popen(
                [PYTHON, "-m", "synapse.app.homeserver", "--config-path", "homeserver.yaml"],
                cwd=self.folder,
                env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._child.poll() is None and time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=START_SECONDS):
                return True
        except urllib.error.URLError:
            return False

    def stop(self) -> None:
        """End the process."""
        self._child.send_signal(signal.SIGTERM)
        try:
            self._child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def kill(self) -> None:
        """As if the power failed."""
        self._child.kill()
        self._child.wait()

    def log(self) -> str:
        """What it logged so far."""
        return (self.folder / "homeserver.log").read_text()


def _listener(port: int, names: list[str], *, tls: bool) -> dict[str, object]:
    return {
        "type": "http",
        "bind_addresses": ["127.0.0.1"],
        "port": port,
        "tls": tls,
        "resources": [{"names": names}],
    }


def _log_settings() -> dict[str, object]:
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
        "loggers": {"twisted": {"level": "WARNING"}},
        "root": {"level": "INFO", "handlers": ["console"]},
    }


def _neighbourhood() -> dict[str, object]:
    """All other homeservers are on this machine, and one that was away is tried again at once."""
    return {
        "trusted_key_servers": [],
        "suppress_key_server_warning": True,
        "ip_range_blacklist": [],
        "allow_public_rooms_over_federation": True,
        "room_list_publication_rules": [{"action": "allow"}],
        "federation": {
            "client_timeout": "20s",
            "max_short_retries": 1,
            "destination_min_retry_interval": 200,
            "destination_max_retry_interval": "1s",
        },
        "report_stats": False,
    }


def _accounts() -> dict[str, object]:
    return {
        "enable_registration": True,
        "enable_registration_without_verification": True,
        "registration_shared_secret": SECRET,
        "macaroon_secret_key": "of no use elsewhere",
        "form_secret": "of no use elsewhere",
        "bcrypt_rounds": 4,
    }


def _no_limits() -> dict[str, object]:
    by_kind = {"local": UNLIMITED, "remote": UNLIMITED}
    invites = {"per_room": UNLIMITED, "per_user": UNLIMITED, "per_issuer": UNLIMITED}
    logins = {"address": UNLIMITED, "account": UNLIMITED, "failed_attempts": UNLIMITED}
    alike = (
        "message",
        "registration",
        "joins_per_room",
        "admin_redaction",
        "key_requests",
        "media_create",
        "room_creation",
        "user_directory",
        "profile",
    )
    return {
        **{f"rc_{name}": UNLIMITED for name in alike},
        "rc_presence": {"per_user": UNLIMITED},
        "rc_login": logins,
        "rc_joins": by_kind,
        "rc_invites": invites,
        "rc_federation": {"sleep_limit": 10_000, "reject_limit": 10_000, "concurrent": 100},
        "federation_rr_transactions_per_room_per_second": 10_000,
    }
