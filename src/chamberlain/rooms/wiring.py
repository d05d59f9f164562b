"""The services of this room, made and bundled."""


class Rooms:
    """The bundle."""

    __slots__ = ()

    async def start(self) -> None:
        """Begin the background work."""

    async def close(self) -> None:
        """End the background work."""


def build_rooms() -> Rooms:
    """Make the services."""
    return Rooms()
