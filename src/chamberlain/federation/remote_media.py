"""Fetching files from other servers (server-server API, Content Repository)."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import quote

from chamberlain.federation.client import FederationClient, federation_path
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MatrixError, NotFound
from chamberlain.matrix.remote_errors import BadAnswer, Refused, RemoteError, for_client
from chamberlain.media.multipart import Malformed, Unwrapping, file_name_in
from chamberlain.media.ports import RemoteFile
from chamberlain.runtime.http_client import HttpClient, OutboundError

HEAD_S: Final = 20.0
"""Seconds for an answer to begin, beside those that the server was asked to wait."""
IDLE_S: Final = 30.0
"""Seconds in which the next bytes must come."""
TOTAL_S: Final = 900.0
"""Seconds for all the bytes of a file."""
MAX_LENGTH: Final = 255
"""Characters of a content type or a file name."""
OLD_PATH: Final = "/_matrix/media/v3/download"
UNKNOWN_TYPE: Final = "application/octet-stream"

_NO_CONTENT_TYPE: Final = re.compile(r"[^\x20-\x7e]")
_NOT_IN_A_NAME: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


class FetchedMedia:
    """Asks the server that has a file; `media.ports.RemoteMedia`."""

    def __init__(self, client: FederationClient, http: HttpClient) -> None:
        self._client = client
        self._http = http

    async def fetch(self, origin: str, media_id: str, wait_ms: int) -> RemoteFile:
        """As `RemoteMedia.fetch`. A server that does not know the path of federation is asked by the one of before.

        A redirect is followed where the settings allow calls to the address.
        """
        timeout = wait_ms / 1000 + HEAD_S
        try:
            try:
                return await self._by_federation(origin, media_id, wait_ms, timeout)
            except Refused as refusal:
                if not _is_unrecognized(refusal):
                    raise
                return await self._by_old_path(origin, media_id, wait_ms, timeout)
        except RemoteError as error:
            raise _to_matrix(error) from error

    async def _by_federation(self, origin: str, media_id: str, wait_ms: int, timeout: float) -> RemoteFile:
        target = f"{federation_path('v1', 'media', 'download', media_id)}?timeout_ms={wait_ms}"
        answer = await self._client.stream(origin, target, timeout=timeout)
        try:
            chunks = _in_time(answer.chunks, origin)
            parts = Unwrapping(answer.headers.get("content-type", ""), chunks)
            headers = await parts.headers()
        except Malformed as error:
            await answer.close()
            raise BadAnswer(origin, str(error)) from None
        except BaseException:
            await answer.close()
            raise
        if "location" in headers:
            await answer.close()
            return await self._elsewhere(origin, headers["location"])
        return _file(origin, headers, parts.body(), answer.close)

    async def _by_old_path(self, origin: str, media_id: str, wait_ms: int, timeout: float) -> RemoteFile:
        target = f"{OLD_PATH}/{quote(origin, safe='')}/{media_id}?allow_remote=false&timeout_ms={wait_ms}"
        answer = await self._client.stream(origin, target, timeout=timeout)
        return _file(origin, answer.headers, _in_time(answer.chunks, origin), answer.close)

    async def _elsewhere(self, origin: str, url: str) -> RemoteFile:
        try:
            answer = await self._http.stream(url, timeout=HEAD_S)
        except OutboundError as error:
            raise BadAnswer(origin, f"the file is not where it says: {error}") from None
        if answer.status != 200:
            await answer.close()
            raise BadAnswer(origin, f"the file is not where it says: status {answer.status}")
        return _file(origin, answer.headers, _in_time(answer.chunks, origin), answer.close)


def _is_unrecognized(refusal: Refused) -> bool:
    """Whether a server means that it does not have the path, not that it does not have the file."""
    return refusal.code == ErrCode.UNRECOGNIZED or (refusal.code is None and refusal.status in (404, 405))


def _to_matrix(error: RemoteError) -> MatrixError:
    if isinstance(error, Refused):
        if error.code == ErrCode.NOT_YET_UPLOADED:
            return MatrixError(ErrCode.NOT_YET_UPLOADED, "The file has not been uploaded yet")
        if error.code == ErrCode.TOO_LARGE:
            return MatrixError(ErrCode.TOO_LARGE, "The file is too large for its server", status=502)
        if error.status == 404:
            return NotFound("There is no such file")
        error = BadAnswer(error.server, error.message)
    return for_client(error)


def _file(
    origin: str,
    headers: Mapping[str, str],
    chunks: AsyncIterator[bytes],
    close: Callable[[], Awaitable[None]],
) -> RemoteFile:
    content_type = headers.get("content-type", "").strip()
    if not content_type or len(content_type) > MAX_LENGTH or _NO_CONTENT_TYPE.search(content_type):
        content_type = UNKNOWN_TYPE
    name = _NOT_IN_A_NAME.sub("_", file_name_in(headers.get("content-disposition", "")) or "")
    return RemoteFile(content_type, name[:MAX_LENGTH] or None, _told(chunks, origin), close)


async def _in_time(chunks: AsyncIterator[bytes], origin: str) -> AsyncIterator[bytes]:
    """The chunks, as long as they keep coming; raises BadAnswer where they do not."""
    loop = asyncio.get_running_loop()
    end = loop.time() + TOTAL_S
    try:
        while True:
            async with asyncio.timeout_at(min(end, loop.time() + IDLE_S)):
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            yield chunk
    except TimeoutError:
        raise BadAnswer(origin, "the file came too slowly") from None


async def _told(chunks: AsyncIterator[bytes], origin: str) -> AsyncIterator[bytes]:
    """The chunks; what goes wrong is raised as the error that a client is answered with."""
    try:
        async for chunk in chunks:
            yield chunk
    except (Malformed, OutboundError) as error:
        raise for_client(BadAnswer(origin, str(error))) from None
    except RemoteError as error:
        raise _to_matrix(error) from error
