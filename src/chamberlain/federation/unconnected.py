"""The transport of a server that has no way out."""

from collections.abc import Mapping

from chamberlain.federation.transport import StreamedAnswer, TransportAnswer
from chamberlain.matrix.remote_errors import Unreachable


class Unconnected:
    """Reaches nobody."""

    async def send(
        self,
        destination: str,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        timeout: float,
        max_bytes: int,
    ) -> TransportAnswer:
        """Raise Unreachable."""
        raise Unreachable(destination, "there is no way to it")

    async def stream(
        self, destination: str, method: str, target: str, headers: Mapping[str, str], *, timeout: float
    ) -> StreamedAnswer:
        """Raise Unreachable."""
        raise Unreachable(destination, "there is no way to it")

    async def close(self) -> None:
        """Nothing is open."""
