"""Turn one SQL text into what each database takes.

The one text uses `:name` parameters and `= ANY(:ids)` for lists. SQLite gets `IN (SELECT value FROM
json_each(:ids))`; PostgreSQL gets `$1`, `$2`. A text is compiled once and kept.
"""

import re
from functools import cache
from typing import Any, NamedTuple

import orjson

_ANY = re.compile(r"(=|<>)\s*(ANY|ALL)\(:(\w+)\)")
_NAME = re.compile(r"(?<![:\w]):([a-z_]\w*)")
_VALUES = re.compile(r"\bVALUES\s*\(([^()]*)\)", re.IGNORECASE)


class SqliteSql(NamedTuple):
    """`text` for SQLite; the parameters in `lists` are sent as JSON arrays."""

    text: str
    lists: frozenset[str]


class PostgresSql(NamedTuple):
    """`text` for PostgreSQL and the order in which its parameters are sent."""

    text: str
    names: tuple[str, ...]


@cache
def for_sqlite(sql: str) -> SqliteSql:
    """Give the SQLite form of a text."""
    lists = frozenset(match[2] for match in _ANY.findall(sql))

    def member(match: re.Match[str]) -> str:
        verb = "IN" if match[1] == "=" else "NOT IN"
        return f"{verb} (SELECT value FROM json_each(:{match[3]}))"

    text = _ANY.sub(member, sql).replace(" FOR UPDATE", "")
    return SqliteSql(text, lists)


@cache
def for_postgres(sql: str) -> PostgresSql:
    """Give the PostgreSQL form of a text."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        name = match[1]
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    return PostgresSql(_NAME.sub(number, sql), tuple(names))


def set_based(sql: str, names: tuple[str, ...], types: list[str]) -> str | None:
    """Give the form of `INSERT … VALUES (…)` that writes many rows at once from arrays, if it has one.

    `types` are PostgreSQL's names of the parameter types, in the order of `names`.
    """
    compiled = for_postgres(sql).text
    values = _VALUES.search(compiled)
    if values is None or len(_VALUES.findall(compiled)) != 1:
        return None
    if re.search(r"\$\d", compiled[: values.start()] + compiled[values.end() :]):
        return None
    columns = ", ".join(f"p{n}" for n in range(1, len(names) + 1))
    arrays = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(types, 1))
    row = re.sub(r"\$(\d+)", r"p\1", values[1])
    rows = f"SELECT {row} FROM unnest({arrays}) AS rows({columns})"
    return compiled[: values.start()] + rows + compiled[values.end() :]


def bind_sqlite(compiled: SqliteSql, params: dict[str, Any]) -> dict[str, Any]:
    """Give the parameters as SQLite takes them."""
    if not compiled.lists:
        return params
    return {
        name: orjson.dumps(list(value)).decode() if name in compiled.lists else value
        for name, value in params.items()
    }
