"""The `chamberlain` command and the list of its subcommands."""

import click

from chamberlain import __version__


@click.group()
@click.version_option(__version__, prog_name="chamberlain")
def main() -> None:
    """A Matrix homeserver for the people who have to run one."""
