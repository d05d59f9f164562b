"""Counting the statements that a server sends to its database, whichever it is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import apsw
from asyncpg.connection import Connection

_BY_ASYNCPG = ("fetch", "execute", "executemany")


class Statements:
    """The statements of every connection opened since; the text of each, in order."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def taken(self) -> list[str]:
        """The statements since this was last asked."""
        texts, self.texts = self.texts, []
        return texts


@contextmanager
def counted() -> Iterator[Statements]:
    """Count what connections do that are opened inside of the block."""
    statements = Statements()

    def trace(cursor: apsw.Cursor, sql: str, bindings: Any) -> bool:
        statements.texts.append(sql)
        return True

    def opened(connection: apsw.Connection) -> None:
        connection.exec_trace = trace

    apsw.connection_hooks.append(opened)
    kept = {name: getattr(Connection, name) for name in _BY_ASYNCPG}
    for name, original in kept.items():
        setattr(Connection, name, _noting(original, statements))
    try:
        yield statements
    finally:
        apsw.connection_hooks.remove(opened)
        for name, original in kept.items():
            setattr(Connection, name, original)


def _noting(original: Callable[..., Any], statements: Statements) -> Callable[..., Any]:
    def noting(self: Connection, query: str, *args: Any, **kwargs: Any) -> Any:
        statements.texts.append(query)
        return original(self, query, *args, **kwargs)

    return noting
