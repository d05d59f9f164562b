"""What hosts delegate to, and for how long that is believed."""

import asyncio
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from chamberlain.federation.well_known import Page, WellKnown, lifetime
from tests.support.clock import FakeClock

GOOD = Page(200, {}, b'{"m.server": "hs.example.org:443"}')
HOUR = 3600


class Web:
    """A host whose page the test sets."""

    def __init__(self, clock: FakeClock) -> None:
        self.page: Page | None = GOOD
        self.calls = 0
        self.known = WellKnown(clock, self.fetch)

    async def fetch(self, host: str) -> Page | None:
        """The page."""
        assert host == "example.org"
        self.calls += 1
        await asyncio.sleep(0)
        return self.page


@pytest.fixture
def web(clock: FakeClock) -> Web:
    return Web(clock)


async def test_an_answer_is_kept_for_a_day(web: Web, clock: FakeClock) -> None:
    """Whoever asks meanwhile, in whatever case, and however many at once."""
    found = await asyncio.gather(*(web.known.find(name) for name in ("example.org", "EXAMPLE.org") * 5))
    assert set(found) == {"hs.example.org:443"} and web.calls == 1

    await clock.advance(24 * HOUR - 1)
    await web.known.find("example.org")
    assert web.calls == 1

    await clock.advance(1)
    await web.known.find("example.org")
    assert web.calls == 2


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 24 * HOUR),
        ({"cache-control": "public, max-age=7200"}, 2 * HOUR),
        ({"cache-control": "Max-Age=99999999999999999999"}, 48 * HOUR),
        ({"cache-control": "no-store"}, 300),
        ({"cache-control": "max-age=soon"}, 24 * HOUR),
        ({"expires": format_datetime(datetime(2026, 1, 1, 3, tzinfo=UTC), usegmt=True)}, 3 * HOUR),
        ({"expires": "0"}, 300),
        ({"cache-control": "max-age=3600", "expires": "0"}, HOUR),
    ],
)
def test_a_host_says_how_long(clock: FakeClock, headers: dict[str, str], seconds: int) -> None:
    """From five minutes to two days."""
    assert lifetime(headers, clock.now()) == seconds * 1000


@pytest.mark.parametrize(
    "page",
    [
        Page(404, {}, b'{"m.server": "hs.example.org"}'),
        Page(200, {}, b"<html>"),
        Page(200, {}, b"{}"),
        Page(200, {}, b"[]"),
        Page(200, {}, b'{"m.server": 5}'),
        Page(200, {}, b'{"m.server": "no server"}'),
        Page(200, {}, b"\xff" * 10),
        Page(200, {}, b"[" * 40_000),
    ],
)
async def test_what_cannot_be_used_is_no_delegation_for_an_hour(
    web: Web, clock: FakeClock, page: Page
) -> None:
    """Then it is asked again."""
    web.page = page
    assert await web.known.find("example.org") is None
    await clock.advance(HOUR - 1)
    assert await web.known.find("example.org") is None and web.calls == 1

    web.page = GOOD
    await clock.advance(1)
    assert await web.known.find("example.org") == "hs.example.org:443"


async def test_a_host_that_is_not_there_is_asked_ever_more_seldom(web: Web, clock: FakeClock) -> None:
    """After a minute at first, after an hour in the end."""
    web.page = None
    asked_at = []
    for minute in range(300):
        before = web.calls
        assert await web.known.find("example.org") is None
        if web.calls > before:
            asked_at.append(minute)
        await clock.advance(60)

    assert asked_at == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]


async def test_a_passing_failure_does_not_undo_a_delegation(web: Web, clock: FakeClock) -> None:
    """It stays for two days at most; an answer that there is none counts at once."""
    assert await web.known.find("example.org") == "hs.example.org:443"
    web.page = Page(502, {}, b"")
    await clock.advance(24 * HOUR)
    assert await web.known.find("example.org") == "hs.example.org:443" and web.calls == 2
    await clock.advance(24 * HOUR)
    assert await web.known.find("example.org") is None

    web.page = GOOD
    await clock.advance(2 * HOUR)
    assert await web.known.find("example.org") == "hs.example.org:443"
    web.page = Page(404, {}, b"")
    await clock.advance(24 * HOUR)
    assert await web.known.find("example.org") is None
