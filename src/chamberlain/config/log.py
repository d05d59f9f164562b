"""`[log]`: what is written about the server's doings, and where."""

from pathlib import Path
from typing import Literal

from chamberlain.config.section import Section


class Log(Section, frozen=True, kw_only=True):
    """The server's log. Query strings and secrets are never in it."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Lines below this level are not written."""
    format: Literal["console", "json"] = "console"
    """`console` for people, `json` (one object a line) for log collectors."""
    file: Path | None = None
    """Append to this file instead of writing to standard error."""
