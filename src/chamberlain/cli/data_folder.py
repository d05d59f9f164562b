"""The data folder and its lock: one running server owns it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

LOCK_FILE = "chamberlain.lock"


def prepare(folder: Path) -> None:
    """Make the folder, for its owner's eyes only, where it does not exist."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as problem:
        raise click.ClickException(f"cannot make the data folder {folder}: {problem.strerror}") from problem


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; processes forked meanwhile share it. Refuses while another server holds it."""
    prepare(folder)
    try:
        file = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as problem:
        raise click.ClickException(f"cannot write to {folder}: {problem.strerror}") from problem
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            raise click.ClickException(
                f"a server runs on the data folder {folder} already: process {_read_owner(file)}"
            ) from problem
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(file)


def is_in_use(folder: Path) -> bool:
    """Whether a server runs on the folder."""
    try:
        file = os.open(folder / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def _read_owner(file: int) -> str:
    return os.pread(file, 20, 0).decode("ascii", "replace") or "?"
