"""`chamberlain user`: accounts, with the server up or down."""

from typing import Any
from urllib.parse import quote, urlencode

import click

from chamberlain.cli.local import PREFIX, open_local
from chamberlain.cli.names import localpart_of_name, user_id_of
from chamberlain.cli.passwords import read_password
from chamberlain.cli.settings import config_options
from chamberlain.config import Config

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


def _path(user_id: str, *rest: str) -> str:
    return "/".join([f"{PREFIX}/users", quote(user_id, safe=""), *rest])


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
        "username": localpart_of_name(config, who),
        "password": read_password(stdin=password_stdin),
        "admin": admin,
        "displayname": display_name,
    }
    with open_local(config) as api:
        user_id = api.call("POST", f"{PREFIX}/users", body)["user_id"]
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
            page = api.call("GET", f"{PREFIX}/users?{urlencode(query | {'from': len(rows)})}")
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
    user_id = user_id_of(config, who)
    body = {"new_password": read_password(stdin=password_stdin), "logout_devices": not keep_devices}
    with open_local(config) as api:
        api.call("POST", _path(user_id, "password"), body)
    click.echo(f"{user_id} has a new password{'' if keep_devices else ' and is logged out everywhere'}.")


@user.command(name="make-admin")
@click.argument("who", metavar="NAME")
@click.option("--revoke", is_flag=True, help="Make it an ordinary account again.")
@config_options()
def make_admin(config: Config, who: str, revoke: bool) -> None:
    """Make NAME an administrator of the server."""
    user_id = user_id_of(config, who)
    with open_local(config) as api:
        api.call("PUT", _path(user_id, "admin"), {"admin": not revoke})
    click.echo(f"{user_id} is {'no administrator any more' if revoke else 'an administrator'}.")


@user.command()
@click.argument("who", metavar="NAME")
@click.option("--erase", is_flag=True, help="Also hide what it wrote from people who join later.")
@click.option("--reason", metavar="TEXT", help="Why, for the audit log.")
@click.option("--dry-run", is_flag=True, help="Change nothing; tell what would happen.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_options()
def deactivate(config: Config, who: str, erase: bool, reason: str | None, dry_run: bool, yes: bool) -> None:
    """Deactivate NAME for good: log it out, take its password, leave all rooms. This cannot be undone."""
    user_id = user_id_of(config, who)
    body = {"erase": erase, "reason": reason}
    with open_local(config) as api:
        _tell_plan(user_id, api.call("POST", _path(user_id, "deactivate"), body | {"dry_run": True}))
        if dry_run:
            return
        if not yes:
            click.confirm(f"Deactivate {user_id} for good?", abort=True)
        started = api.call("POST", _path(user_id, "deactivate"), body | {"wait": True})
        job = api.call("GET", f"{PREFIX}/jobs/{quote(started['job_id'], safe='')}")["job"]
    if job["failed"] or job["error"]:
        raise click.ClickException(
            f"{user_id} is deactivated, but could not leave {job['failed']} rooms. {job['error'] or ''}"
        )
    click.echo(f"{user_id} is deactivated.")


def _tell_plan(user_id: str, plan: dict[str, Any]) -> None:
    """What would happen, in words."""
    rooms, orphaned = plan.get("rooms", []), plan.get("rooms_without_admin", [])
    click.echo(f"{user_id} leaves {len(rooms)} rooms.")
    if orphaned:
        click.echo(f"Nobody with full power stays in {len(orphaned)} of them: {', '.join(orphaned)}")
    for loss in plan.get("cannot_be_undone", []):
        click.echo(f"For good: {loss}")
