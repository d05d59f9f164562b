"""Filters that clients upload once and name ever after (client-server API, Filtering)."""

from hashlib import sha256
from typing import Any, Final

import orjson

from chamberlain.matrix.errors import NotFound
from chamberlain.matrix.filters import Filter, parse_filter
from chamberlain.matrix.types import JsonObject
from chamberlain.runtime.cache import Cache
from chamberlain.store import filters as rows
from chamberlain.store.database import Database

CACHED: Final = 2_000
_ID_LETTERS: Final = 16


class Filters:
    """The filters of users. A filter never changes: its id follows from what it says."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._parsed: Cache[tuple[str, str], Filter] = Cache(CACHED, "filters")

    async def add(self, user_id: str, definition: JsonObject) -> str:
        """The id of this filter, which is kept from now on.

        Raises:
            MatrixError: M_BAD_JSON, M_INVALID_PARAM or M_TOO_LARGE for what is no filter.
        """
        text = orjson.dumps(definition, option=orjson.OPT_SORT_KEYS)
        parse_filter(text)
        filter_id = sha256(text).hexdigest()[:_ID_LETTERS]
        if await self._db.read(rows.find, user_id, filter_id) is None:
            await self._db.write(rows.add, user_id, filter_id, text)
        return filter_id

    async def get(self, user_id: str, filter_id: str) -> JsonObject:
        """The filter as it was uploaded; raises NotFound."""
        definition: Any = orjson.loads(await self._text(user_id, filter_id))
        found: JsonObject = definition
        return found

    async def get_parsed(self, user_id: str, filter_id: str) -> Filter:
        """The filter, ready to be used; raises NotFound."""
        parsed = self._parsed.get((user_id, filter_id))
        if parsed is None:
            parsed = parse_filter(await self._text(user_id, filter_id))
            self._parsed.set((user_id, filter_id), parsed)
        return parsed

    async def _text(self, user_id: str, filter_id: str) -> bytes:
        text = await self._db.read(rows.find, user_id, filter_id)
        if text is None:
            raise NotFound("There is no such filter")
        return text
