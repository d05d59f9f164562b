"""`chamberlain keys`: the keys that the server signs with."""

from datetime import UTC, datetime

import click

from chamberlain.cli import data_folder
from chamberlain.cli.local import PREFIX, open_local
from chamberlain.cli.settings import config_options
from chamberlain.config import Config
from chamberlain.federation import key_file
from chamberlain.federation.key_file import KeyFile, KeyFileError
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.rng import Rng


@click.group(
    epilog="""\b
Examples:
  chamberlain keys list
  chamberlain keys rotate --config /etc/chamberlain.toml
"""
)
def keys() -> None:
    """Look at the keys that the server signs with, or make a new one."""


@keys.command(name="list")
@config_options()
def list_keys(config: Config) -> None:
    """List the server's keys: the one that signs, others in use, and old ones with the time of their end."""
    found = _load(config)
    for number, key in enumerate(found.active):
        state = "signs" if number == 0 else "in use"
        click.echo(f"{key.key_id}  {key.verify_key().to_base64()}  {state}")
    for old in found.old:
        until = datetime.fromtimestamp(old.valid_until / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        click.echo(f"{old.key.key_id}  {old.key.to_base64()}  old since {until}")


@keys.command(
    epilog="""\b
The file signing.key then has the new key alone; the public half of each old one stands in signing.key.old beside it,
with the time of its end. Keep copies of both: without them nobody can verify what the server has signed.
"""
)
@config_options()
def rotate(config: Config) -> None:
    """Make a new signing key. The old one is published as such, so that what it signed stays valid.

    A server that runs signs with it at once. With several machines, stop them all, and copy both files to each: what
    one of them signed with the old key after this would be valid nowhere.
    """
    if data_folder.is_in_use(config.data_dir):
        with open_local(config) as api:
            made = api.call("POST", f"{PREFIX}/keys/rotate")
        click.echo(f"The server signs with {made['key_id']} from now on.")
        return
    _load(config)
    with data_folder.locked(config.data_dir):
        key = key_file.rotate(config.signing_key_path, Rng(), Clock().now())
    click.echo(f"The server signs with {key.key_id} from its next start on.")


def _load(config: Config) -> KeyFile:
    path = config.signing_key_path
    try:
        return key_file.load(path)
    except FileNotFoundError as problem:
        raise click.ClickException(f"there is no {path} yet: `chamberlain serve` makes it") from problem
    except (KeyFileError, OSError) as problem:
        raise click.ClickException(str(problem)) from problem
