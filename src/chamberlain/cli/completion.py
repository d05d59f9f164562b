"""`chamberlain completion`: completion of commands and options in the shell."""

import click
from click.shell_completion import get_completion_class


@click.command(
    epilog="""\b
Examples:
  bash:  chamberlain completion bash > /etc/bash_completion.d/chamberlain
  zsh:   chamberlain completion zsh > "${fpath[1]}/_chamberlain"
  fish:  chamberlain completion fish > ~/.config/fish/completions/chamberlain.fish
"""
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes chamberlain's commands in SHELL."""
    kind = get_completion_class(shell)
    assert kind is not None, "click.Choice lets only known shells in"
    made = kind(ctx.find_root().command, {}, "chamberlain", "_CHAMBERLAIN_COMPLETE")
    click.echo(made.source())
