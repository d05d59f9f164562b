"""Which homeservers are talked to at all: the allow and deny lists, of the settings and of administrators."""

import asyncio
import re
from collections.abc import Iterable, Sequence
from typing import Final

from chamberlain.config.federation import Federation
from chamberlain.matrix.errors import InvalidParam, NotFound
from chamberlain.matrix.globs import Glob
from chamberlain.runtime.cache import Cache
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.tasks import Tasks
from chamberlain.store import kinds
from chamberlain.store import server_rules as rows
from chamberlain.store.database import Database
from chamberlain.store.server_rules import Rule, ServerRule
from chamberlain.store.tx import Change

NAMES_KEPT: Final = 10_000
_PATTERN: Final = re.compile(r"[0-9A-Za-z.:*?\[\]-]{1,255}")


class FederationGate:
    """Says of each server whether it may be asked and answered. `start` loads what administrators said."""

    def __init__(self, db: Database, clock: Clock, settings: Federation) -> None:
        self._db = db
        self._clock = clock
        self._settings = settings
        self._rules: Sequence[ServerRule] = ()
        self._allow: list[Glob] = []
        self._deny: list[Glob] = []
        self._has_allow_list = False
        self._verdicts: Cache[str, bool] = Cache(NAMES_KEPT, "servers let in")
        self._tasks = Tasks()
        self._loading = asyncio.Lock()
        self._take([])
        db.subscribe(self._on_changes)

    async def start(self) -> None:
        """Load the rules that administrators made."""
        await self._load()

    async def close(self) -> None:
        """End the background work."""
        await self._tasks.close()

    async def settled(self) -> None:
        """Return when the rules that were heard of hold here."""
        await self._tasks.settle()

    @property
    def is_open(self) -> bool:
        """Whether there is federation at all."""
        return self._settings.enabled

    @property
    def settings(self) -> Federation:
        """What the settings say, whatever the rules do."""
        return self._settings

    @property
    def rules(self) -> Sequence[ServerRule]:
        """The rules that administrators made, by pattern."""
        return self._rules

    def permits(self, server_name: str) -> bool:
        """Whether this server may be asked, and answered.

        Who is denied is not let in by being allowed too. With any pattern of allowed servers, nobody else is let in.
        """
        verdict = self._verdicts.get(server_name)
        if verdict is None:
            verdict = self._judge(server_name.lower())
            self._verdicts.set(server_name, verdict)
        return verdict

    async def put(self, pattern: str, rule: Rule) -> ServerRule:
        """Allow or deny servers, here from the next request on, and as soon as the other workers hear of it there.

        Raises:
            InvalidParam: the pattern fits no server name.
        """
        check_pattern(pattern)
        made = ServerRule(pattern.lower(), rule, self._clock.now())
        await self._db.write(rows.put, made)
        await self._load()
        return made

    async def delete(self, pattern: str) -> None:
        """Take a rule back, from the next request on.

        Raises:
            NotFound: administrators made no such rule; the settings may have it.
        """
        if not await self._db.write(rows.delete, pattern.lower()):
            raise NotFound("There is no such rule")
        await self._load()

    def _judge(self, name: str) -> bool:
        if not self.is_open or _fits(self._deny, name):
            return False
        return not self._has_allow_list or _fits(self._allow, name)

    def _on_changes(self, changes: Sequence[Change]) -> None:
        if any(change.kind == kinds.SERVER_RULES for change in changes):
            self._tasks.spawn("server rules", self._load())

    async def _load(self) -> None:
        # One after the other: what was read last is what holds.
        async with self._loading:
            self._take(await self._db.read(rows.list_all))

    def _take(self, rules: Sequence[ServerRule]) -> None:
        allowed = [rule.pattern for rule in rules if rule.rule == "allow"]
        denied = [rule.pattern for rule in rules if rule.rule == "deny"]
        self._rules = rules
        self._has_allow_list = bool(allowed) or self._settings.allow is not None
        self._allow = _globs([*allowed, *(self._settings.allow or ())])
        self._deny = _globs([*denied, *self._settings.deny])
        self._verdicts.clear()


def check_pattern(pattern: str) -> None:
    """Do nothing for a pattern that a server name could fit.

    Raises:
        InvalidParam: it is none.
    """
    if not _PATTERN.fullmatch(pattern):
        raise InvalidParam("A pattern is the name of a server, in which * and ? may stand for letters")


def _globs(patterns: Iterable[str]) -> list[Glob]:
    return [Glob(pattern.lower()) for pattern in patterns]


def _fits(globs: Sequence[Glob], name: str) -> bool:
    """Whether a server's name, with its port or without, fits one of the patterns."""
    host = re.sub(r":\d+$", "", name)
    return any(glob.matches(name) or glob.matches(host) for glob in globs)
