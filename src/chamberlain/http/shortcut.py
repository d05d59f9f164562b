"""What a connection of this server offers beside ASGI: the usual request needs none of its messages."""

from collections.abc import Callable
from typing import Any, Final, Protocol

EXTENSION: Final = "chamberlain.exchange"
"""Its name in `scope["extensions"]`. In process, as tests and the command line call, there is none."""


class Shortcut(Protocol):
    """One request that is being answered."""

    def take_body(self) -> bytes | None:
        """The whole body where it is there already and nothing of it was read; None where it is not."""
        ...

    def on_hang_up(self, give_up: Callable[[], object]) -> None:
        """Have `give_up()` called when the client goes before it has its answer."""
        ...

    def answer(self, status: int, headers: bytes, body: bytes) -> None:
        """Give the whole answer. `headers`: lines that end with CRLF, without the length."""
        ...


def find_shortcut(extensions: Any) -> Shortcut | None:
    """The shortcut of a request, by its scope's extensions."""
    found: Shortcut | None = extensions.get(EXTENSION) if extensions else None
    return found
