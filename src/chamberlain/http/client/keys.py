"""`/keys/…`: uploading, querying and claiming keys (client-server API, Key management API)."""

import msgspec

from chamberlain.http.endpoint import Auth, Context, Limit, Query, Raw, Request, Response, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import InvalidParam
from chamberlain.matrix.types import JsonObject
from chamberlain.rooms.stream_tokens import parse_position
from chamberlain.sync.assemble.device_lists import device_lists_between

NO_KEYS = msgspec.Raw(b"{}")


class UploadKeys(Request):
    """Keys of the requester's device."""

    device_keys: JsonObject | None = None
    one_time_keys: msgspec.Raw = NO_KEYS
    fallback_keys: msgspec.Raw = NO_KEYS


class KeyCountsAnswer(Response):
    """How many one-time keys the device has, by algorithm."""

    one_time_key_counts: dict[str, int]


class QueryKeys(Request):
    """Devices by user; an empty list stands for all."""

    device_keys: dict[str, list[str]]
    timeout: int = 10_000


class ClaimKeys(Request):
    """An algorithm by user and device."""

    one_time_keys: dict[str, dict[str, str]]
    timeout: int = 10_000


class KeyChanges(Request):
    """A stretch between two answers of `/sync`."""

    from_: Query[str] = msgspec.field(name="from")
    to: Query[str]


class ChangedUsers(Response):
    """Whose keys are to be queried anew, and with whom no room is shared any more."""

    changed: list[str]
    left: list[str]


@endpoint(
    "POST",
    "/_matrix/client/v3/keys/upload",
    auth=Auth.GUEST_OK,
    errors=(ErrCode.INVALID_PARAM, ErrCode.BAD_JSON),
)
async def upload_keys(ctx: Context, request: UploadKeys) -> KeyCountsAnswer:
    """Publish keys of the requester's device."""
    requester = ctx.requester
    if requester.device_id is None:
        raise InvalidParam("This access token belongs to no device")
    counts = await ctx.services.devices.keys.upload(
        requester.user_id,
        requester.device_id,
        request.device_keys,
        bytes(request.one_time_keys),
        bytes(request.fallback_keys),
    )
    return KeyCountsAnswer(one_time_key_counts=counts)


@endpoint(
    "POST",
    "/_matrix/client/v3/keys/query",
    auth=Auth.GUEST_OK,
    limit=Limit.READ,
    errors=(ErrCode.INVALID_PARAM,),
)
async def query_keys(ctx: Context, request: QueryKeys) -> Raw:
    """Get the devices and identity keys of users."""
    return Raw(
        await ctx.services.devices.keys.query(ctx.requester.user_id, request.device_keys, request.timeout)
    )


@endpoint("POST", "/_matrix/client/v3/keys/claim", auth=Auth.GUEST_OK, errors=(ErrCode.INVALID_PARAM,))
async def claim_keys(ctx: Context, request: ClaimKeys) -> Raw:
    """Claim one-time keys of devices."""
    return Raw(await ctx.services.devices.keys.claim(request.one_time_keys, request.timeout))


@endpoint("GET", "/_matrix/client/v3/keys/changes", auth=Auth.ACCESS_TOKEN, errors=(ErrCode.INVALID_PARAM,))
async def get_key_changes(ctx: Context, request: KeyChanges) -> ChangedUsers:
    """List the users whose keys changed between two answers of `/sync`."""
    since, upto = parse_position(request.from_), parse_position(request.to)
    if since is None or upto is None:
        raise InvalidParam("from and to must be tokens of /sync")
    lists = await ctx.services.db.snapshot(device_lists_between, ctx.requester.user_id, since, upto)
    return ChangedUsers(changed=list(lists.changed), left=list(lists.left))
