"""Resolve the requirements into `requirements.lock` (to run), `requirements-dev.lock` (to test) and
`requirements-synapse.lock` (the other homeserver of the tests, in an environment of its own).

The locks name no index and hold for Python 3.11 and newer on every platform: each line carries the hashes of all
files of that version. Run it as `make lock`; it installs the resolver into a throwaway environment.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEAD = "# Made by `make lock` from pyproject.toml. Do not edit.\n"
BUILD = "setuptools>=77\n"
OPTIONS = (
    "--universal",
    "--python-version=3.11",
    "--generate-hashes",
    "--no-header",
    "--no-annotate",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--quiet",
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        room = Path(folder)
        venv.create(room / "venv", with_pip=True)
        python = room / "venv" / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", "uv"], check=True)
        (room / "build.in").write_text(BUILD)
        own = [str(ROOT / "pyproject.toml"), str(room / "build.in")]
        run = _compile(python, room, ["--extra=postgres", "--extra=nats", *own])
        pins = [line.removesuffix(" \\") for line in run.splitlines() if line and not line.startswith(" ")]
        (room / "pins.txt").write_text("\n".join(pins) + "\n")
        same = f"--constraint={room / 'pins.txt'}"
        dev = _compile(python, room, ["--extra=postgres", "--extra=nats", "--extra=dev", same, *own])
        synapse = _compile(python, room, [f"--group={ROOT / 'pyproject.toml'}:synapse"])
    (ROOT / "requirements.lock").write_text(HEAD + run)
    (ROOT / "requirements-dev.lock").write_text(HEAD + dev)
    (ROOT / "requirements-synapse.lock").write_text(HEAD + synapse)


def _compile(python: Path, room: Path, wanted: list[str]) -> str:
    output = room / "out.lock"
    output.unlink(missing_ok=True)
    command = [python, "-m", "uv", "pip", "compile", *OPTIONS, *wanted, "-o", str(output)]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return output.read_text()


if __name__ == "__main__":
    main()
