"""The one place that draws random values, so that tests can seed them."""

import secrets
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Rng:
    """Unpredictable values from the operating system. A seeded child for tests overrides `bytes` alone."""

    __slots__ = ()

    def bytes(self, count: int) -> bytes:
        """`count` unpredictable bytes."""
        return secrets.token_bytes(count)

    def token(self, nbytes: int = 32) -> str:
        """A URL-safe secret made of `nbytes` random bytes (43 characters for 32)."""
        return urlsafe_b64encode(self.bytes(nbytes)).rstrip(b"=").decode("ascii")

    def id(self, letters: int = 18) -> str:
        """An identifier of that many ASCII letters, for rooms, devices and the like."""
        return "".join(self.choice(_LETTERS) for _ in range(letters))

    def below(self, limit: int) -> int:
        """An integer in `range(limit)`, each equally likely."""
        bits = limit.bit_length()
        size = (bits + 7) // 8
        while True:
            value = int.from_bytes(self.bytes(size)) >> (size * 8 - bits)
            if value < limit:
                return value

    def choice(self, options: Sequence[T]) -> T:
        """One of `options`, each equally likely."""
        return options[self.below(len(options))]
