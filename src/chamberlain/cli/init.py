"""`chamberlain init`: write a settings file to begin with."""

from pathlib import Path

import click

from chamberlain.config import ConfigError
from chamberlain.config.example import render_example, to_toml
from chamberlain.config.load import load


@click.command(
    epilog="""\b
Examples:
  chamberlain init --name example.org
  chamberlain init --name example.org --base-url https://matrix.example.org --output /etc/chamberlain.toml
  chamberlain init --name example.org --database postgresql://chamberlain@localhost/chamberlain
"""
)
@click.option("--name", prompt="Server name (the domain in user ids, as example.org)", metavar="DOMAIN")
@click.option(
    "--base-url", default="", metavar="URL", help="Where clients reach it, when not https://DOMAIN."
)
@click.option("--database", default="", metavar="URL", help="postgresql://… instead of SQLite.")
@click.option("--data", default="", metavar="FOLDER", help="The data folder. [default: data]")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("chamberlain.toml"),
    show_default=True,
    metavar="FILE",
    help="Where to write it.",
)
@click.option("--force", is_flag=True, help="Replace the file if it is there already.")
def init(name: str, base_url: str, database: str, data: str, output: Path, force: bool) -> None:
    """Write a settings file with every setting explained.

    The server name is forever: it is part of every user id. It need not be the name of the machine.
    """
    given = {"server_name": name, "base_url": base_url, "data_dir": data, "database.url": database}
    chosen = {key: value for key, value in given.items() if value}
    try:
        load(environment={}, flags=chosen)
    except ConfigError as problem:
        raise click.ClickException(str(problem)) from problem
    if output.exists() and not force:
        raise click.ClickException(f"{output} is there already; --force replaces it")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.touch(mode=0o640)
        output.write_text(_fill_in(render_example(name), chosen), "utf-8")
    except OSError as problem:
        raise click.ClickException(f"cannot write {output}: {problem.strerror}") from problem
    option = "" if output == Path("chamberlain.toml") else f" --config {output}"
    click.echo(f"Wrote {output}. Next:\n  chamberlain doctor{option}\n  chamberlain serve{option}")


def _fill_in(text: str, chosen: dict[str, str]) -> str:
    """Replace the commented defaults of the chosen settings."""
    lines = text.split("\n")
    section = ""
    for place, line in enumerate(lines):
        if line.startswith("["):
            section = line.strip("[]") + "."
        name = line.removeprefix("# ").split(" = ")[0]
        if " = " in line and section + name in chosen:
            lines[place] = f"{name} = {to_toml(chosen[section + name])}"
    return "\n".join(lines)
