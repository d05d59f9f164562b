"""Structured logging: one JSON object or one readable line an event, to standard error or a file."""

import logging
import sys
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeAlias, cast

import orjson

from chamberlain.runtime.lean import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["json", "console"]
Logger: TypeAlias = "FilteringBoundLogger"

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Set at the edge for each request; every line logged while it is served carries it."""


def get_logger(name: str) -> Logger:
    """A logger whose lines carry `area=name`. Free until the first line is written."""
    return cast("FilteringBoundLogger", structlog.get_logger(area=name))


def configure(level: Level = "info", style: Format = "console", file: Path | None = None) -> None:
    """Log at `level` and above to `file` (appended), or to standard error when there is none.

    Lines of libraries that use the standard `logging` go the same way from warning upward. Tracebacks never
    show local variables: these hold tokens and passwords.
    """
    threshold = getattr(logging, level.upper())
    stream = _open(file)
    shared: list[Any] = [
        _add_request_id,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    structlog.configure(
        processors=[*shared, *_ending(style, colors=file is None and sys.stderr.isatty())],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.BytesLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_Bridge()]
    root.setLevel(max(threshold, logging.WARNING))


_files: list[BinaryIO] = []


def _open(file: Path | None) -> BinaryIO:
    """The stream to write to; the file of an earlier call is closed."""
    while _files:
        _files.pop().close()
    if file is None:
        return sys.stderr.buffer
    _files.append(file.open("ab", buffering=0))
    return _files[0]


def _ending(style: Format, colors: bool) -> list[Any]:
    if style == "json":
        return [
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(serializer=_dump),
        ]
    readable = structlog.dev.ConsoleRenderer(
        colors=colors,
        timestamp_key="time",
        pad_event_to=0,
        exception_formatter=structlog.dev.plain_traceback,
    )
    return [readable, _encode]


def _dump(line: object, **_: object) -> bytes:
    return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS)


def _encode(_logger: "WrappedLogger", _method: str, line: object) -> bytes:
    return str(line).encode("utf-8", "backslashreplace")


def _add_request_id(_logger: "WrappedLogger", _method: str, line: "EventDict") -> "EventDict":
    current = request_id.get()
    if current is not None:
        line["request"] = current
    return line


class _Bridge(logging.Handler):
    """Passes lines of the standard library's `logging` on to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = get_logger(record.name)
        logger.log(record.levelno, record.getMessage(), exc_info=record.exc_info or None)
