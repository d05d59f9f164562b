"""`chamberlain admin`: a command for each operation of the administration API, made from its record."""

import functools
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from urllib.parse import quote, urlencode

import click
import msgspec
import orjson

from chamberlain.admin import operations
from chamberlain.admin.operation import Operation, Route
from chamberlain.cli.local import PREFIX, LocalApi, open_local
from chamberlain.cli.names import user_id_of
from chamberlain.cli.passwords import read_password
from chamberlain.cli.settings import config_options
from chamberlain.config import Config
from chamberlain.config.documented import field_docstrings

_TAKEN = {"name": "match-name", "data": "match-data", "database": "match-database"}
"""Flags for fields whose own name belongs to an option that every command has."""


@functools.cache
def _sections() -> dict[str, dict[str, Operation[Any, Any]]]:
    """The operations that have a path of their own, as section → verb → record."""
    found: dict[str, dict[str, Operation[Any, Any]]] = {}
    for name, operation in sorted(operations.load().items()):
        section, _, verb = name.partition(".")
        if operation.route is not None:
            found.setdefault(section.replace("_", "-"), {})[verb.replace("_", "-")] = operation
    return found


class _Sections(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_sections())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _sections():
            return None
        verbs = _sections()[cmd_name]
        commands = {verb: _command(cmd_name, verb, operation) for verb, operation in verbs.items()}
        text = f"Operations on {cmd_name}: {', '.join(verbs)}."
        return click.Group(
            cmd_name, commands, help=text, epilog=_examples(f"{cmd_name} {next(iter(verbs))} --help")
        )


@click.group(
    cls=_Sections,
    epilog="""\b
Examples:
  chamberlain admin users whois alice
  chamberlain admin users deactivate mallory --dry-run
  chamberlain admin rooms evacuate '!abc:example.org' --reason "closed"
  chamberlain admin jobs list --state failed
  chamberlain admin audit verify
""",
)
def admin() -> None:
    """Every operation of the administration API, as JSON; beside a running server or without one.

    What changes anything takes --dry-run, which tells what would happen, and --reason, for the audit log. What takes
    long is waited for, and its job is shown. The server name is --server-name here, for other things have names too.
    """


def _examples(line: str) -> str:
    return f"\b\nExample:\n  chamberlain admin {line}"


def _command(section: str, verb: str, operation: Operation[Any, Any]) -> click.Command:
    fields = msgspec.structs.fields(operation.request)
    docs = field_docstrings(operation.request)
    parameters: list[click.Parameter] = [
        _parameter(field, operation, docs.get(field.name)) for field in fields
    ]
    if operation.mutates:
        parameters.append(
            click.Option(["--dry-run"], is_flag=True, help="Change nothing; tell what would happen.")
        )
        parameters.append(click.Option(["--reason"], metavar="TEXT", help="Why, for the audit log."))
    if _starts_job(operation):
        parameters.append(click.Option(["--no-wait"], is_flag=True, help="Do not wait for the job."))

    # With `--name` here, `users list --name ali` would name the server, and list everybody.
    @config_options(name_flag="--server-name")
    def run(config: Config, **given: Any) -> None:
        _run(config, operation, given)

    arguments = " ".join(name.upper() for name in _holes(operation))
    return click.Command(
        verb,
        callback=run,
        params=[*parameters, *reversed(getattr(run, "__click_params__", []))],
        help=f"{operation.summary}\n\n{operation.description}".strip(),
        epilog=_examples(f"{section} {verb} {arguments}".rstrip()),
    )


def _holes(operation: Operation[Any, Any]) -> list[str]:
    """The fields that are arguments: those in the path, and whom or what the operation is about."""
    fields = [field.name for field in msgspec.structs.fields(operation.request) if field.required]
    path = operation.route.path if operation.route else ""
    return [name for name in fields if f"{{{name}}}" in path or name in (operation.target, "user_id")]


def _starts_job(operation: Operation[Any, Any]) -> bool:
    return any(field.name == "job_id" for field in msgspec.structs.fields(operation.result))


def _dest(field: msgspec.structs.FieldInfo) -> str:
    """The parameter's name inside, apart from those of the options that every command has."""
    return f"field_{field.name}"


def _parameter(
    field: msgspec.structs.FieldInfo, operation: Operation[Any, Any], text: str | None
) -> click.Parameter:
    if field.name in _holes(operation):
        return click.Argument([_dest(field)], metavar=field.name.upper())
    kind = _plain(field.type)
    name = _TAKEN.get(field.name) or field.encode_name.replace("_", "-")
    words = text or f"{field.encode_name.replace('_', ' ').capitalize()}."
    if "password" in field.name:
        flag = f"--{name}-stdin"
        return click.Option([flag, _dest(field)], is_flag=True, help=f"{words} Read it from standard input.")
    options: dict[str, Any] = {"help": words, "required": field.required, "default": None}
    if kind is bool:
        return click.Option([f"--{name}/--no-{name}", _dest(field)], **options)
    if get_origin(kind) is Literal:
        options["type"] = click.Choice(list(get_args(kind)))
    elif get_origin(kind) is list:
        options["multiple"] = True
    elif kind is int:
        options["type"] = int
    elif kind is not str:
        options["metavar"] = "JSON"
    return click.Option([f"--{name}", _dest(field)], **options)


def _plain(kind: Any) -> Any:
    """The type without annotations and without None."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, types.UnionType):
        return _plain(next(option for option in get_args(kind) if option is not types.NoneType))
    return kind


def _run(config: Config, operation: Operation[Any, Any], given: dict[str, Any]) -> None:
    assert operation.route is not None, "only operations with a path are commands"
    values = _values(config, operation, given)
    if operation.mutates:
        values |= {"dry_run": given["dry_run"]} | ({"reason": given["reason"]} if given["reason"] else {})
    if _starts_job(operation):
        values["wait"] = not (given["no_wait"] or given["dry_run"])
    with open_local(config) as api:
        answer = _call(api, operation.route, values)
        if values.get("wait"):
            answer = api.call("GET", f"{PREFIX}/jobs/{quote(answer['job_id'], safe='')}?limit=1000")
    click.echo(orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode())
    if values.get("wait") and (answer["job"]["failed"] or answer["job"]["error"]):
        raise SystemExit(1)


def _values(config: Config, operation: Operation[Any, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The fields of the request, by their names on the wire; those that were not given are left out."""
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(operation.request):
        value = given[_dest(field)]
        if "password" in field.name:
            value = read_password(stdin=True) if value else read_password() if field.required else None
        elif field.name == "user_id" and field.name in _holes(operation):
            value = user_id_of(config, value)
        elif isinstance(value, str) and _plain(field.type) not in (str, int) and not _is_choice(field.type):
            value = _json(field.name, value)
        if value is not None and value != ():
            values[field.encode_name] = value
    return values


def _is_choice(kind: Any) -> bool:
    return get_origin(_plain(kind)) is Literal


def _json(name: str, text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as problem:
        raise click.BadParameter(f"not JSON: {problem}", param_hint=f"--{name}") from problem


def _call(api: LocalApi, route: Route, values: dict[str, Any]) -> Any:
    path, rest = route.path, dict(values)
    for name in list(rest):
        if f"{{{name}}}" in path:
            path = path.replace(f"{{{name}}}", quote(str(rest.pop(name)), safe=""))
    if route.method != "GET":
        return api.call(route.method, PREFIX + path, rest)
    query = {name: _in_query(value) for name, value in rest.items()}
    return api.call("GET", PREFIX + path + (f"?{urlencode(query, doseq=True)}" if query else ""))


def _in_query(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
