"""Files as clients, browsers and attackers fetch them (client-server API, Content repository)."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from chamberlain.config.media import Media
from tests.api.conformance.table import check, found
from tests.api.media.images import image
from tests.support.asgi import Answer
from tests.support.server import Client, Server, test_config

MEDIA = "/_matrix/media/v3"
AUTHED = "/_matrix/client/v1/media"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"<html><script>alert(1)</script></html>"


async def upload(client: Client, data: bytes, kind: str = "text/plain", name: str | None = None) -> str:
    """Upload a file and give `server/media_id`."""
    query = "" if name is None else f"?filename={quote(name, safe='')}"
    answer = (await client.request("POST", f"{MEDIA}/upload{query}", data, {"content-type": kind})).ok()
    return str(answer["content_uri"]).removeprefix("mxc://")


@pytest.mark.parametrize(
    "name", ["ascii", "file name; with=all \"of\\ it's.txt", "ünïcode 🦑.txt", "名前.pdf", "a/b\\c"]
)
async def test_the_name_of_a_file(alice: Client, bob: Client, name: str) -> None:
    """The uploader's name comes back at every path, another one can be asked for, and neither ends a header."""
    where = await upload(alice, b"content", name=name)
    for target in (
        f"{AUTHED}/download/{where}",
        f"{MEDIA}/download/{where}",
        f"/_matrix/media/r0/download/{where}",
    ):
        answer = await bob.get(target)
        assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"content", "text/plain")
        assert _name_in(answer) == name
        other = await bob.get(f"{target}/{quote('ander ' + name, safe='')}")
        assert other.body == b"content" and _name_in(other) == "ander " + name


def _name_in(answer: Answer) -> str:
    """The file name as a browser reads it (RFC 6266)."""
    from email.message import EmailMessage

    message = EmailMessage()
    message["Content-Disposition"] = answer.headers["content-disposition"]
    found = message["Content-Disposition"].params.get("filename", "")
    return str(found)


async def test_what_a_browser_may_show_and_run(alice: Client, bob: Client) -> None:
    """Safe types inline, all else as attachment; whatever it is, it is sandboxed, not sniffed and not framed."""
    for kind, data, shown in (
        ("image/png", image(4, 4), "inline"),
        ("text/plain; charset=utf-8", b"x", "inline"),
        ("TEXT/PLAIN", b"x", "inline"),
        ("application/json", b"{}", "inline"),
        ("text/html", HTML, "attachment"),
        ("image/svg+xml", SVG, "attachment"),
        ("application/xhtml+xml", HTML, "attachment"),
        ("text/xml", SVG, "attachment"),
        ("application/pdf", b"%PDF", "attachment"),
        ("text/plain, text/html", HTML, "attachment"),
        ("text/plain/html", HTML, "attachment"),
        ("nonsense", HTML, "attachment"),
        ("", HTML, "attachment"),
    ):
        where = await upload(alice, data, kind, "evil.html")
        for target in (
            f"{AUTHED}/download/{where}",
            f"{MEDIA}/download/{where}",
            f"{MEDIA}/download/{where}/x.html",
        ):
            answer = await bob.get(target)
            assert answer.status == 200 and answer.body == data, (kind, target)
            assert answer.headers["content-disposition"].split(";")[0] == shown, (kind, target)
            policy = answer.headers["content-security-policy"]
            assert "sandbox" in policy and "allow-scripts" not in policy and "script-src 'none'" in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
            assert answer.headers["access-control-allow-origin"] == "*"
        thumbnail = await bob.get(f"{AUTHED}/thumbnail/{where}?width=32&height=32")
        if kind == "image/png":
            assert thumbnail.headers["content-type"].startswith("image/")
        else:
            assert thumbnail.status in (400, 404) and SVG not in thumbnail.body, kind


async def test_ids_and_names_that_climb(alice: Client) -> None:
    """No spelling of a path leads out of the media folder, and no header is injected by any part of a request."""
    where = await upload(alice, b"content")
    own, media_id = where.split("/")
    for climbing in (
        "..",
        "../" * 8 + "etc/passwd",
        "..%2f..%2f..%2fchamberlain.db",
        "%2e%2e%2fsigning.key",
        "%252e%252e%252faudit.key",
        "....//....//etc/passwd",
        f"{media_id}%2f..%2f..%2faudit.key",
        f"{media_id}%00.png",
        "%5c..%5c..%5caudit.key",
        "~root",
        "a" * 10_000,
        "%c0%ae%c0%ae%2f",
    ):
        for prefix in (AUTHED, MEDIA):
            for target in (
                f"{prefix}/download/{own}/{climbing}",
                f"{prefix}/download/{climbing}/{media_id}",
                f"{prefix}/thumbnail/{own}/{climbing}?width=32&height=32",
            ):
                answer = await alice.get(target)
                assert answer.status in (400, 404, 502), target
                # 502: a file of a server that cannot be reached.
                refusals = ("M_NOT_FOUND", "M_INVALID_PARAM", "M_UNRECOGNIZED")
                expected = ("M_UNKNOWN",) if answer.status == 502 else refusals
                assert answer.json["errcode"] in expected, target
            put = await alice.request("PUT", f"{MEDIA}/upload/{own}/{climbing}", b"new")
            assert put.status in (400, 403, 404), climbing
        named = await alice.get(f"{AUTHED}/download/{where}/{climbing}")
        assert named.status in (200, 400, 404) and (named.status != 200 or named.body == b"content")
    for injected in ("x%0d%0aSet-Cookie: a=b", "x%0aX-Evil: 1", "x%22; filename=evil", "x%e2%80%a8y"):
        answer = await alice.get(f"{AUTHED}/download/{where}/{injected.replace(' ', '%20')}")
        assert "set-cookie" not in answer.headers and "x-evil" not in answer.headers
        assert not set("\r\n") & set("".join(answer.headers.values()))
    assert (await alice.get(f"{AUTHED}/download/{where}")).body == b"content"


async def test_what_is_refused(server: Server, alice: Client, bob: Client) -> None:
    """Without a token, unknown, foreign and not yet uploaded files, and thumbnails of impossible sizes."""
    where = await upload(alice, b"content")
    created = (await alice.post("/_matrix/media/v1/create")).ok()
    uri = created["content_uri"].removeprefix("mxc://")
    rows: list[Any] = [("GET", f"{AUTHED}/download/{where}", None, 401, "M_MISSING_TOKEN")]
    rows += [("GET", f"{AUTHED}/thumbnail/{where}?width=9&height=9", None, 401, "M_MISSING_TOKEN")]
    rows += [("GET", f"{AUTHED}/config", None, 401, "M_MISSING_TOKEN")]
    rows += [("POST", f"{MEDIA}/upload", b"x", 401, "M_MISSING_TOKEN")]
    await check(server.anonymous, rows)
    rows = [
        ("GET", f"{AUTHED}/download/example.org/unknown", None, 404, "M_NOT_FOUND"),
        ("GET", f"{AUTHED}/download/{uri}?timeout_ms=0", None, 504, "M_NOT_YET_UPLOADED"),
        ("GET", f"{AUTHED}/download/{where}?timeout_ms=soon", None, 400, "M_INVALID_PARAM"),
        ("GET", f"{AUTHED}/thumbnail/{where}", None, 400, "M_MISSING_PARAM"),
        ("GET", f"{AUTHED}/thumbnail/{where}?width=0&height=0", None, 400, "M_INVALID_PARAM"),
        ("GET", f"{AUTHED}/thumbnail/{where}?width=-5&height=5", None, 400, "M_INVALID_PARAM"),
        ("GET", f"{AUTHED}/thumbnail/{where}?width=9&height=9&method=bogus", None, 400, "M_INVALID_PARAM"),
        ("PUT", f"{MEDIA}/upload/example.org/unknown", b"x", 404, "M_NOT_FOUND"),
        ("PUT", f"{MEDIA}/upload/{where}", b"x", 409, "M_CANNOT_OVERWRITE_MEDIA"),
        ("PUT", f"{MEDIA}/upload/{uri}", b'"late"', 200, None),
        ("PUT", f"{MEDIA}/upload/{uri}", b"again", 409, "M_CANNOT_OVERWRITE_MEDIA"),
    ]
    assert found(await bob.request("PUT", f"{MEDIA}/upload/{uri}", b"x")) == (403, "M_FORBIDDEN")
    await check(alice, rows)
    assert (await bob.get(f"{AUTHED}/download/{uri}")).body == b'"late"'
    limit = (await alice.get(f"{AUTHED}/config")).ok()["m.upload.size"]
    assert (await alice.get(f"{MEDIA}/config")).ok()["m.upload.size"] == limit > 1_000_000


async def test_ranges(alice: Client) -> None:
    """One range of bytes is 206 with its place, what lies beyond is 416, a HEAD-like nonsense is the whole file."""
    where = await upload(alice, bytes(range(100)))
    for asked, status, body in (
        ("bytes=0-9", 206, bytes(range(10))),
        ("bytes=90-", 206, bytes(range(90, 100))),
        ("bytes=-5", 206, bytes(range(95, 100))),
        ("bytes=50-1000", 206, bytes(range(50, 100))),
        ("bytes=-1000", 206, bytes(range(100))),
        ("bytes=100-", 416, b""),
        ("bytes=9-0", 200, bytes(range(100))),
        ("lines=0-9", 200, bytes(range(100))),
        ("bytes=0-1,3-4", 200, bytes(range(100))),
        ("bytes=0-" + "9" * 40, 200, bytes(range(100))),
    ):
        answer = await alice.request("GET", f"{AUTHED}/download/{where}", None, {"Range": asked})
        assert (answer.status, answer.body) == (status, body), asked
        if status == 206:
            assert answer.headers["content-range"].endswith("/100")


async def test_a_limit_and_a_file_that_comes_late(tmp_path: Path) -> None:
    """Above the limit 413; a download waits for its upload as long as it says."""
    server = await Server.start(test_config(tmp_path, media=Media(max_upload_bytes=1000)))
    alice = await server.register("alice")
    for body in (b"x" * 1001, [b"x" * 600, b"x" * 600]):
        (await alice.request("POST", f"{MEDIA}/upload", body)).error(413, "M_TOO_LARGE")
    await upload(alice, b"x" * 1000)
    uri = (await alice.post("/_matrix/media/v1/create")).ok()["content_uri"].removeprefix("mxc://")
    waiting = asyncio.create_task(alice.get(f"{AUTHED}/download/{uri}?timeout_ms=20000"))
    for _ in range(20):
        await asyncio.sleep(0)
    (await alice.request("PUT", f"{MEDIA}/upload/{uri}", b'"here"')).ok()
    assert (await waiting).body == b'"here"'
    await server.stop()
