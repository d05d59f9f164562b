"""How a file is described to whoever downloads it (client-server API, Serving inline content; RFC 6266, RFC 9110)."""

import re
from typing import Final
from urllib.parse import quote

SECURITY_POLICY: Final = (
    "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf;"
    " style-src 'unsafe-inline'; media-src 'self'; object-src 'self';"
)
MAX_AGE_S: Final = 86_400

INLINE_TYPES: Final = frozenset(
    {
        "text/css",
        "text/plain",
        "text/csv",
        "application/json",
        "application/ld+json",
        "image/jpeg",
        "image/gif",
        "image/png",
        "image/apng",
        "image/webp",
        "image/avif",
        "video/mp4",
        "video/webm",
        "video/ogg",
        "video/quicktime",
        "audio/mp4",
        "audio/webm",
        "audio/aac",
        "audio/mpeg",
        "audio/ogg",
        "audio/wave",
        "audio/wav",
        "audio/x-wav",
        "audio/x-pn-wav",
        "audio/flac",
        "audio/x-flac",
    }
)
"""Types that a browser may show in its place; everything else is offered for saving."""

_PLAIN_NAME = re.compile(r"[\x20-\x7e]+")
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def disposition(content_type: str, file_name: str | None) -> str:
    """The `Content-Disposition` of a file."""
    plain_type = content_type.partition(";")[0].strip().lower()
    kind = "inline" if plain_type in INLINE_TYPES else "attachment"
    if not file_name:
        return kind
    if _PLAIN_NAME.fullmatch(file_name):
        escaped = file_name.replace("\\", "\\\\").replace('"', '\\"')
        return f'{kind}; filename="{escaped}"'
    encoded = quote(file_name, safe="", errors="replace")
    return f"{kind}; filename*=utf-8''{encoded}"


def headers(content_type: str, file_name: str | None, etag: str, *, public: bool) -> list[tuple[str, str]]:
    """The headers of a file, but for its type and length. `public`: shared caches may keep it."""
    scope = "public" if public else "private"
    return [
        ("Content-Disposition", disposition(content_type, file_name)),
        ("Content-Security-Policy", SECURITY_POLICY),
        ("Cross-Origin-Resource-Policy", "cross-origin"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Robots-Tag", "noindex, nofollow, noarchive, noimageindex"),
        ("Referrer-Policy", "no-referrer"),
        ("Cache-Control", f"{scope}, max-age={MAX_AGE_S}, immutable"),
        ("Accept-Ranges", "bytes"),
        ("ETag", etag),
    ]


def matches(if_none_match: str | None, etag: str) -> bool:
    """Whether the client says that it has the file already."""
    if if_none_match is None:
        return False
    known = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in known or "*" in known


def parse_range(value: str | None, size: int) -> tuple[int, int] | None:
    """The first byte and the number of bytes that a `Range` header asks for.

    None: the whole file, also where the header asks for several ranges or for what is no range of bytes.
    A number of 0: no byte of the file is in the range.
    """
    match = _RANGE.fullmatch(value.replace(" ", "")) if value is not None else None
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        length = min(int(match[2]), size)
        return size - length, length
    start = int(match[1])
    end = min(int(match[2]), size - 1) if match[2] else size - 1
    if match[2] and int(match[2]) < start:
        return None
    return start, max(0, end - start + 1)
