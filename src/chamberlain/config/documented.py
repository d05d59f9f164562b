"""The documentation of each setting, read from the docstrings beside the fields."""

import ast
import inspect
import types
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from chamberlain.config.config import Config
from chamberlain.config.section import Section


class Setting(msgspec.Struct, frozen=True):
    """One setting, in words."""

    key: str
    """Its dotted name, with `[]` after a name that may be repeated."""
    kind: str
    """What values it takes."""
    default: Any
    """What holds when it is not set; `msgspec.NODEFAULT` when it must be."""
    text: str
    """What it does."""

    @property
    def variable(self) -> str:
        """The environment variable of the same effect; the first entry's for a list of tables."""
        return "CHAMBERLAIN__" + self.key.replace("[]", "__0").replace(".", "__").upper()


class Table(msgspec.Struct, frozen=True):
    """One section: its settings and what it is for. The first has no name and holds the plain settings."""

    name: str
    text: str
    settings: list[Setting]
    repeated: bool


def tables() -> list[Table]:
    """Every section in the order of `Config`, inner ones after the ones that hold them."""
    return list(_walk(Config, "", repeated=False))


def find_setting(key: str) -> Setting | None:
    """The setting of that dotted name; places in lists may be given as `[0]`, `[]` or not at all."""
    wanted = _plain(key)
    return next((s for table in tables() for s in table.settings if _plain(s.key) == wanted), None)


def list_settings() -> list[Setting]:
    """Every setting, in the order of the example file."""
    return [setting for table in tables() for setting in table.settings]


def _plain(key: str) -> str:
    return "".join(letter for letter in key if letter not in "[]0123456789")


def _walk(struct: type[Section], name: str, *, repeated: bool) -> Iterator[Table]:
    hints = get_type_hints(struct)
    docs = field_docstrings(struct)
    prefix = f"{name}{'[]' if repeated else ''}." if name else ""
    settings = []
    inner: list[tuple[type[Section], str, bool]] = []
    for field in msgspec.structs.fields(struct):
        kind = hints[field.name]
        table = _table_of(kind)
        if table is not None:
            inner.append((table, prefix + field.name, get_origin(kind) is tuple))
            continue
        text = docs.get(field.name, "")
        settings.append(Setting(prefix + field.name, describe_type(kind), field.default, text))
    yield Table(name, inspect.cleandoc(struct.__doc__ or ""), settings, repeated)
    for table, inner_name, inner_repeated in inner:
        yield from _walk(table, inner_name, repeated=inner_repeated)


def _table_of(kind: Any) -> type[Section] | None:
    """The Struct behind a table or a list of tables. A rate is one value, written inline."""
    if get_origin(kind) is tuple:
        kind = get_args(kind)[0]
    if isinstance(kind, type) and issubclass(kind, Section) and kind.__name__ != "Rate":
        return kind
    return None


def describe_type(kind: Any) -> str:
    """The type in the words of a person who writes TOML."""
    simple = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path"}
    if kind in simple:
        return simple[kind]
    if get_origin(kind) is Literal:
        return " or ".join(f'"{value}"' for value in get_args(kind))
    if get_origin(kind) is tuple:
        return f"list of {describe_type(get_args(kind)[0])}"
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(describe_type(option) for option in get_args(kind) if option is not types.NoneType)
    return "{ per_second, burst }"


def field_docstrings(struct: type[msgspec.Struct]) -> dict[str, str]:
    """The string that stands under each field in the source."""
    body = next(n for n in ast.walk(ast.parse(inspect.getsource(struct))) if isinstance(n, ast.ClassDef)).body
    found = {}
    for field, below in pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
        ):
            found[field.target.id] = " ".join(below.value.value.split())
    return found
