"""Users as people type them: a localpart, or a whole user id."""

import click

from chamberlain.config import Config
from chamberlain.matrix.ids import make_user_id


def localpart_of_name(config: Config, name: str) -> str:
    """The localpart of a name; refuses a user of another server."""
    localpart, colon, server = name.removeprefix("@").partition(":")
    if colon and server != config.server_name:
        raise click.ClickException(f"{name} is a user of another server: this is {config.server_name}")
    return localpart


def user_id_of(config: Config, name: str) -> str:
    """The user id of a name; refuses a user of another server."""
    return make_user_id(localpart_of_name(config, name), config.server_name)
