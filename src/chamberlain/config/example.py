"""`chamberlain.example.toml`: every setting with its documentation and default, commented out."""

import textwrap
from pathlib import Path
from typing import Any

import msgspec

from chamberlain.config.documented import Setting, Table, tables

_HEAD = """\
# The settings of chamberlain. Only server_name must be set; what is commented out shows the default.
# Each setting can be given as an environment variable too: database.url is CHAMBERLAIN__DATABASE__URL.
# Check this file with: chamberlain config check --config FILE
"""


def render_example(server_name: str = "example.org") -> str:
    """The text of an example file for that server."""
    return _HEAD + "\n" + "\n".join(_table(table, server_name) for table in tables() if _is_shown(table))


def _is_shown(table: Table) -> bool:
    return bool(table.settings)


def _table(table: Table, server_name: str) -> str:
    lines = []
    if table.name:
        lines += [_comment(table.text.split("\n\n")[0])]
        lines += [f"# [[{table.name}]]" if table.repeated else f"[{table.name}]"]
    mark = "#   " if table.repeated else "# "
    for setting in table.settings:
        lines += [_comment(setting.text, mark), _line(setting, server_name, mark), ""]
    return "\n".join(lines)


def _line(setting: Setting, server_name: str, mark: str) -> str:
    name = setting.key.rsplit(".", 1)[-1]
    if setting.key == "server_name":
        return f"{name} = {to_toml(server_name)}"
    if setting.default is None or setting.default is msgspec.NODEFAULT:
        return f"{mark}{name} = ({setting.kind})"
    return f"{mark}{name} = {_default(setting)}"


def describe_default(setting: Setting) -> str:
    """What holds when the setting is not made, in words."""
    if setting.default is msgspec.NODEFAULT:
        return "must be set"
    return "not set by default" if setting.default is None else f"default: {_default(setting)}"


def _default(setting: Setting) -> str:
    return f"{setting.default:#o}" if setting.key.endswith("_mode") else to_toml(setting.default)


def _comment(text: str, mark: str = "# ") -> str:
    return textwrap.fill(
        " ".join(text.split()),
        width=100,
        initial_indent=mark,
        subsequent_indent=mark,
        break_on_hyphens=False,
        break_long_words=False,
    )


def to_toml(value: Any) -> str:
    """`value` as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str | Path):
        return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, msgspec.Struct):
        inner = ", ".join(f"{name} = {to_toml(getattr(value, name))}" for name in value.__struct_fields__)
        return "{ " + inner + " }"
    return "[" + ", ".join(to_toml(entry) for entry in value) + "]"
