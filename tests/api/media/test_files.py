"""Uploads and downloads."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from chamberlain.config.media import Media
from tests.support.asgi import Answer, begin
from tests.support.server import Client, Server, test_config, until

TEXT = {"Content-Type": "text/plain"}
OLD, NEW = "/_matrix/media/v3", "/_matrix/client/v1/media"


async def upload(
    user: Client, data: bytes | list[bytes], kind: str = "text/plain", name: str | None = None
) -> str:
    """Upload a file and give `server/media_id`."""
    target = f"{OLD}/upload" + (f"?filename={quote(name, safe='')}" if name is not None else "")
    answer = await user.request("POST", target, data, {"Content-Type": kind})
    return str(answer.ok()["content_uri"]).removeprefix("mxc://")


async def get(user: Client, where: str, headers: dict[str, str] | None = None) -> Answer:
    """Download by the path for whoever has a token."""
    return await user.request("GET", f"{NEW}/download/{where}", headers=headers)


@pytest.fixture
async def frozen(tmp_path: Path) -> AsyncIterator[Server]:
    """A server whose old download paths serve no new files."""
    running = await Server.start(test_config(tmp_path / "frozen", media=Media(unauthenticated=False)))
    yield running
    await running.stop()


def blobs(server: Server) -> list[Path]:
    """The files in the media folder."""
    folder = server.app.services.config.media_path
    return [found for found in folder.rglob("*") if found.is_file()]


async def test_a_file_comes_back_as_it_was(server: Server, alice: Client, bob: Client) -> None:
    """Another user downloads the same bytes with type and name, by the new and the old paths."""
    data = bytes(range(256)) * 20_000
    pieces = [data[n : n + 100_000] for n in range(0, len(data), 100_000)]
    where = await upload(alice, pieces, "image/png", "a picture.png")
    old = await server.anonymous.get(f"{OLD}/download/{where}")
    oldest = await server.anonymous.get(f"/_matrix/media/r0/download/{where}")
    for answer in (await get(bob, where), old, oldest):
        assert answer.status == 200
        assert answer.body == data
        assert answer.headers["content-length"] == str(len(data))
        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["content-disposition"] == 'inline; filename="a picture.png"'
        assert answer.headers["content-security-policy"].startswith("sandbox;")
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert (await get(bob, f"{where}/other.png")).headers["content-disposition"] == (
        'inline; filename="other.png"'
    )
    (await server.anonymous.get(f"{NEW}/download/{where}")).error(401, "M_MISSING_TOKEN")


async def test_names_and_types_that_a_browser_could_be_harmed_by(alice: Client) -> None:
    """Only harmless types are shown inline; names are quoted or encoded; nothing ends a header."""
    for kind, name, expected in (
        ("text/html", "x.html", 'attachment; filename="x.html"'),
        ("image/svg+xml", None, "attachment"),
        ("Text/Plain; charset=utf-8", None, "inline"),
        ("image/png", 'a"b\\c', 'inline; filename="a\\"b\\\\c"'),
        ("image/png", "ä\r\nX: y", "inline; filename*=utf-8''%C3%A4%0D%0AX%3A%20y"),
        ("application/octet-stream", "猫.bin", "attachment; filename*=utf-8''%E7%8C%AB.bin"),
    ):
        answer = await get(alice, await upload(alice, b"x", kind, name))
        assert answer.headers["content-disposition"] == expected
        assert answer.headers["content-type"] == kind


async def test_unknown_and_foreign_files(alice: Client) -> None:
    """What is not here, and what no id can be, is not found."""
    where = await upload(alice, b"x")
    media_id = where.partition("/")[2]
    for odd in (
        "example.org/none",
        f"no server/{media_id}",
        "elsewhere.org/..%2F..%2Fsigning.key",
        "example.org/..%2F..%2Fsigning.key",
        "example.org/" + "x" * 10_000,
    ):
        (await get(alice, quote(odd, safe="/%"))).error(404, "M_NOT_FOUND")
    (await get(alice, f"elsewhere.org/{media_id}")).error(502, "M_UNKNOWN")


async def test_equal_files_are_kept_once(server: Server, alice: Client, bob: Client) -> None:
    """Two uploads of the same bytes share them on the disk, and deleting one leaves the other."""
    files = server.app.services.media.files
    first, second = await upload(alice, b"same"), await upload(bob, b"same")
    assert first != second and len(blobs(server)) == 1
    assert await files.delete([first.partition("/")[2]]) == [first.partition("/")[2]]
    (await get(bob, first)).error(404, "M_NOT_FOUND")
    assert (await get(bob, second)).body == b"same"
    await files.delete([second.partition("/")[2]])
    assert blobs(server) == []
    assert await files.delete([second.partition("/")[2]]) == []


async def test_files_that_are_too_large_leave_nothing_behind(tmp_path: Path) -> None:
    """Neither a declared nor an undeclared size over the limit is taken, and the limit is told."""
    server = await Server.start(test_config(tmp_path, media=Media(max_upload_bytes=3_000_000)))
    try:
        alice = await server.register("alice")
        for target in (f"{OLD}/config", f"{NEW}/config"):
            assert (await alice.get(target)).ok() == {"m.upload.size": 3_000_000}
        piece = b"x" * 1_000_000
        large = await alice.request("POST", f"{OLD}/upload", piece * 4)
        large.error(413, "M_TOO_LARGE")
        lying = await alice.request("POST", f"{OLD}/upload", [piece] * 4, {"Content-Length": "5"})
        lying.error(413, "M_TOO_LARGE")
        assert blobs(server) == []
        assert (await get(alice, await upload(alice, [piece] * 3))).body == piece * 3
    finally:
        await server.stop()


async def test_an_upload_that_breaks_off_leaves_nothing_behind(server: Server, alice: Client) -> None:
    """Who hangs up in the middle has uploaded nothing."""
    headers = {"Authorization": f"Bearer {alice.token}", "Content-Length": "4000000"}
    exchange = begin(server.app.asgi, "POST", f"{OLD}/upload", headers, [b"x" * 1_500_000] * 3)

    async def writing() -> bool:
        return bool(blobs(server))

    await until(writing)
    exchange.hang_up()
    await exchange.task
    assert blobs(server) == []


async def test_an_empty_file_and_odd_types(alice: Client) -> None:
    """Nothing is a file too; a type or a name beyond measure is refused."""
    where = await upload(alice, b"")
    assert (await get(alice, where)).body == b""
    too_long = await alice.request("POST", f"{OLD}/upload", b"x", {"Content-Type": "a/" + "b" * 300})
    too_long.error(400, "M_INVALID_PARAM")
    named = await alice.request("POST", f"{OLD}/upload?filename={'n' * 300}", b"x")
    named.error(400, "M_INVALID_PARAM")


async def test_what_a_client_has_is_not_sent_again(alice: Client) -> None:
    """The entity tag of the file answers with 304."""
    where = await upload(alice, b"x")
    tag = (await get(alice, where)).headers["etag"]
    assert (await get(alice, where, {"If-None-Match": f'"other", {tag}'})).status == 304
    assert (await get(alice, where, {"If-None-Match": '"other"'})).status == 200


async def test_parts_of_a_file(alice: Client) -> None:
    """One range of bytes is served as such, nonsense as the whole file, what lies beyond is refused."""
    data = bytes(range(100))
    where = await upload(alice, data)
    for wanted, expected in (
        ("bytes=0-9", data[:10]),
        ("bytes=90-", data[90:]),
        ("bytes=90-1000", data[90:]),
        ("bytes=-5", data[-5:]),
        ("bytes=-1000", data),
    ):
        answer = await get(alice, where, {"Range": wanted})
        assert (answer.status, answer.body) == (206, expected)
        start = data.index(expected)
        assert answer.headers["content-range"] == f"bytes {start}-{start + len(expected) - 1}/100"
    for whole in ("bytes=9-0", "bytes=-", "bytes=1-2,4-5", "lines=1-2", "bytes=x-y"):
        answer = await get(alice, where, {"Range": whole})
        assert (answer.status, answer.body) == (200, data)
    for beyond in ("bytes=100-", "bytes=100-200", "bytes=-0"):
        answer = await get(alice, where, {"Range": beyond})
        assert (answer.status, answer.headers["content-range"]) == (416, "bytes */100")
    other = {"Range": "bytes=0-9", "If-Range": '"other"'}
    assert (await get(alice, where, other)).status == 200


async def test_a_file_can_be_uploaded_later(server: Server, alice: Client, bob: Client) -> None:
    """A URI is made first; downloads wait for the file; it is uploaded once, by the one who made it."""
    created = (await alice.post("/_matrix/media/v1/create")).ok()
    where = created["content_uri"].removeprefix("mxc://")
    assert created["unused_expires_at"] > server.app.services.clock.now()
    (await get(bob, f"{where}?timeout_ms=0")).error(504, "M_NOT_YET_UPLOADED")

    (await bob.request("PUT", f"{OLD}/upload/{where}", b"x")).error(403, "M_FORBIDDEN")
    (await alice.request("PUT", f"{OLD}/upload/example.org/none", b"x")).error(404, "M_NOT_FOUND")
    waiting = asyncio.create_task(get(bob, where))
    await asyncio.sleep(0)
    (await alice.request("PUT", f"{OLD}/upload/{where}?filename=a.txt", b"text", TEXT)).ok()
    assert (await waiting).body == b"text"

    again = await alice.request("PUT", f"{OLD}/upload/{where}", b"other")
    again.error(409, "M_CANNOT_OVERWRITE_MEDIA")
    assert (await get(bob, where)).body == b"text"
    assert len(blobs(server)) == 1


async def test_of_two_uploads_to_one_uri_one_wins(server: Server, alice: Client) -> None:
    """Both arrive at once; the other is told that there is a file, and its bytes are shown to nobody."""
    where = (await alice.post("/_matrix/media/v1/create")).ok()["content_uri"].removeprefix("mxc://")
    answers = await asyncio.gather(
        *(alice.request("PUT", f"{OLD}/upload/{where}", b"%d" % n, TEXT) for n in range(4))
    )
    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409]
    winner = next(n for n, answer in enumerate(answers) if answer.status == 200)
    assert (await get(alice, where)).body == b"%d" % winner


async def test_only_so_many_uris_may_wait(alice: Client) -> None:
    """Who makes ever more URIs and uploads nothing is told to wait."""
    answers = [await alice.post("/_matrix/media/v1/create") for _ in range(51)]
    assert [answer.status for answer in answers] == [200] * 50 + [429]
    assert answers[-1].json["errcode"] == "M_LIMIT_EXCEEDED"


async def test_new_files_need_a_token_where_the_old_paths_are_frozen(frozen: Server) -> None:
    """They are served to whoever has a token; what was uploaded before the freeze stays where it was."""
    alice = await frozen.register("alice")
    where = await upload(alice, b"new")
    assert (await get(alice, where)).body == b"new"
    (await frozen.anonymous.get(f"{OLD}/download/{where}")).error(404, "M_NOT_FOUND")
    (await frozen.anonymous.get(f"{OLD}/thumbnail/{where}?width=9&height=9")).error(404, "M_NOT_FOUND")

    open_again = test_config(frozen.app.services.config.data_dir, media=Media())
    thawed = await Server.start(open_again)
    try:
        user = Client(thawed, alice.token)
        before = await upload(user, b"before")
        assert (await thawed.anonymous.get(f"{OLD}/download/{before}")).body == b"before"
    finally:
        await thawed.stop()
    assert (await frozen.anonymous.get(f"{OLD}/download/{before}")).body == b"before"


async def test_reading_a_file_is_noted(server: Server, alice: Client) -> None:
    """The time of the last access is written down."""
    where = await upload(alice, b"x")
    files = server.app.services.media.files
    (before,) = await files.list_of(alice.user_id)
    await until(lambda: _later(server, before.last_access_at))
    await get(alice, where)
    await files.accesses.flush()
    (after,) = await files.list_of(alice.user_id)
    assert after.last_access_at > before.last_access_at


async def _later(server: Server, than: int) -> bool:
    return server.app.services.clock.now() > than


async def test_a_file_that_is_missing_on_the_disk_is_not_found(server: Server, alice: Client) -> None:
    """A folder that was restored without a file gives a 404, not an error of the server."""
    where = await upload(alice, b"x")
    blobs(server)[0].unlink()
    (await get(alice, where)).error(404, "M_NOT_FOUND")
