"""Thumbnails."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from chamberlain.config.media import Media
from tests.api.media.images import animation, image, look_at
from tests.api.media.test_files import NEW, OLD, upload
from tests.support.asgi import Answer
from tests.support.server import Client, Server, test_config


async def thumbnail(user: Client, where: str, **query: Any) -> Answer:
    """Get a thumbnail."""
    text = "&".join(f"{name}={value}" for name, value in query.items())
    return await user.request("GET", f"{NEW}/thumbnail/{where}?{text}")


@pytest.mark.parametrize(
    ("width", "height", "method", "expected"),
    [
        (32, 32, "crop", (32, 32)),
        (50, 50, "crop", (96, 96)),
        (200, 100, "crop", (200, 100)),
        (320, 240, "scale", (320, 160)),
        (400, 300, "scale", (640, 320)),
        (10, 10, "scale", (320, 160)),
        (1000, 500, "scale", (1200, 600)),
        (5000, 5000, "crop", (1200, 600)),
    ],
)
async def test_sizes(alice: Client, width: int, height: int, method: str, expected: tuple[int, int]) -> None:
    """A thumbnail is a standard size at least as large as asked for, or the original."""
    where = await upload(alice, image(1200, 600, "JPEG"), "image/jpeg")
    for _ in range(2):
        answer = await thumbnail(alice, where, width=width, height=height, method=method)
        assert answer.status == 200
        assert look_at(answer.body) == ("JPEG", *expected, 1)
        assert answer.headers["content-type"] == "image/jpeg"


async def test_a_thumbnail_is_safe_to_show(server: Server, alice: Client) -> None:
    """It says what it is, may be shown inline and run nothing, and the old path serves it too."""
    where = await upload(alice, image(500, 500), "image/png")
    answer = await server.anonymous.get(f"{OLD}/thumbnail/{where}?width=96&height=96&method=crop")
    assert answer.headers["content-disposition"] == 'inline; filename="thumbnail.jpeg"'
    assert answer.headers["content-security-policy"].startswith("sandbox;")
    tag = {"If-None-Match": answer.headers["etag"]}
    target = f"{NEW}/thumbnail/{where}?width=96&height=96&method=crop"
    assert (await alice.request("GET", target, headers=tag)).status == 304


async def test_transparency_stays(alice: Client) -> None:
    """An image with an alpha channel becomes a PNG."""
    where = await upload(alice, image(500, 500, "PNG", (0, 0, 0, 0), "RGBA"), "image/png")
    answer = await thumbnail(alice, where, width=32, height=32, method="crop")
    assert look_at(answer.body) == ("PNG", 32, 32, 1)
    assert answer.headers["content-type"] == "image/png"


async def test_small_images_are_their_own_thumbnail(alice: Client) -> None:
    """Nothing is ever enlarged."""
    data = image(20, 20, "GIF", 3, "P")
    where = await upload(alice, data, "image/gif")
    for _ in range(2):
        answer = await thumbnail(alice, where, width=32, height=32, method="crop")
        assert (answer.body, answer.headers["content-type"]) == (data, "image/gif")


async def test_an_animation_moves_only_when_it_is_asked_to(alice: Client) -> None:
    """`animated=true` gives all frames; without it there is one."""
    where = await upload(alice, animation(400, 400), "image/gif")
    moving = await thumbnail(alice, where, width=96, height=96, method="crop", animated="true")
    assert look_at(moving.body) == ("WEBP", 96, 96, 3)
    assert moving.headers["content-type"] == "image/webp"
    for query in ({}, {"animated": "false"}):
        still = await thumbnail(alice, where, width=96, height=96, method="crop", **query)
        assert look_at(still.body)[1:] == (96, 96, 1)


async def test_an_image_is_turned_as_its_camera_was(alice: Client) -> None:
    """The orientation that a camera wrote down is applied."""
    import io

    from PIL import Image

    picture = Image.new("RGB", (1000, 500))
    exif = Image.Exif()
    exif[0x0112] = 6
    output = io.BytesIO()
    picture.save(output, "JPEG", exif=exif)
    where = await upload(alice, output.getvalue(), "image/jpeg")
    answer = await thumbnail(alice, where, width=320, height=240)
    assert look_at(answer.body) == ("JPEG", 120, 240, 1)


async def test_what_cannot_be_made_smaller(alice: Client) -> None:
    """Text, a broken image, impossible sizes and unknown methods are errors of the client."""
    text, broken = await upload(alice, b"text"), await upload(alice, image(500, 500)[:200], "image/png")
    for where in (text, broken):
        for size in (32, 96):
            answer = await thumbnail(alice, where, width=size, height=size, method="crop")
            answer.error(400, "M_UNKNOWN")
    (await thumbnail(alice, text, width=4000, height=4000)).error(400, "M_UNKNOWN")
    for query in (
        {"width": 0, "height": 5},
        {"width": -1, "height": 5},
        {"width": "x", "height": 5},
        {"width": 5, "height": 5, "method": "stretch"},
        {"width": 5, "height": 5, "animated": "maybe"},
        {"width": 10**30, "height": 5},
    ):
        (await thumbnail(alice, text, **query)).error(400, "M_INVALID_PARAM")
    (await thumbnail(alice, text, width=5)).error(400, "M_MISSING_PARAM")
    (await thumbnail(alice, "example.org/none", width=5, height=5)).error(404, "M_NOT_FOUND")


async def test_an_image_of_too_many_pixels_is_not_decoded(tmp_path: Path) -> None:
    """It can be downloaded and gets no thumbnail."""
    server = await Server.start(test_config(tmp_path, media=Media(max_image_pixels=10_000)))
    try:
        alice = await server.register("alice")
        where = await upload(alice, image(101, 100), "image/png")
        (await thumbnail(alice, where, width=32, height=32)).error(413, "M_TOO_LARGE")
        fine = await upload(alice, image(100, 100), "image/png")
        assert (await thumbnail(alice, fine, width=32, height=32, method="crop")).status == 200
    finally:
        await server.stop()


async def test_many_requests_for_one_thumbnail_make_it_once(server: Server, alice: Client) -> None:
    """Everyone gets the same image and one file is kept; of odd shapes only so many are kept."""
    where = await upload(alice, image(1000, 1000, "JPEG"), "image/jpeg")
    answers = await asyncio.gather(
        *(thumbnail(alice, where, width=96, height=96, method="crop") for _ in range(10))
    )
    assert len({answer.body for answer in answers}) == 1
    folder = server.app.services.config.media_path / "thumbnails"

    def kept() -> int:
        return sum(1 for found in folder.rglob("*") if found.is_file())

    assert kept() == 1
    for width in range(100, 130):
        answer = await thumbnail(alice, where, width=width, height=50, method="crop")
        assert look_at(answer.body)[1:3] == (width, 50)
    assert kept() == 24
    await server.app.services.media.files.delete([where.partition("/")[2]])
    assert kept() == 0
