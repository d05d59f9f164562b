"""`/profile/{userId}` and its fields (client-server API, Profiles)."""

from collections.abc import Mapping

import msgspec

from chamberlain.http.endpoint import Auth, Body, Context, Path, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MissingParam
from chamberlain.matrix.types import JsonObject

_CHANGE_ERRORS = (
    ErrCode.GUEST_ACCESS_FORBIDDEN,
    ErrCode.KEY_TOO_LARGE,
    ErrCode.PROFILE_TOO_LARGE,
    ErrCode.USER_SUSPENDED,
)


class GetProfile(Request):
    """Whose profile."""

    user_id: Path[str]


@endpoint("GET", "/_matrix/client/v3/profile/{user_id}", auth=Auth.NONE)
async def get_profile(ctx: Context, request: GetProfile) -> Mapping[str, msgspec.Raw]:
    """Read a profile."""
    return await ctx.services.accounts.profiles.get(request.user_id)


class GetField(Request):
    """Which field of whose profile."""

    user_id: Path[str]
    key_name: Path[str]


@endpoint(
    "GET",
    "/_matrix/client/v3/profile/{user_id}/{key_name}",
    auth=Auth.NONE,
    errors=(ErrCode.KEY_TOO_LARGE,),
)
async def get_profile_field(ctx: Context, request: GetField) -> Mapping[str, msgspec.Raw]:
    """Read one field of a profile."""
    value = await ctx.services.accounts.profiles.get_field(request.user_id, request.key_name)
    return {request.key_name: value}


class PutField(Request):
    """A field of one's profile; the body has its value under its name."""

    user_id: Path[str]
    key_name: Path[str]
    body: Body[JsonObject]


@endpoint(
    "PUT",
    "/_matrix/client/v3/profile/{user_id}/{key_name}",
    auth=Auth.GUEST_OK,
    errors=_CHANGE_ERRORS,
)
async def set_profile_field(ctx: Context, request: PutField) -> None:
    """Set a field of one's profile."""
    if request.key_name not in request.body:
        raise MissingParam(f"The body has no {request.key_name}")
    value = request.body[request.key_name]
    await ctx.services.accounts.profiles.put(ctx.requester, request.user_id, request.key_name, value)


class DeleteField(Request):
    """A field of one's profile."""

    user_id: Path[str]
    key_name: Path[str]


@endpoint(
    "DELETE",
    "/_matrix/client/v3/profile/{user_id}/{key_name}",
    auth=Auth.GUEST_OK,
    errors=_CHANGE_ERRORS,
)
async def delete_profile_field(ctx: Context, request: DeleteField) -> None:
    """Remove a field from one's profile."""
    await ctx.services.accounts.profiles.delete(ctx.requester, request.user_id, request.key_name)
