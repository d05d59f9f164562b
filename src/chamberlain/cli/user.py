"""`chamberlain user`: accounts, with the server up or down."""

import sys
from typing import Any
from urllib.parse import quote, urlencode

import click

from chamberlain.cli.local import open_local
from chamberlain.cli.settings import config_options
from chamberlain.config import Config
from chamberlain.matrix.ids import make_user_id

_PAGE = 500


@click.group(
    epilog="""\b
Examples:
  chamberlain user create alice --admin
  chamberlain user list
  chamberlain user set-password alice
  chamberlain user make-admin alice
  chamberlain user deactivate @mallory:example.org --erase
"""
)
def user() -> None:
    """Accounts: create, list, set a password, make an administrator, deactivate.

    Works beside a running server (through its admin socket, never its database) and without one. NAME is a
    localpart as alice, or a whole user id.
    """


def _user_id(config: Config, name: str) -> str:
    return make_user_id(_localpart(config, name), config.server_name)


def _localpart(config: Config, name: str) -> str:
    """The localpart of a name; refuses a user of another server."""
    localpart, colon, server = name.removeprefix("@").partition(":")
    if colon and server != config.server_name:
        raise click.ClickException(f"{name} is a user of another server: this is {config.server_name}")
    return localpart


def _path(user_id: str, *rest: str) -> str:
    return "/".join(["/_chamberlain/admin/v1/users", quote(user_id, safe=""), *rest])


def _read_password(stdin: bool) -> str:
    if stdin:
        return sys.stdin.readline().rstrip("\r\n")
    answer: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return answer


_PASSWORD_STDIN = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input, one line."
)


@user.command()
@click.argument("who", metavar="NAME")
@click.option("--admin", is_flag=True, help="Make it an administrator.")
@click.option("--display-name", metavar="TEXT", help="What people see.")
@_PASSWORD_STDIN
@config_options()
def create(config: Config, who: str, admin: bool, display_name: str | None, password_stdin: bool) -> None:
    """Create the account NAME; its password is asked for."""
    body: dict[str, Any] = {
        "username": _localpart(config, who),
        "password": _read_password(password_stdin),
        "admin": admin,
        "displayname": display_name,
    }
    with open_local(config) as api:
        user_id = api.call("POST", "/_chamberlain/admin/v1/users", body)["user_id"]
    click.echo(f"Created {user_id}{', an administrator' if admin else ''}.")


@user.command(name="list")
@click.option("--search", metavar="TEXT", help="Only names with this in them.")
@config_options()
def list_(config: Config, search: str | None) -> None:
    """List the accounts of this server."""
    rows: list[Any] = []
    query: dict[str, Any] = {"limit": _PAGE} | ({"name": search} if search else {})
    with open_local(config) as api:
        while True:
            page = api.call("GET", f"/_chamberlain/admin/v1/users?{urlencode(query | {'from': len(rows)})}")
            rows += page["users"]
            if not page["users"] or len(rows) >= page["total"]:
                break
    _show(rows)


def _show(rows: list[Any]) -> None:
    """Columns as wide as they need to be, one line an account: for people and for `grep`."""
    table = [("USER", "DISPLAY NAME", "ADMIN", "STATE")]
    for row in rows:
        state = "deactivated" if row["deactivated"] else "locked" if row["locked"] else ""
        admin = "yes" if row["is_admin"] else ""
        table.append((row["user_id"], _printable(row["display_name"] or ""), admin, state))
    widths = [max(len(line[column]) for line in table) for column in range(3)]
    for line in table:
        padded = [text.ljust(width) for text, width in zip(line, widths, strict=False)]
        click.echo("  ".join([*padded, line[3]]).rstrip())


def _printable(text: str) -> str:
    """A name that others chose, without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


@user.command(name="set-password")
@click.argument("who", metavar="NAME")
@click.option("--keep-devices", is_flag=True, help="Do not log the account out everywhere.")
@_PASSWORD_STDIN
@config_options()
def set_password(config: Config, who: str, keep_devices: bool, password_stdin: bool) -> None:
    """Set the password of NAME and log it out everywhere."""
    user_id = _user_id(config, who)
    body = {"new_password": _read_password(password_stdin), "logout_devices": not keep_devices}
    with open_local(config) as api:
        api.call("POST", _path(user_id, "password"), body)
    click.echo(f"{user_id} has a new password{'' if keep_devices else ' and is logged out everywhere'}.")


@user.command(name="make-admin")
@click.argument("who", metavar="NAME")
@click.option("--revoke", is_flag=True, help="Make it an ordinary account again.")
@config_options()
def make_admin(config: Config, who: str, revoke: bool) -> None:
    """Make NAME an administrator of the server."""
    user_id = _user_id(config, who)
    with open_local(config) as api:
        api.call("PUT", _path(user_id, "admin"), {"admin": not revoke})
    click.echo(f"{user_id} is {'no administrator any more' if revoke else 'an administrator'}.")


@user.command()
@click.argument("who", metavar="NAME")
@click.option("--erase", is_flag=True, help="Also hide what it wrote from people who join later.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_options()
def deactivate(config: Config, who: str, erase: bool, yes: bool) -> None:
    """Deactivate NAME for good: log it out, take its password, leave all rooms. This cannot be undone."""
    user_id = _user_id(config, who)
    if not yes:
        click.confirm(f"Deactivate {user_id} for good?", abort=True)
    with open_local(config) as api:
        api.call("POST", _path(user_id, "deactivate"), {"erase": erase, "wait": True})
    click.echo(f"{user_id} is deactivated.")
