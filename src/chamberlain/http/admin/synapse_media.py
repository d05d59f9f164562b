"""Synapse's paths for files."""

from chamberlain.admin.operations.media import PurgeRemoteMedia, RemoteMediaPurged, purge_remote
from chamberlain.http.endpoint import Auth, Context, Query, Request, endpoint
from chamberlain.http.operations import run
from chamberlain.matrix.errcodes import ErrCode

FACADE = "synapse"


class PurgeMediaCache(Request):
    """The time (ms) since when nobody has read the files."""

    before_ts: Query[int]


@endpoint("POST", "/_synapse/admin/v1/purge_media_cache", auth=Auth.ADMIN, errors=(ErrCode.INVALID_PARAM,))
async def purge_media_cache(ctx: Context, request: PurgeMediaCache) -> RemoteMediaPurged:
    """Delete the fetched files of other servers that nobody has read since a time."""
    return await run(ctx, purge_remote, PurgeRemoteMedia(request.before_ts), facade=FACADE)
