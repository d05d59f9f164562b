"""`chamberlain doctor`: what is wrong with this set-up, in words."""

from collections.abc import Callable, Iterator

import click

from chamberlain.cli import diagnosis
from chamberlain.cli.diagnosis import Finding, Kind
from chamberlain.cli.settings import config_options
from chamberlain.config import Config

_SIGNS = {Kind.GOOD: "ok   ", Kind.HINT: "hint ", Kind.BAD: "WRONG"}


@click.command(
    epilog="""\b
Examples:
  chamberlain doctor
  chamberlain doctor --config /etc/chamberlain.toml
  chamberlain doctor --offline
"""
)
@click.option("--offline", is_flag=True, help="Ask nothing of the network.")
@config_options()
def doctor(config: Config, offline: bool) -> None:
    """Look over settings, data folder, keys, database, ports, DNS and delegation, and say what is wrong.

    Changes nothing. Exit status 1 when something is wrong; hints alone give 0.
    """
    checks: list[Callable[[Config], Iterator[Finding]]] = [
        diagnosis.check_settings,
        diagnosis.check_data_folder,
        diagnosis.check_signing_key,
        diagnosis.check_disk,
        diagnosis.check_clock,
        diagnosis.check_server,
    ]
    if not offline:
        checks += [diagnosis.check_name, diagnosis.check_public_url, diagnosis.check_delegation]
    bad = 0
    for check in checks:
        for finding in check(config):
            bad += finding.kind is Kind.BAD
            color = {Kind.GOOD: "green", Kind.HINT: "yellow", Kind.BAD: "red"}[finding.kind]
            click.echo(f"{click.style(_SIGNS[finding.kind], fg=color)}  {finding.text}")
            if finding.advice:
                click.echo(f"       {finding.advice}")
    if bad:
        raise SystemExit(1)
    click.echo("Nothing is wrong.")
