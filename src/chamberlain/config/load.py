"""From a TOML file, the environment and flags to one checked `Config`; what comes later wins."""

import os
import tomllib
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from chamberlain.config.check import find_problems
from chamberlain.config.config import Config
from chamberlain.config.section import ConfigError

PREFIX = "CHAMBERLAIN__"
NAME_FILE = "server_name"


def load(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Config:
    """The settings of `file`, of the environment and of `flags` (by dotted name), each over the one before.

    Raises ConfigError, which names the setting, for anything that the server could not work with.
    """
    config = read(file, environment, flags)
    for problem in find_problems(config):
        raise problem
    return config


def read(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Config:
    """Like `load`, but without the checks that go beyond names and types."""
    tree = _read_file(file) if file is not None else {}
    for name, text in sorted((os.environ if environment is None else environment).items()):
        if name.startswith(PREFIX):
            _lay_environment(tree, name, text)
    for key, value in (flags or {}).items():
        _put(tree, key.split("."), value)
    if "server_name" not in tree:
        remembered = find_remembered_name(Path(str(tree.get("data_dir", "data"))))
        if remembered:
            tree["server_name"] = remembered
    if "server_name" not in tree:
        raise ConfigError("server_name", "not set: give --name, CHAMBERLAIN__SERVER_NAME or a settings file")
    _read_secrets(tree, Config, "")
    return _convert(tree)


def find_remembered_name(data_dir: Path) -> str | None:
    """The name of the server whose data these are, as `remember_name` left it; None in a fresh folder."""
    try:
        return (data_dir / NAME_FILE).read_text("utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def remember_name(config: Config) -> None:
    """Leave the server's name in the data folder, so that later commands need not be told."""
    (config.data_dir / NAME_FILE).write_text(config.server_name + "\n", "utf-8")


def _read_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as problem:
        raise ConfigError("", f"cannot read {file}: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        raise ConfigError("", f"{file} is not UTF-8") from problem
    except tomllib.TOMLDecodeError as problem:
        raise ConfigError("", f"{file} is not valid TOML: {problem}") from problem


def _lay_environment(tree: dict[str, Any], name: str, text: str) -> None:
    path = name.removeprefix(PREFIX).lower().split("__")
    target = find_type(path)
    if target is None:
        raise ConfigError(".".join(path), f"no such setting (from the environment variable {name})")
    _put(tree, path, parse_text(text, target))


def find_type(path: list[str]) -> Any | None:
    """The type of the setting at `path`, numbers standing for places in a list; None when there is none."""
    current: Any = Config
    for part in path:
        if part.isascii() and part.isdigit() and get_origin(current) is tuple:
            current = get_args(current)[0]
        elif _is_struct(current):
            current = get_type_hints(current).get(part)
        else:
            return None
    return current


def parse_text(text: str, target: Any) -> Any:
    """The value that `text`, as found in a variable or a flag, means for a setting of type `target`."""
    options = [kind for kind in _options(target) if kind is not types.NoneType]
    if any(kind in (str, Path) or get_origin(kind) is Literal for kind in options):
        return text
    if any(get_origin(kind) is tuple for kind in options) and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    if bool in options:
        text = text.strip().lower()
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _options(target: Any) -> tuple[Any, ...]:
    return get_args(target) if get_origin(target) in (Union, types.UnionType) else (target,)


def _put(tree: dict[str, Any], path: list[str], value: Any) -> None:
    """Set the value at `path`, making the tables and list entries on the way."""
    current: Any = tree
    for part, following in zip(path, [*path[1:], None], strict=True):
        last = following is None
        if isinstance(current, list):
            place = int(part)
            while len(current) <= place:
                current.append({})
            if last:
                current[place] = value
            current = current[place]
        elif isinstance(current, dict):
            if last:
                current[part] = value
            else:
                current = current.setdefault(part, [] if following and following.isdigit() else {})
        else:
            raise ConfigError(".".join(path), f"{part} is not a table")


def _read_secrets(table: Any, struct: type[msgspec.Struct], where: str) -> None:
    """Fill each setting whose `*_file` companion is set from that file, less the newline at its end."""
    if not isinstance(table, dict):
        return
    hints = get_type_hints(struct)
    for name, kind in hints.items():
        if _is_struct(kind):
            _read_secrets(table.get(name), kind, f"{where}{name}.")
        elif get_origin(kind) is tuple and _is_struct(get_args(kind)[0]):
            entries = table.get(name)
            for place, entry in enumerate(entries if isinstance(entries, list) else ()):
                _read_secrets(entry, get_args(kind)[0], f"{where}{name}[{place}].")
        elif name.endswith("_file") and name.removesuffix("_file") in hints and table.get(name):
            table[name.removesuffix("_file")] = _read_secret(Path(str(table[name])), f"{where}{name}")


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _read_secret(file: Path, key: str) -> str:
    try:
        return file.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigError(key, f"cannot read {file}") from problem


def _convert(tree: dict[str, Any]) -> Config:
    try:
        return msgspec.convert(tree, Config, dec_hook=_decode)
    except msgspec.ValidationError as problem:
        message, _, place = str(problem).partition(" - at ")
        key = place.strip("`").removeprefix("$").removeprefix(".")
        raise ConfigError(key, message.replace("`", "")) from problem


def _decode(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise msgspec.ValidationError(f"Expected text, got {type(value).__name__}")
