"""Operations on files."""

from typing import Final

import msgspec

from chamberlain.admin.operation import OperationContext, Plan, Route, Scope, operation
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import InvalidParam

_EARLIEST_MS: Final = 30_000_000_000
"""In December 1970: a smaller number is meant to be seconds."""


class PurgeRemoteMedia(msgspec.Struct, frozen=True):
    """Which files of other servers."""

    before_ts: int
    """Those that nobody has read since this time (ms since 1970)."""


class RemoteMediaPurged(msgspec.Struct, frozen=True):
    """How many files were deleted."""

    deleted: int


async def plan_purge_remote(ctx: OperationContext, request: PurgeRemoteMedia) -> Plan:
    """The files that would be deleted, and their bytes."""
    _check_time(request.before_ts)
    unread = await ctx.parts.media.remote_files.count_unread(request.before_ts)
    lost = ["Files whose servers are gone cannot be fetched again."] if unread.files else []
    return Plan(cannot_be_undone=lost, note=f"{unread.files} files of {unread.size} bytes.")


@operation(
    "media.purge_remote",
    Scope.MEDIA_WRITE,
    plan=plan_purge_remote,
    route=Route("POST", "/media/purge_remote"),
    errors=(ErrCode.INVALID_PARAM,),
)
async def purge_remote(ctx: OperationContext, request: PurgeRemoteMedia) -> RemoteMediaPurged:
    """Delete the fetched files of other servers that nobody has read since a time.

    They are fetched again when somebody wants them. Files in quarantine stay. One that is cut off has deleted a part;
    to call it again goes on.
    """
    _check_time(request.before_ts)
    return RemoteMediaPurged(await ctx.parts.media.remote_files.forget_unread(request.before_ts))


def _check_time(ts: int) -> None:
    if ts < _EARLIEST_MS:
        raise InvalidParam("`before_ts` is a time in milliseconds, and this one is in 1970")
