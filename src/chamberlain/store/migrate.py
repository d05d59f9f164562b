"""Numbered, forward-only migrations, the same text on both databases."""

import hashlib
import re
from importlib import resources
from typing import Any, LiteralString, Protocol

from chamberlain.store.tx import Row

_LOCK = 0x6368616D
_SQLITE = (
    (re.compile(r"\bBIGINT PRIMARY KEY"), "INTEGER PRIMARY KEY"),
    (re.compile(r"\bBYTEA\b"), "BLOB"),
    (re.compile(r"/\* without rowid \*/"), "WITHOUT ROWID"),
)


class MigrationError(Exception):
    """The database and this program do not belong together."""


class Schema(Protocol):
    """What a migration needs of a driver's transaction."""

    async def all(self, sql: LiteralString, /, **params: Any) -> list[Row]:
        """Give every row."""
        ...

    async def run(self, sql: LiteralString, /, **params: Any) -> int:
        """Run a statement."""
        ...

    async def script(self, sql: LiteralString, /) -> None:
        """Run a statement that gives nothing."""
        ...


def migrations() -> list[tuple[str, str]]:
    """Give the name and text of every migration, in order."""
    folder = resources.files("chamberlain.store") / "migrations"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda f: f.name)
    return [(file.name, file.read_text()) for file in files]


def statements(text: str, dialect: str) -> list[str]:
    """Split a migration into statements of one dialect. A `;` ends a statement only at the end of a line."""
    if dialect == "sqlite":
        for pattern, replacement in _SQLITE:
            text = pattern.sub(replacement, text)
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    parts = re.split(r";\s*(?:\n|$)", "\n".join(lines))
    return [part.strip() for part in parts if part.strip()]


async def migrate(tx: Schema, dialect: str) -> list[str]:
    """Bring the database to the newest schema and give the names of the migrations that ran.

    Raises MigrationError where the database was made by a newer program or a migration has changed since.
    """
    ran: list[str] = []
    await tx.script("BEGIN IMMEDIATE" if dialect == "sqlite" else "BEGIN")
    try:
        if dialect == "postgres":
            await tx.all("SELECT pg_advisory_xact_lock(CAST(:lock AS BIGINT))", lock=_LOCK)
        await tx.script(
            "CREATE TABLE IF NOT EXISTS schema_migrations (name TEXT PRIMARY KEY, checksum TEXT NOT NULL)"
        )
        done = {row[0]: row[1] for row in await tx.all("SELECT name, checksum FROM schema_migrations")}
        known = migrations()
        unknown = set(done) - {name for name, _ in known}
        if unknown:
            raise MigrationError(f"the database was made by a newer chamberlain: it has {sorted(unknown)}")
        for name, text in known:
            checksum = hashlib.sha256(text.encode()).hexdigest()
            if name in done:
                if done[name] != checksum:
                    raise MigrationError(f"migration {name} is not the one that this database ran")
                continue
            for statement in statements(text, dialect):
                await tx.script(statement)
            await tx.run(
                "INSERT INTO schema_migrations (name, checksum) VALUES (:name, :checksum)",
                name=name,
                checksum=checksum,
            )
            ran.append(name)
    except BaseException:
        await tx.script("ROLLBACK")
        raise
    await tx.script("COMMIT")
    return ran
