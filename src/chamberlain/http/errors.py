"""The one place that makes error answers (client-server API, 2.1 Standard error response)."""

from collections.abc import Mapping
from typing import Any

import msgspec

from chamberlain.http.answers import Status
from chamberlain.http.router import MethodNotAllowed
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import BadJson, MatrixError, UIARequired
from chamberlain.runtime.log import get_logger

_log = get_logger("http")

_SECOND = 1000
"""Milliseconds; the header speaks in whole seconds."""


def answer_to(error: Exception) -> Status:
    """What is answered when a request ended with `error`.

    A `MatrixError` tells its errcode, message and extra fields; anything else is logged with the
    request's id, and the answer keeps it to itself.
    """
    if isinstance(error, MatrixError):
        return Status(error.status, body_of(error), _headers(error))
    if isinstance(error, msgspec.ValidationError):
        return answer_to(BadJson(str(error)))
    _log.error("request failed", exc_info=error)
    return Status(500, {"errcode": ErrCode.UNKNOWN, "error": "Internal server error"})


def body_of(error: MatrixError) -> Mapping[str, Any]:
    """The JSON body; user-interactive authentication asked for the first time has no errcode in it."""
    if isinstance(error, UIARequired) and not error.stage_failed:
        return error.extra
    return {"errcode": error.code, "error": error.message, **error.extra}


def _headers(error: MatrixError) -> list[tuple[str, str]]:
    if isinstance(error, MethodNotAllowed):
        return [("allow", error.allowed)]
    wait = error.extra.get("retry_after_ms")
    if error.status == 429 and isinstance(wait, int):
        return [("retry-after", str(-(-wait // _SECOND)))]
    return []
