"""Clients of matrix-js-sdk with Rust crypto, as web clients use it, against the running server."""

import fcntl
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.process import Process, environment

FOLDER = Path(__file__).parent / "js"
PATIENCE = 150.0


def program(name: str) -> str:
    """Where a program is that this test cannot do without."""
    found = shutil.which(name)
    assert found is not None, f"{name} is needed for the tests with matrix-js-sdk: install nodejs and npm"
    return found


@pytest.fixture(scope="session")
def modules() -> Path:
    """The SDK as its lock file says, installed when it is not there yet."""
    npm = program("npm")
    with (Path(tempfile.gettempdir()) / "chamberlain-tests-npm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        installed = FOLDER / "node_modules/.package-lock.json"
        wanted = FOLDER / "package-lock.json"
        if not installed.exists() or installed.stat().st_mtime < wanted.stat().st_mtime:
            done = subprocess.run(
                [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
                cwd=FOLDER,
                env=environment(),
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            installed.touch()
    return FOLDER


def run(script: Path, server: Process) -> Any:
    """The line of JSON that a script prints."""
    done = subprocess.run(
        [program("node"), "--no-warnings", script, f"http://127.0.0.1:{server.port}"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr + server.log()
    return json.loads(done.stdout)


def test_web_clients_chat_with_encryption(tmp_path: Path, modules: Path) -> None:
    """Messages both ways, a new device that reads the history, threads, edits, receipts, profiles, spaces."""
    options = ("registration.enabled=true", "passwords.hash_cost=lowest", "rate_limits.enabled=false")
    with Process(tmp_path, *(part for option in options for part in ("--set", option))) as server:
        seen = run(modules / "encrypted_chat.mjs", server)
        assert server.stop() == 0

    assert seen == {
        "encrypted": True,
        "bodies": ["hello bob", "hello alice", "in a thread"],
        "thread": True,
        "crossSigned": True,
        "secretStorage": True,
        "newDevice": {
            "backup": {"version": "1", "counted": True},
            "history": "hello alice",
            "newDeviceTrusted": True,
        },
        "open": {
            "thread": {"count": 2, "latest": "two"},
            "edit": "edited",
            "replies": ["one", "two"],
            "duplicate": "M_DUPLICATE_ANNOTATION",
            "unread": [2, 0],
        },
        "profile": {
            "profile": {
                "displayname": "Alice",
                "m.tz": "Europe/London",
                "org.example.pronouns": ["she", "her"],
            },
            "property": ["she", "her"],
            "left": ["displayname", "org.example.pronouns"],
        },
        "space": ["Space", "a", "b"],
    }
    assert "error" not in server.log()
