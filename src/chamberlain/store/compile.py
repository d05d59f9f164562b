"""Turn one SQL text into what each database takes.

The one text uses `:name` parameters and `= ANY(:ids)` for lists. SQLite gets `IN (SELECT value FROM
json_each(:ids))`; PostgreSQL gets `$1`, `$2`. A text is compiled once and kept.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import orjson

_ANY = re.compile(r"(=|<>)\s*(ANY|ALL)\(:(\w+)\)")
_NAME = re.compile(r"(?<![:\w]):([a-z_]\w*)")
_PLACE = re.compile(r"\bp(\d+)\b")
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


class SetInsert(NamedTuple):
    """An `INSERT … VALUES` of which PostgreSQL writes any number of rows at once, alone or beside others.

    `head` and `tail` stand before and after the values, in `row` the parameters are `p1`, `p2` …; `types` are
    PostgreSQL's names of the parameter types, in the order of `names`.
    """

    head: str
    row: str
    tail: str
    names: tuple[str, ...]
    types: tuple[str, ...]

    def text(self, *, first: int = 1, single: bool = False, base: str = "") -> str:
        """The statement whose parameters are `first` and following: arrays, or values for a `single` row.

        `base`: a table whose `base` is added to the position.
        """
        row = self.row
        if base:
            place = f"p{self.names.index('position') + 1}"
            row = re.sub(rf"\b{place}\b", f"(base + {place})", row)
        if single:
            row = _PLACE.sub(lambda match: self._value(int(match[1]), first), row)
            source = f" FROM {base}" if base else ""
        else:
            columns = ", ".join(f"p{n}" for n in range(1, len(self.names) + 1))
            arrays = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(self.types, first))
            source = f" FROM {base + ', ' if base else ''}unnest({arrays}) AS rows({columns})"
        return f"{self.head}SELECT {row}{source}{self.tail}"

    def _value(self, place: int, first: int) -> str:
        return f"${first + place - 1}::{self.types[place - 1]}"


def set_insert(sql: str, names: tuple[str, ...], types: list[str]) -> SetInsert | None:
    """Give the form of `INSERT … VALUES (…)` that writes sets, if it has one."""
    compiled = for_postgres(sql).text
    values = _VALUES.search(compiled)
    if values is None or len(_VALUES.findall(compiled)) != 1:
        return None
    head, tail = compiled[: values.start()], compiled[values.end() :]
    if re.search(r"\$\d", head + tail):
        return None
    return SetInsert(head, re.sub(r"\$(\d+)", r"p\1", values[1]), tail, names, tuple(types))


def write_together(
    placed: Sequence[SetInsert],
    others: Sequence[SetInsert],
    *,
    single: bool,
    each: frozenset[int] = frozenset(),
) -> str:
    """Give one statement that writes all these sets, and takes positions where there are `placed` ones.

    With them, the first parameter is how many positions to take; it gives the position before the first of these.
    With `each`, places among `others`, the next parameter is how many rows these have to write: with fewer, it
    divides by zero. The parameters of `placed` and then of `others` follow.
    """
    if not placed and not each and len(others) == 1:
        return others[0].text(single=single)
    texts, first = [], 1 + bool(placed) + bool(each)
    for number, insert in enumerate((*placed, *others)):
        texts.append(insert.text(first=first, single=single, base="taken" if number < len(placed) else ""))
        first += len(insert.names)
    parts, where = [], ""
    for place in sorted(each):
        number = len(placed) + place
        parts.append(f"w{number} AS ({texts[number]} RETURNING 1)")
    if each:
        # Nothing else makes PostgreSQL give up on a statement, and what it has written so far, from inside.
        written = " + ".join(f"(SELECT COUNT(*) FROM w{len(placed) + place})" for place in sorted(each))
        wanted = f"${1 + bool(placed)}::bigint"
        parts.append(f"held AS (SELECT 1 / CASE WHEN {written} = {wanted} THEN 1 ELSE 0 END AS one)")
        where = " AND (SELECT one FROM held) = 1"
    if placed:
        parts.append(
            "taken AS (UPDATE sequences SET value = value + $1"
            f" WHERE name = 'position'{where} RETURNING value - $1 AS base)"
        )
    parts += [f"w{n} AS ({text})" for n, text in enumerate(texts) if n - len(placed) not in each]
    return (
        f"WITH {', '.join(parts)} SELECT {'base FROM taken' if placed else 'one FROM held' if each else '0'}"
    )


def bind_sqlite(compiled: SqliteSql, params: dict[str, Any]) -> dict[str, Any]:
    """Give the parameters as SQLite takes them."""
    if not compiled.lists:
        return params
    return {
        name: orjson.dumps(list(value)).decode() if name in compiled.lists else value
        for name, value in params.items()
    }
