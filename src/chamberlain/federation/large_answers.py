"""Answers of other servers that hold thousands of events, which go to disk while they come."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from chamberlain.federation.client import FederationClient
from chamberlain.federation.transport import StreamedAnswer
from chamberlain.matrix.errors import BadJson
from chamberlain.matrix.json_stream import ListReader
from chamberlain.matrix.remote_errors import BadAnswer, Unreachable
from chamberlain.runtime.space import Space
from chamberlain.runtime.spool import Spool

MAX_ITEMS: Final = 500_000
"""Events of all lists of one answer."""
TOTAL_BYTES: Final = 1024 * 1024 * 1024
"""So much of several answers may come at once; then the later ones wait, within their own time."""
SMALL_BYTES: Final = 16 * 1024 * 1024
"""An answer up to this size waits for no other one."""


class LargeAnswers:
    """Makes requests whose answers are objects with long lists of events."""

    def __init__(self, client: FederationClient, folder: Path) -> None:
        """`folder`: where the lists may be kept for a while."""
        self._client = client
        self._folder = folder
        self._space = Space(TOTAL_BYTES, small=SMALL_BYTES)

    async def ask(
        self,
        server: str,
        method: str,
        target: str,
        body: Any = None,
        *,
        lists: Sequence[str],
        level: int = 1,
        timeout: float,
        max_bytes: int,
        even_if_failing: bool = False,
    ) -> tuple[bytes, list[Spool]]:
        """Give the answer with those lists empty, and the objects of each of them, which need not be valid JSON.

        `level`: how many brackets stand around the members of the object; `timeout` (seconds) covers everything.

        Raises:
            RemoteError: as `FederationClient.request`.
        """
        spools = [Spool(self._folder) for _ in lists]
        takers = {name: spool.append for name, spool in zip(lists, spools, strict=True)}
        reader = ListReader(takers, level=level)
        try:
            async with asyncio.timeout(timeout):
                answer = await self._client.stream(
                    server,
                    target,
                    method=method,
                    body=body,
                    timeout=timeout,
                    even_if_failing=even_if_failing,
                    is_known=not even_if_failing,
                )
                try:
                    await self._read(server, answer, reader, spools, max_bytes)
                finally:
                    await answer.close()
            return reader.finish(), spools
        except TimeoutError:
            raise Unreachable(server, f"no answer within {timeout:g} s") from None
        except BadJson as error:
            raise BadAnswer(server, f"not what was asked for: {error.message}") from None

    async def _read(
        self,
        server: str,
        answer: StreamedAnswer,
        reader: ListReader,
        spools: Sequence[Spool],
        max_bytes: int,
    ) -> None:
        with self._space.place() as place:
            async for chunk in answer.chunks:
                await place.bring(len(chunk))
                if place.size > max_bytes:
                    raise BadAnswer(server, f"the answer is longer than {max_bytes} bytes")
                reader.feed(chunk)
                if sum(map(len, spools)) > MAX_ITEMS:
                    raise BadAnswer(server, f"the answer has more than {MAX_ITEMS} events")
