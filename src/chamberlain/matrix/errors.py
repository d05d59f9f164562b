"""The one tree of errors that are answered to whoever asked (client-server API, Standard error response).

    MatrixError                 any errcode, with its HTTP status and extra fields
    ├── BadJson                 M_BAD_JSON            400
    ├── InvalidParam            M_INVALID_PARAM       400
    ├── MissingParam            M_MISSING_PARAM       400
    ├── MissingToken            M_MISSING_TOKEN       401
    ├── UnknownToken            M_UNKNOWN_TOKEN       401   (soft_logout)
    ├── Forbidden               M_FORBIDDEN           403
    │   ├── NotJoined           M_FORBIDDEN           403   the requester is not in the room
    │   └── BadlySigned         M_FORBIDDEN           403   an event is not signed by those who must have signed it
    ├── NotFound                M_NOT_FOUND           404
    ├── LimitExceeded           M_LIMIT_EXCEEDED      429   (retry_after_ms)
    └── UIARequired             none, or the stage's  401   (session, flows, params, completed)

A child exists where a caller must tell it apart; every other errcode is a plain `MatrixError(code, message)`.
"""

from collections.abc import Mapping
from typing import Any

from chamberlain.matrix.errcodes import STATUS, ErrCode


class MatrixError(Exception):
    """A refusal with an errcode; `message` is for the user, `extra` are further fields of the error body."""

    def __init__(self, code: ErrCode, message: str, *, status: int | None = None, **extra: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = STATUS[code] if status is None else status
        self.extra: dict[str, Any] = extra

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.code.value}, {self.message!r}, status={self.status})"

    def __str__(self) -> str:
        return f"{self.code.value}: {self.message}"


class BadJson(MatrixError):
    """The JSON was well-formed but not what the endpoint takes."""

    def __init__(self, message: str = "The JSON has the wrong shape", **extra: Any) -> None:
        super().__init__(ErrCode.BAD_JSON, message, **extra)


class InvalidParam(MatrixError):
    """A parameter has a wrong value."""

    def __init__(self, message: str = "A parameter has a wrong value", **extra: Any) -> None:
        super().__init__(ErrCode.INVALID_PARAM, message, **extra)


class MissingParam(MatrixError):
    """A required parameter is missing."""

    def __init__(self, message: str = "A required parameter is missing", **extra: Any) -> None:
        super().__init__(ErrCode.MISSING_PARAM, message, **extra)


class MissingToken(MatrixError):
    """The request carried no access token."""

    def __init__(self, message: str = "Missing access token", **extra: Any) -> None:
        super().__init__(ErrCode.MISSING_TOKEN, message, **extra)


class UnknownToken(MatrixError):
    """The access token is not known, or no longer; after a soft logout the client keeps its keys."""

    def __init__(
        self, message: str = "Unknown access token", *, soft_logout: bool = False, **extra: Any
    ) -> None:
        if soft_logout:
            extra["soft_logout"] = True
        super().__init__(ErrCode.UNKNOWN_TOKEN, message, **extra)
        self.soft_logout = soft_logout


class Forbidden(MatrixError):
    """The requester may not do this."""

    def __init__(self, message: str = "You may not do this", **extra: Any) -> None:
        super().__init__(ErrCode.FORBIDDEN, message, **extra)


class NotJoined(Forbidden):
    """The requester is not in the room."""

    def __init__(self, message: str = "You are not in this room", **extra: Any) -> None:
        super().__init__(message, **extra)


class BadlySigned(Forbidden):
    """An event is not signed by the servers that must have signed it."""

    def __init__(self, message: str = "The event is not signed by those who must have signed it") -> None:
        super().__init__(message)


class NotFound(MatrixError):
    """There is no such thing."""

    def __init__(self, message: str = "Not found", **extra: Any) -> None:
        super().__init__(ErrCode.NOT_FOUND, message, **extra)


class LimitExceeded(MatrixError):
    """Too many requests; the next one is welcome after `retry_after_ms` milliseconds."""

    def __init__(self, retry_after_ms: int, message: str = "Too many requests", **extra: Any) -> None:
        super().__init__(ErrCode.LIMIT_EXCEEDED, message, retry_after_ms=retry_after_ms, **extra)
        self.retry_after_ms = retry_after_ms


class UIARequired(MatrixError):
    """User-interactive authentication must go on; `body` has its session, flows, params and completed stages.

    The answer has no errcode when nothing has gone wrong yet, and that of `failure` when a stage has failed.
    """

    def __init__(self, body: Mapping[str, Any], *, failure: MatrixError | None = None) -> None:
        code = ErrCode.UNAUTHORIZED if failure is None else failure.code
        message = "Authentication is needed" if failure is None else failure.message
        super().__init__(code, message, status=401, **body)
        self.stage_failed = failure is not None
