"""Finding people by name among those whom a user may know of (client-server API, User Directory)."""

import msgspec

from chamberlain.store.patterns import check_length
from chamberlain.store.tx import Read

_SPARE = 10
"""How many times more rows are read where the database cannot tell exactly which ones match."""


class Found(msgspec.Struct, frozen=True):
    """A user as the rooms that are visible to the searcher show them."""

    user_id: str
    display_name: str | None
    avatar_url: str | None


async def search(tx: Read, user_id: str, term: str, limit: int) -> list[Found]:
    """Give at most `limit` users, `user_id` not among them, whose id or name contains the term in any case.

    Visible are those who share a room with `user_id`, and those in rooms that anyone may join or read.

    Raises:
        InvalidParam: the term is too long.
    """
    rows = await tx.all(
        "WITH visible AS ("
        "SELECT room_id FROM memberships WHERE user_id = :user_id AND membership = 'join'"
        " UNION SELECT room_id FROM room_summaries"
        " WHERE join_rule = 'public' OR history_visibility = 'world_readable')"
        " SELECT m.user_id, max(m.display_name), max(m.avatar_url) FROM memberships m"
        " WHERE m.membership = 'join' AND m.user_id <> :user_id AND m.room_id IN (SELECT room_id FROM visible)"
        " AND (lower(m.user_id) LIKE :pattern ESCAPE '!' OR lower(m.display_name) LIKE :pattern ESCAPE '!')"
        " GROUP BY m.user_id ORDER BY (max(m.display_name) IS NULL), m.user_id LIMIT :limit",
        user_id=user_id,
        pattern=_pattern(term),
        limit=limit if term.isascii() else limit * _SPARE,
    )
    wanted = term.casefold()
    people = [Found(*row) for row in rows]
    return [found for found in people if wanted in f"{found.user_id}\n{found.display_name}".casefold()][
        :limit
    ]


def _pattern(term: str) -> str:
    """What contains the term, in any case. A database may know the case of ASCII alone: any other letter matches."""
    check_length(term)
    letters = (f"!{letter}" if letter in "!%_" else letter.lower() for letter in term)
    return "%" + "".join(letter if letter.isascii() else "_" for letter in letters) + "%"
