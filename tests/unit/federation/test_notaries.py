"""Asking notaries."""

import asyncio
from typing import Any, cast

from chamberlain.federation.notaries import Notaries


class Broken:
    """Cannot say which servers may be asked."""

    async def may_ask(self, destination: str) -> bool:
        """Fails."""
        await asyncio.sleep(0)
        raise RuntimeError("the database is gone")


async def test_whoever_waits_is_told_nothing_where_something_breaks() -> None:
    """They are not cancelled: that would end what they do. The next round is asked again."""

    async def find_key(server: str, key_id: str) -> None:
        return None

    notaries = Notaries(cast(Any, None), cast(Any, Broken()), ["notary.test"], find_key)

    for _ in range(2):
        asked = [notaries.ask({name: {"ed25519:1": 0}}) for name in ("a.test", "b.test")]
        assert await asyncio.gather(*asked) == [{}, {}]
    await notaries.close()
