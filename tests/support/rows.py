"""Rows for tests of one store module, with the columns that it does not care about filled in."""

import re
from functools import cache
from typing import Any, cast

from chamberlain.store.migrate import migrations
from chamberlain.store.tx import Write

_EMPTY: dict[str, Any] = {"TEXT": "", "BIGINT": 0, "BOOLEAN": False, "BYTEA": b""}


@cache
def _required(table: str) -> dict[str, Any]:
    """The NOT NULL columns of a table, each with an empty value."""
    text = "\n".join(sql for _, sql in migrations())
    (body,) = re.findall(rf"CREATE TABLE {table} \(\n(.*?)\n\)", text, re.DOTALL)
    columns = re.findall(r"^\s+(\w+) (TEXT|BIGINT|BOOLEAN|BYTEA)\b.*NOT NULL", body, re.MULTILINE)
    return {name: _EMPTY[kind] for name, kind in columns}


async def insert(tx: Write, table: str, **values: Any) -> None:
    """Insert one row."""
    row = _required(table) | values
    names = ", ".join(row)
    holes = ", ".join(f":{name}" for name in row)
    sql = f"INSERT INTO {table} ({names}) VALUES ({holes})"
    await tx.run(cast("Any", sql), **row)
