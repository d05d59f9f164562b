"""Write what is made from the code: `docs/reference/*.md` and `chamberlain.example.toml`.

python tools/gen_docs.py            write the files
python tools/gen_docs.py --check    write nothing; exit status 1 and the names of stale files if any are
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from chamberlain.admin import operations
from chamberlain.admin.operation import Operation, Scope
from chamberlain.cli.main import main as cli
from chamberlain.config.documented import Table, tables
from chamberlain.config.example import describe_default, render_example
from chamberlain.config.later import has_effect
from chamberlain.http import registry
from chamberlain.http.endpoint import Auth, Endpoint

ROOT = Path(__file__).resolve().parent.parent
NOTE = "<!-- Made by `make gen` from the code. Do not edit. -->\n"

FAMILIES = (
    ("/_chamberlain/", "Chamberlain's own administration API"),
    ("/_synapse/", "Synapse's administration API"),
    ("/_dendrite/", "Dendrite's administration API"),
    ("/_matrix/federation/", "Server-Server API"),
    ("/_matrix/key/", "Server-Server API"),
    ("/_matrix/app/", "Application Service API"),
    ("/_matrix/", "Client-Server API"),
    ("/", "Everything else"),
)
WHO = {
    Auth.NONE: "anyone",
    Auth.OPTIONAL: "anyone; a token is read",
    Auth.ACCESS_TOKEN: "users",
    Auth.GUEST_OK: "users and guests",
    Auth.APPSERVICE: "application services",
    Auth.ADMIN: "administrators",
    Auth.SIGNED_REQUEST: "homeservers",
}


def render() -> dict[Path, str]:
    """Every generated file and what it should contain."""
    reference = ROOT / "docs" / "reference"
    return {
        reference / "configuration.md": NOTE + _configuration(),
        reference / "endpoints.md": NOTE + _endpoints(registry.load()),
        reference / "operations.md": NOTE + _operations(),
        reference / "cli.md": NOTE + _commands(),
        ROOT / "chamberlain.example.toml": render_example(),
    }


def stale_files() -> list[Path]:
    """The generated files that the code has outgrown."""
    return [
        file
        for file, text in render().items()
        if not file.exists() or file.read_text(encoding="utf-8") != text
    ]


def _configuration() -> str:
    parts = [
        "# Settings\n\n"
        "One TOML file, given by `--config`. Every setting can also be an environment variable, which wins over"
        " the file; flags of the command line win over both. Of a setting and its `*_file` companion, the file"
        " wins. Relative paths start at the folder that the server was started in.\n"
    ]
    parts += [_table(table) for table in tables() if table.settings]
    return "\n".join(parts)


def _table(table: Table) -> str:
    lines = []
    if table.name:
        lines += [f"## `{'[[' if table.repeated else '['}{table.name}{']]' if table.repeated else ']'}`", ""]
        lines += [table.text, ""]
    for setting in table.settings:
        lines += [f"### `{setting.key}`", "", setting.text, ""]
        idle = "" if has_effect(setting.key) else "; **no effect in this version**"
        lines += [f"{setting.kind}; {describe_default(setting)}; `{setting.variable}`{idle}", ""]
    return "\n".join(lines)


def _endpoints(endpoints: list[Endpoint]) -> str:
    lines = [
        "# Endpoints\n",
        "Every path that the server answers. *Who* may call it is checked before anything else; *limit* is the"
        " class of [rate limits](configuration.md#rate_limits) that counts it.\n",
    ]
    for title in dict.fromkeys(title for _, title in FAMILIES):
        chosen = [endpoint for endpoint in endpoints if _family_of(endpoint.path) == title]
        if chosen:
            lines += [f"## {title}", "", "| endpoint | does | who | limit |", "| --- | --- | --- | --- |"]
            lines += [_row(endpoint) for endpoint in sorted(chosen, key=lambda e: (e.path, e.method))]
            lines += [""]
    return "\n".join(lines)


def _family_of(path: str) -> str:
    return next(title for prefix, title in FAMILIES if path.startswith(prefix))


def _row(endpoint: Endpoint) -> str:
    paths = "<br>".join(f"`{path}`" for path in (endpoint.path, *endpoint.aliases))
    summary = endpoint.summary.replace("|", "\\|")
    return f"| `{endpoint.method}` {paths} | {summary} | {WHO[endpoint.auth]} | {endpoint.limit.value} |"


def _operations() -> str:
    lines = [
        "# Operations\n",
        "Everything that an administrator can do. *Changes* means that the audit log has the call before it runs, and"
        " that path and command take `dry_run` and `reason`. *Job* means that it goes on in the background, after a"
        " crash too, and takes `wait`. *Noted* means that the audit log has each administrator who read it. An"
        " administrator has every scope.\n",
        "| operation | does | command | path below `/_chamberlain/admin/v1` | scope | |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, operation in sorted(operations.load().items()):
        command = path = "other paths alone"
        if operation.route is not None:
            command = f"`chamberlain admin {name.replace('.', ' ').replace('_', '-')}`"
            path = f"`{operation.route.method}` `{operation.route.path}`"
        scope = "" if operation.scope is Scope.NONE else f"`{operation.scope}`"
        lines.append(
            f"| `{name}` | {operation.summary} | {command} | {path} | {scope} | {_marks(operation)} |"
        )
    return "\n".join([*lines, ""])


def _marks(operation: Operation[Any, Any]) -> str:
    starts_job = any(field.name == "job_id" for field in msgspec.structs.fields(operation.result))
    marks = [(operation.mutates, "changes"), (starts_job, "job"), (operation.private, "noted")]
    return ", ".join(word for holds, word in marks if holds)


def walk_commands(
    command: click.Command = cli, name: str = "chamberlain"
) -> Iterator[tuple[str, click.Command]]:
    """Every command with its whole name, groups before what is in them."""
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            if found is not None:
                yield from walk_commands(found, f"{name} {inner}")


def _commands() -> str:
    parts = ["# Commands\n\nWhat `chamberlain COMMAND --help` says, for each command.\n"]
    for name, command in walk_commands():
        # With the settings of the whole, a command says the same here as where it is called.
        context = click.Context(
            command, info_name=name, terminal_width=100, max_content_width=100, **cli.context_settings
        )
        parts.append(f"## `{name}`\n\n```text\n{command.get_help(context).rstrip()}\n```\n")
    return "\n".join(parts)


def main() -> None:
    if "--check" in sys.argv[1:]:
        stale = stale_files()
        for file in stale:
            print(f"stale: {file.relative_to(ROOT)} (run `make gen`)")
        sys.exit(1 if stale else 0)
    for file, text in render().items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
