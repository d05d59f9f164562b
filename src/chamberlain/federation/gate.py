"""Which homeservers are talked to at all: the allow and deny lists."""

from chamberlain.config.federation import Federation
from chamberlain.matrix.globs import Glob


class FederationGate:
    """Says of each server whether it may be asked and answered."""

    def __init__(self, settings: Federation) -> None:
        self._enabled = settings.enabled
        self._allow = None if settings.allow is None else [Glob(name.lower()) for name in settings.allow]
        self._deny = [Glob(name.lower()) for name in settings.deny]

    def permits(self, server_name: str) -> bool:
        """Whether this server may be asked, and answered."""
        name = server_name.lower()
        if not self._enabled or any(glob.matches(name) for glob in self._deny):
            return False
        return self._allow is None or any(glob.matches(name) for glob in self._allow)
