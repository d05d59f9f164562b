"""The services of this room, made and bundled."""


class Sync:
    """The bundle."""

    __slots__ = ()

    async def start(self) -> None:
        """Begin the background work."""

    async def close(self) -> None:
        """End the background work."""


def build_sync() -> Sync:
    """Make the services."""
    return Sync()
