"""The files with this server's signing keys.

`signing.key` has a line `ed25519 <version> <seed in base64>` for each key, as Synapse's has: the first one signs, the
others are published beside it. `signing.key.old`, next to it, has a line `ed25519:<version> <public key in base64>
<expired at, in ms>` for each key of before, so that what it signed can still be verified. Empty lines and lines that
begin with `#` mean nothing.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from chamberlain.matrix.errors import InvalidParam
from chamberlain.matrix.server_keys import PublishedKey
from chamberlain.matrix.signing import ALGORITHM, SigningKey, VerifyKey, generate
from chamberlain.runtime.rng import Rng

T = TypeVar("T")


class KeyFileError(Exception):
    """A key file cannot be used; the message says why."""


class KeyFile(msgspec.Struct, frozen=True):
    """The keys of this server."""

    active: tuple[SigningKey, ...]
    """The first one signs."""
    old: tuple[PublishedKey, ...] = ()


def load(path: Path) -> KeyFile:
    """The keys in `path` and the file of old keys beside it.

    Raises:
        KeyFileError: there is something else in them.
        OSError: they cannot be read.
    """
    active = tuple(_parse(path, SigningKey.from_text))
    if not active:
        raise KeyFileError(f"{path}: there is no key")
    in_use = {key.key_id for key in active}
    beside = old_path(path)
    old = tuple(_parse(beside, _parse_old)) if beside.exists() else ()
    return KeyFile(active, tuple(key for key in old if key.key.key_id not in in_use))


def load_or_make(path: Path, rng: Rng) -> KeyFile:
    """The keys in `path`; where there is no such file, a new one is written. Raises as `load`."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, generate(rng.bytes(32)).to_text())
    return load(path)


def rotate(path: Path, rng: Rng, ends: int) -> SigningKey:
    """Make a new key the one that signs; those in use are good for what was signed until `ends` (ms). Raises as `load`.

    The server must not sign with those any more then.
    """
    before = load(path)
    made = generate(rng.bytes(32))
    lines = [f"{key.key_id} {key.verify_key().to_base64()} {ends}\n" for key in before.active]
    beside = old_path(path)
    kept = beside.read_text() if beside.exists() else ""
    # A key that is in both files is in use: a crash between these two changes nothing.
    _write(beside, kept + "".join(lines))
    _write(path, made.to_text())
    return made


def old_path(path: Path) -> Path:
    """The file of the old keys that belongs to a key file."""
    return path.with_name(path.name + ".old")


def _parse(path: Path, parse: Callable[[str], T]) -> Iterator[T]:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            try:
                yield parse(line)
            except (InvalidParam, ValueError) as problem:
                raise KeyFileError(f"{path}, line {number}: {problem}") from problem


def _parse_old(line: str) -> PublishedKey:
    parts = line.split()
    if len(parts) != 3 or not parts[0].startswith(f"{ALGORITHM}:"):
        raise ValueError(f"not a line `{ALGORITHM}:<version> <public key> <expired at, in ms>`")
    return PublishedKey(VerifyKey.from_base64(parts[1], parts[0]), int(parts[2]), is_old=True)


def _write(path: Path, text: str) -> None:
    """Replace a file, for its owner's eyes alone; after a crash it is the one or the other."""
    made = path.with_name(path.name + ".new")
    made.unlink(missing_ok=True)
    made.touch(mode=0o600)
    with made.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    made.replace(path)
