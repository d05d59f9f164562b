"""The `filter` of a sync request: the id of a stored one, or JSON (client-server API, Filtering)."""

from typing import Final

from chamberlain.accounts.filters import Filters
from chamberlain.matrix.errors import InvalidParam, NotFound
from chamberlain.matrix.filters import DEFAULT_FILTER, Filter, parse_filter
from chamberlain.runtime.cache import Cache

KEPT: Final = 1_000


class SyncFilters:
    """Gives filters, parsed once."""

    def __init__(self, stored: Filters) -> None:
        self._stored = stored
        self._inline: Cache[str, Filter] = Cache(KEPT, "inline filters")

    async def get(self, user_id: str, text: str | None) -> Filter:
        """The filter that a request names or holds.

        Raises:
            InvalidParam: there is no such filter.
            MatrixError: NOT_JSON, BAD_JSON, INVALID_PARAM or TOO_LARGE for JSON that is no filter.
        """
        if not text:
            return DEFAULT_FILTER
        if not text.startswith("{"):
            try:
                return await self._stored.get_parsed(user_id, text)
            except NotFound:
                raise InvalidParam("There is no such filter") from None
        found = self._inline.get(text)
        if found is None:
            found = parse_filter(text)
            self._inline.set(text, found)
        return found
