"""One call for all who ask the same thing at the same time."""

import asyncio

import pytest

from chamberlain.runtime.shared import Shared


async def test_who_asks_meanwhile_shares_the_call() -> None:
    """Who asks later has one of their own; one that goes away does not end it for the others."""
    called: list[str] = []
    go = asyncio.Event()

    async def ask(key: str) -> int:
        called.append(key)
        await go.wait()
        return len(called)

    shared = Shared("asking", ask)
    first, second, other = shared.get("a"), shared.get("a"), shared.get("b")
    first.cancel()
    await asyncio.sleep(0)
    assert called == ["a", "b"] and len(shared) == 2 and "a" in shared
    go.set()

    assert (await second, await other, len(shared)) == (2, 2, 0)
    assert await shared.get("a") == 3
    await shared.close()


async def test_a_failure_is_everybodys() -> None:
    """And is not kept."""

    async def ask(_: str) -> int:
        raise ValueError("broken")

    shared = Shared("asking", ask)
    for _ in range(2):
        both = [shared.get("a"), shared.get("a")]
        assert all(
            isinstance(found, ValueError) for found in await asyncio.gather(*both, return_exceptions=True)
        )
    await shared.close()


async def test_closing_ends_what_is_under_way() -> None:
    """Who waits is told."""
    shared = Shared("asking", lambda _: asyncio.sleep(3600))
    waiting = shared.get("a")
    await asyncio.sleep(0)
    await shared.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting
