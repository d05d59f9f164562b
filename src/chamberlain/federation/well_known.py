"""Which server name a host delegates to, at `/.well-known/matrix/server`; kept as long as it says, within bounds."""

from collections.abc import Awaitable, Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

from chamberlain.matrix.ids import is_valid_server_name
from chamberlain.runtime.cache import Cache
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.shared import Shared

PATH: Final = "/.well-known/matrix/server"
USUAL_MS: Final = 24 * 3_600_000
LONGEST_MS: Final = 48 * 3_600_000
SHORTEST_MS: Final = 5 * 60_000
"""However short a host says: each request to its server would wait for it otherwise."""
FIRST_FAILURE_MS: Final = 60_000
LONGEST_FAILURE_MS: Final = 3_600_000
HOSTS_KEPT: Final = 10_000


class Page(msgspec.Struct, frozen=True):
    """What a host answered, redirects followed; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Fetch = Callable[[str], Awaitable[Page | None]]
"""Gets the page at `PATH` of a host; None where there was no answer."""


class _Body(msgspec.Struct):
    server: str = msgspec.field(name="m.server")


class _Kept(msgspec.Struct, frozen=True):
    delegated: str | None
    until: int
    found_at: int
    """When `delegated` was read last."""
    failures: int = 0


class WellKnown:
    """Asks hosts and keeps what they say, failures too."""

    def __init__(self, clock: Clock, fetch: Fetch) -> None:
        self._clock = clock
        self._fetch = fetch
        self._kept: Cache[str, _Kept] = Cache(HOSTS_KEPT, "well-known")
        self._asking = Shared("well-known", self._ask)

    async def find(self, host: str) -> str | None:
        """The server name that the host delegates to; None where it does not, or says nothing that can be used."""
        host = host.lower()
        kept = self._kept.get(host)
        if kept is None or kept.until <= self._clock.now():
            kept = await self._asking.get(host)
        return kept.delegated

    async def _ask(self, host: str) -> _Kept:
        page = await self._fetch(host)
        now = self._clock.now()
        delegated = None if page is None or page.status != 200 else _delegated(page.body)
        if page is not None and delegated is not None:
            kept = _Kept(delegated, now + lifetime(page.headers, now), now)
        else:
            is_passing = page is None or page.status >= 500
            kept = _failed(self._kept.get(host), now, is_passing=is_passing)
        self._kept.set(host, kept)
        return kept

    async def close(self) -> None:
        """End the questions under way."""
        await self._asking.close()


def _failed(before: _Kept | None, now: int, *, is_passing: bool) -> _Kept:
    """What is kept after a failure. One that may pass does not undo at once what the host said before."""
    failures = 1 if before is None else before.failures + 1
    wait = FIRST_FAILURE_MS * 2 ** min(failures - 1, 6) if is_passing else LONGEST_FAILURE_MS
    until = now + min(wait, LONGEST_FAILURE_MS)
    if is_passing and before is not None and now - before.found_at < LONGEST_MS:
        return _Kept(before.delegated, until, before.found_at, failures)
    return _Kept(None, until, 0, failures)


def _delegated(body: bytes) -> str | None:
    try:
        name = msgspec.json.decode(body, type=_Body).server
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return name if is_valid_server_name(name) else None


def lifetime(headers: Mapping[str, str], now: int) -> int:
    """How long (ms) an answer with these headers may be kept."""
    stated = _stated(headers, now)
    return USUAL_MS if stated is None else max(SHORTEST_MS, min(stated, LONGEST_MS))


def _stated(headers: Mapping[str, str], now: int) -> int | None:
    for directive in headers.get("cache-control", "").lower().split(","):
        name, _, value = directive.strip().partition("=")
        if name in ("no-store", "no-cache"):
            return 0
        seconds = value.strip('"')
        if name == "max-age" and seconds.isascii() and seconds.isdigit():
            return int(seconds[:9]) * 1000
    if "expires" not in headers:
        return None
    try:
        return int(parsedate_to_datetime(headers["expires"]).timestamp() * 1000) - now
    except (ValueError, OverflowError):
        return 0
