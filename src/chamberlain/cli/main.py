"""The `chamberlain` command and the list of its subcommands."""

import importlib

import click

from chamberlain import __version__

_COMMANDS = {
    "serve": "chamberlain.cli.serve",
    "init": "chamberlain.cli.init",
    "config": "chamberlain.cli.config",
    "user": "chamberlain.cli.user",
    "admin": "chamberlain.cli.admin",
    "keys": "chamberlain.cli.keys",
    "doctor": "chamberlain.cli.doctor",
    "completion": "chamberlain.cli.completion",
}


class _Lazy(click.Group):
    """Imports a subcommand only when it is asked for, so that each starts quickly."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(_COMMANDS[cmd_name]), cmd_name)
        return command


@click.group(
    cls=_Lazy,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
A first server, with everything in ./data:
  chamberlain serve --name example.org
A server to keep:
  chamberlain init --name example.org
  chamberlain doctor
  chamberlain serve
""",
)
@click.version_option(__version__, prog_name="chamberlain")
def main() -> None:
    """A Matrix homeserver for the people who have to run one."""
