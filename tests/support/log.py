"""Leaving logging as other tests expect it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from chamberlain.runtime import log


@contextmanager
def restored_logging() -> Iterator[None]:
    """Undo, at the end, what `log.configure` did inside."""
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        yield
    finally:
        log.configure()
        structlog.reset_defaults()
        logging.getLogger().handlers[:] = handlers
        logging.getLogger().setLevel(level)
