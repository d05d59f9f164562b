"""`chamberlain config`: an example, a check, an explanation."""

from pathlib import Path

import click

from chamberlain.cli.settings import find_file
from chamberlain.config import ConfigError
from chamberlain.config.check import find_problems
from chamberlain.config.documented import find_setting, list_settings
from chamberlain.config.example import describe_default, render_example
from chamberlain.config.later import find_idle, has_effect
from chamberlain.config.load import read


@click.group(
    epilog="""\b
Examples:
  chamberlain config example > chamberlain.toml
  chamberlain config check --config chamberlain.toml
  chamberlain config explain database.synchronous
"""
)
def config() -> None:
    """Settings: print an example, check a file, explain a setting."""


@config.command()
@click.option("--name", default="example.org", show_default=True, metavar="DOMAIN", help="The server name.")
def example(name: str) -> None:
    """Print a settings file with every setting, its explanation and its default."""
    click.echo(render_example(name))


@config.command()
@click.option("--config", "file", type=click.Path(path_type=Path), metavar="FILE", help="The settings file.")
@click.option("--name", metavar="DOMAIN", help="The server name, when the file does not set it.")
def check(file: Path | None, name: str | None) -> None:
    """Say what is wrong with the settings: of the file, with the environment laid over it."""
    chosen = find_file(file)
    try:
        loaded = read(chosen, flags={"server_name": name} if name else {})
    except ConfigError as unreadable:
        raise click.ClickException(str(unreadable)) from unreadable
    problems = find_problems(loaded)
    for problem in problems:
        click.echo(f"wrong: {problem}")
    if problems:
        raise SystemExit(1)
    for key in find_idle(loaded):
        click.echo(f"note: {key} is set, and has no effect in this version")
    click.echo(f"The settings{f' of {chosen}' if chosen else ''} are good: {loaded.server_name}.")


@config.command()
@click.argument("key")
def explain(key: str) -> None:
    """Explain the setting KEY, as database.url; or all settings of a section, as database."""
    wanted = find_setting(key)
    found = [wanted] if wanted else [s for s in list_settings() if s.key.startswith((key + ".", key + "[]."))]
    if not found:
        raise click.ClickException(f"there is no setting {key}; `chamberlain config example` shows all")
    for setting in found:
        click.echo(f"{setting.key}  ({setting.kind}; {describe_default(setting)})\n  {setting.text}")
        if not has_effect(setting.key):
            click.echo("  no effect in this version")
        click.echo(f"  environment: {setting.variable}\n")
