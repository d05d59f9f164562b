"""`[appservices]`: bridges and bots."""

from pathlib import Path

from chamberlain.config.section import Section


class Appservices(Section, frozen=True, kw_only=True):
    """Application services, each with the registration file that it made."""

    files: tuple[Path, ...] = ()
    """YAML registration files, as bridges write them."""
