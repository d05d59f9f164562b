"""Finding people by name among those whom a user may know of (client-server API, User Directory)."""

import msgspec

from chamberlain.store.tx import Read


class Found(msgspec.Struct, frozen=True):
    """A user as the rooms that are visible to the searcher show them."""

    user_id: str
    display_name: str | None
    avatar_url: str | None


async def search(tx: Read, user_id: str, term: str, limit: int) -> list[Found]:
    """Give at most `limit` users, `user_id` not among them, whose id or name contains the term in any case.

    Visible are those who share a room with `user_id`, and those in rooms that anyone may join or read.
    """
    # `lower` of a database may know ASCII alone, so the term is tried both ways.
    rows = await tx.all(
        "WITH visible AS ("
        "SELECT room_id FROM memberships WHERE user_id = :user_id AND membership = 'join'"
        " UNION SELECT room_id FROM room_summaries"
        " WHERE join_rule = 'public' OR history_visibility = 'world_readable')"
        " SELECT m.user_id, max(m.display_name), max(m.avatar_url) FROM memberships m"
        " WHERE m.membership = 'join' AND m.user_id <> :user_id AND m.room_id IN (SELECT room_id FROM visible)"
        " AND (lower(m.user_id) LIKE :ascii ESCAPE '!' OR lower(m.display_name) LIKE :ascii ESCAPE '!'"
        " OR lower(m.display_name) LIKE :folded ESCAPE '!')"
        " GROUP BY m.user_id ORDER BY (max(m.display_name) IS NULL), m.user_id LIMIT :limit",
        user_id=user_id,
        ascii=f"%{_escaped(_lower_ascii(term))}%",
        folded=f"%{_escaped(term.lower())}%",
        limit=limit,
    )
    return [Found(*row) for row in rows]


def _lower_ascii(term: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in term)


def _escaped(term: str) -> str:
    return term.replace("!", "!!").replace("%", "!%").replace("_", "!_")
