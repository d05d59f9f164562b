"""`POST /user_directory/search` (client-server API, User Directory)."""

import msgspec

from chamberlain.accounts.user_directory import DEFAULT_LIMIT
from chamberlain.http.endpoint import Auth, Context, Limit, Request, Response, endpoint
from chamberlain.store.user_directory import Found


class SearchUsers(Request):
    """Whom to look for."""

    search_term: str
    limit: int = DEFAULT_LIMIT


class Person(msgspec.Struct, omit_defaults=True):
    """Somebody who was found."""

    user_id: str
    display_name: str | None = None
    avatar_url: str | None = None


class People(Response):
    """Those who were found; `limited`: there are more."""

    results: list[Person]
    limited: bool


@endpoint("POST", "/_matrix/client/v3/user_directory/search", auth=Auth.ACCESS_TOKEN, limit=Limit.HEAVY)
async def search_users(ctx: Context, request: SearchUsers) -> People:
    """Find people by their name or id among those whom one may know of."""
    directory = ctx.services.accounts.user_directory
    found, limited = await directory.search(ctx.requester.user_id, request.search_term, request.limit)
    return People([_person(user) for user in found], limited)


def _person(user: Found) -> Person:
    return Person(user.user_id, user.display_name, user.avatar_url)
