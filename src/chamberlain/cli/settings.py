"""The options that every command has for finding its settings."""

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from chamberlain.config import ConfigError
from chamberlain.config.load import find_type, load, parse_text

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_FILE = Path("chamberlain.toml")
_FLAGS = {"name": "server_name", "data": "data_dir", "database": "database.url"}


def config_options(*, name_flag: str = "--name", **shortcuts: str) -> Callable[[F], F]:
    """Give a command `--config`, `--name`, `--data`, `--database` and `--set` and the checked `config`.

    `name_flag` takes the place of `--name` where a name may be somebody else's than the server's.

    `shortcuts` names further options of the command, each with the setting that it stands for.
    """
    settings_of = _FLAGS | shortcuts

    def decorate(command: F) -> F:
        @wraps(command)
        def with_config(config_file: Path | None, settings: tuple[str, ...], **rest: Any) -> Any:
            given = {option: rest.pop(option) for option in settings_of}
            flags = {settings_of[option]: value for option, value in given.items() if value is not None}
            try:
                config = load(find_file(config_file), flags=flags | _read_pairs(settings))
            except ConfigError as problem:
                raise click.ClickException(str(problem)) from problem
            return command(config=config, **rest)

        decorated: Any = with_config
        for option in _options(name_flag):
            decorated = option(decorated)
        return decorated  # type: ignore[no-any-return]

    return decorate


def _options(name_flag: str) -> tuple[Callable[[Any], Any], ...]:
    return (
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="KEY=VALUE",
            help="Any other setting, by its dotted name.",
        ),
        click.option("--database", metavar="URL", help="sqlite:///FILE or postgresql://…"),
        click.option("--data", metavar="FOLDER", help="The data folder."),
        click.option(name_flag, "name", metavar="DOMAIN", help="The server name, as example.org."),
        click.option(
            "--config",
            "config_file",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="The settings file. Without it: $CHAMBERLAIN_CONFIG, or ./chamberlain.toml if there is one.",
        ),
    )


def find_file(given: Path | None) -> Path | None:
    """The settings file to read: the one given, the one of the environment, or the one in this folder."""
    if given is not None:
        return given
    if os.environ.get("CHAMBERLAIN_CONFIG"):
        return Path(os.environ["CHAMBERLAIN_CONFIG"])
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None


def _read_pairs(pairs: tuple[str, ...]) -> dict[str, Any]:
    flags = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        target = find_type(key.split("."))
        if not equals:
            raise ConfigError(key, "--set needs KEY=VALUE")
        if target is None:
            raise ConfigError(key, "no such setting")
        flags[key] = parse_text(text, target)
    return flags
