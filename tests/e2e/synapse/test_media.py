"""Files and thumbnails of one server, fetched by users of the other."""

import io

from PIL import Image

from tests.support.neighbors import Person
from tests.support.server import path


async def upload(ada: Person, content: bytes, kind: str, name: str) -> list[str]:
    """Upload a file; its server and its id."""
    target = f"/_matrix/media/v3/{path('upload', filename=name)}"
    answer = await ada.request("POST", target, content, {"Content-Type": kind})
    return str(answer.ok()["content_uri"]).removeprefix("mxc://").split("/")


def media_path(verb: str, place: list[str], **query: object) -> str:
    """The path of a file for those who are logged in."""
    return f"/_matrix/client/v1/media/{verb}/{path(*place, **query)}"


async def test_a_file_is_fetched_from_the_other_server(ada: Person, ben: Person) -> None:
    """Bytes, type and name are as they were uploaded, the second time too."""
    content = bytes(range(256)) * 1000
    place = await upload(ada, content, "application/zip", "a good book.zip")
    for _ in range(2):
        answer = await ben.get(media_path("download", place))
        assert (answer.status, answer.body) == (200, content)
        assert answer.headers["content-type"] == "application/zip"
        assert "book.zip" in answer.headers["content-disposition"]
    (await ben.get(media_path("download", [place[0], "nothingHasThisId"]))).error(404, "M_NOT_FOUND")


async def test_a_thumbnail_is_fetched_from_the_other_server(ada: Person, ben: Person) -> None:
    """It is a picture of the size that was asked for."""
    picture = io.BytesIO()
    Image.new("RGB", (640, 480), "red").save(picture, "PNG")
    place = await upload(ada, picture.getvalue(), "image/png", "red.png")
    answer = await ben.get(media_path("thumbnail", place, width=96, height=96, method="crop"))
    assert answer.status == 200, answer.body
    with Image.open(io.BytesIO(answer.body)) as thumbnail:
        assert thumbnail.size == (96, 96)
