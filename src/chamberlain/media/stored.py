"""A file as downloads and thumbnails see it, uploaded here or fetched."""

import msgspec


class StoredFile(msgspec.Struct, frozen=True):
    """A file whose bytes are on the disk, under their hash."""

    content_type: str
    file_name: str | None
    size: int
    sha256: str
