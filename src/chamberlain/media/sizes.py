"""Which thumbnail answers a request (client-server API, Thumbnails)."""

from typing import Literal

import msgspec

Method = Literal["crop", "scale"]


class Size(msgspec.Struct, frozen=True):
    """The dimensions and the method of a thumbnail."""

    width: int
    height: int
    method: Method

    @property
    def name(self) -> str:
        """What the file is called."""
        return f"{self.width}x{self.height}-{self.method}"


STANDARD = (
    Size(32, 32, "crop"),
    Size(96, 96, "crop"),
    Size(256, 256, "crop"),
    Size(640, 640, "crop"),
    Size(320, 240, "scale"),
    Size(640, 480, "scale"),
    Size(800, 600, "scale"),
)
"""Those that the specification names, and two larger squares for avatars on dense screens."""
LARGEST = 1_600
"""Larger dimensions than this get the original."""


def choose(width: int, height: int, method: Method) -> Size | None:
    """The thumbnail for a request: never a smaller one. None: the original.

    Squares are cut, and everything is scaled, to a standard size; other shapes are cut as they are asked for.
    """
    if max(width, height) > LARGEST:
        return None
    if method == "crop" and width != height:
        return Size(width, height, "crop")
    for size in STANDARD:
        if size.method == method and size.width >= width and size.height >= height:
            return size
    return None
