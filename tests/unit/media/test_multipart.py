"""The form in which servers hand each other files."""

from collections.abc import AsyncIterator
from email import message_from_bytes
from email.message import Message

import pytest

from chamberlain.media.multipart import (
    MAX_HEADERS,
    MAX_METADATA,
    Malformed,
    Multipart,
    Unwrapping,
    file_name_in,
)
from chamberlain.runtime.rng import Rng

KIND = 'Multipart/Mixed; charset=utf-8; boundary="b"'
FIRST = b"--b\r\nContent-Type: application/json\r\n\r\n{}\r\n"
FILE = b"--b\r\nContent-Type: image/png\r\nContent-Disposition: inline\r\n\r\n"


async def in_pieces(whole: bytes, size: int) -> AsyncIterator[bytes]:
    """The bytes as they come off a wire."""
    for start in range(0, len(whole), size):
        yield whole[start : start + size]


async def unwrap(whole: bytes, size: int = 7, kind: str = KIND) -> tuple[dict[str, str], bytes]:
    """The headers and the body of the second part."""
    parts = Unwrapping(kind, in_pieces(whole, size))
    headers = await parts.headers()
    return headers, b"".join([piece async for piece in parts.body()])


@pytest.mark.parametrize(
    "content", [b"", b"x", b"\r\n", b"\r\n--", b"--b", b"a\r\n--c\r\n", b"\r\n" * 50, bytes(range(256)) * 9]
)
async def test_what_is_wrapped_comes_out_however_it_is_cut(content: bytes) -> None:
    """Any content in chunks of any size; another reader of the format agrees."""
    envelope = Multipart(Rng()).envelope("image/png", 'inline; filename="a.png"')
    whole = envelope.head + content + envelope.tail

    for size in (*range(1, 80), len(whole)):
        headers, body = await unwrap(whole, size, envelope.content_type)
        assert body == content
        assert headers == {"content-type": "image/png", "content-disposition": 'inline; filename="a.png"'}
    theirs = message_from_bytes(f"Content-Type: {envelope.content_type}\r\n\r\n".encode() + whole)
    metadata, file = theirs.get_payload()
    assert isinstance(metadata, Message) and metadata.get_payload() == "{}"
    assert isinstance(file, Message) and file.get_content_type() == "image/png"


async def test_other_ways_to_write_the_same() -> None:
    """A preamble, spaces behind a delimiter, an empty part without an empty line, and something behind the end."""
    odd = b"hello\r\n--b \t\r\n\r\n--b\r\nLocation: https://cdn.example.org/1\r\n\r\n--b--\r\nbye"

    assert await unwrap(odd) == ({"location": "https://cdn.example.org/1"}, b"")


@pytest.mark.parametrize(
    "whole",
    [
        b"",
        b"no boundary at all",
        b"x" * 100_000,
        FIRST + b"--b--\r\n",
        FIRST + FILE + b"cut off",
        FIRST + FILE + b"cut off\r\n--",
        FIRST + b"--b\r\nContent-Type: image/png\r\n",
        FIRST + b"--bb\r\n\r\nanother boundary\r\n--bb--",
        FIRST + b"--b\r\n" + b"X: y\r\n" * MAX_HEADERS + b"\r\n\r\n--b--",
        FIRST + b"--b\r\nX: " + b"y" * MAX_HEADERS + b"\r\n\r\n\r\n--b--",
        b"--b\r\n\r\n" + b"x" * (MAX_METADATA + 10) + b"\r\n" + FILE + b"\r\n--b--",
        FIRST.replace(b"--b", b"--B") + FILE.replace(b"--b", b"--B") + b"x\r\n--B--\r\n",
    ],
)
async def test_what_is_not_two_parts_is_refused(whole: bytes) -> None:
    """Whatever is missing, cut off or too long."""
    for size in (1, 1_000, 100_000):
        with pytest.raises(Malformed):
            await unwrap(whole, size)


async def test_headers_without_an_end_are_not_waited_for() -> None:
    """A server that never comes to the file is given up within bounds."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield FIRST + b"--b\r\n"
        while True:
            sent += 1
            yield b"X-Header: y\r\n"

    with pytest.raises(Malformed):
        await Unwrapping(KIND, endless()).headers()
    assert sent < MAX_HEADERS


@pytest.mark.parametrize(
    "kind", ["", "application/json", "multipart/mixed", "multipart/mixed; boundary=", "multipart/form-data; boundary=b",
             f"multipart/mixed; boundary={'b' * 71}", "multipart/mixed; boundary*0*x=b"]
)  # fmt: skip
def test_types_without_a_boundary_are_refused(kind: str) -> None:
    """The type of the whole must name one."""
    with pytest.raises(Malformed):
        Unwrapping(kind, in_pieces(b"", 1))


def test_file_names_are_found_in_any_form() -> None:
    """Quoted, plain, encoded; and none in what is nonsense."""
    assert file_name_in('inline; filename="a \\"b\\\\c.png"') == 'a "b\\c.png'
    assert file_name_in("attachment; filename=a.png") == "a.png"
    assert file_name_in("attachment; filename*=utf-8''%E7%8C%AB.bin") == "猫.bin"
    for nothing in (
        "",
        "inline",
        "attachment; filename*zz*=a; filename*-1=x",
        "attachment;   1*0 ;1*;filename*9",
    ):
        assert file_name_in(nothing) in (None, "")
