"""Files and thumbnails from server to server, as users see them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from email import message_from_bytes
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from chamberlain.config.media import Media
from chamberlain.config.outbound import Outbound
from chamberlain.federation import remote_media
from chamberlain.federation.request_signing import authorize
from chamberlain.federation.transport import StreamedAnswer, TransportAnswer
from chamberlain.matrix.remote_errors import Unreachable
from chamberlain.media.multipart import Multipart
from chamberlain.runtime.rng import Rng
from chamberlain.store import media as media_rows
from tests.api.media.images import image, look_at
from tests.support.asgi import Answer, call
from tests.support.remote import serve
from tests.support.server import Client, Server
from tests.support.wire import AnyAnswer, Wire

OLD, NEW = "/_matrix/media/v3", "/_matrix/client/v1/media"
FEDERATION = "/_matrix/federation/v1/media"
TEXT = {"Content-Type": "text/plain"}
WHERE = "peer.test/abc"
"""A file of a hand-made server."""


async def upload(user: Client, data: bytes, kind: str = "text/plain", name: str = "a file.txt") -> str:
    """Upload a file and give `server/media_id`."""
    target = f"{OLD}/upload?filename={name.replace(' ', '+')}"
    answer = await user.request("POST", target, data, {"Content-Type": kind})
    return str(answer.ok()["content_uri"]).removeprefix("mxc://")


async def get(user: Client, where: str) -> Answer:
    """Download."""
    return await user.get(f"{NEW}/download/{where}")


def asked(wire: Wire) -> list[str]:
    """The paths of media that were asked for on the wire."""
    return [passed.target.partition("?")[0] for passed in wire.passed if "/media/" in passed.target]


def kept(server: Server) -> list[Path]:
    """The files in the media folder."""
    return [found for found in server.app.services.config.media_path.rglob("*") if found.is_file()]


def multipart(content: bytes, kind: str = "text/plain", disposition: str = "inline") -> TransportAnswer:
    """What a server answers that has the file."""
    envelope = Multipart(Rng()).envelope(kind, disposition)
    return TransportAnswer(
        200, {"content-type": envelope.content_type}, envelope.head + content + envelope.tail
    )


def peer(wire: Wire, *answers: AnyAnswer) -> list[str]:
    """A hand-made server `peer.test` that gives these answers, one after the other; what it is asked for."""
    left, targets = list(answers), []

    async def handle(method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> AnyAnswer:
        targets.append(target)
        return left.pop(0)

    wire.peers["peer.test"] = handle
    return targets


async def test_users_see_the_files_of_other_servers(
    wire: Wire, near: Server, far: Server, alice: Client, bob: Client
) -> None:
    """Both ways, by every path, with type and name; each file is asked for once."""
    data = bytes(range(256)) * 20_000
    of_bob, of_alice = (
        await upload(bob, data, "image/png", "a b.png"),
        await upload(alice, b"", "text/html", "ä"),
    )

    for answer in (
        await get(alice, of_bob),
        await near.anonymous.get(f"{OLD}/download/{of_bob}"),
        await alice.request("GET", f"{NEW}/download/{of_bob}", headers={"Range": "bytes=0-9"}),
    ):
        assert answer.body == (data if answer.status == 200 else data[:10])
        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["content-disposition"] == 'inline; filename="a b.png"'
        assert answer.headers["content-security-policy"].startswith("sandbox;")
    named = await get(alice, f"{of_bob}/other.png")
    assert named.headers["content-disposition"] == 'inline; filename="other.png"'
    empty = await get(bob, of_alice)
    assert (empty.status, empty.body) == (200, b"")
    assert empty.headers["content-disposition"] == "attachment; filename*=utf-8''%C3%A4"
    assert asked(wire) == [f"{FEDERATION}/download/{where.partition('/')[2]}" for where in (of_bob, of_alice)]


async def test_thumbnails_are_made_of_what_was_fetched(
    wire: Wire, near: Server, alice: Client, bob: Client
) -> None:
    """The original is asked for once; what is no image has no thumbnail here either."""
    where = await upload(bob, image(800, 600), "image/png", "p.png")

    for prefix in (NEW, OLD):
        answer = await alice.get(f"{prefix}/thumbnail/{where}?width=96&height=96&method=crop")
        assert answer.status == 200 and look_at(answer.body)[1:3] == (96, 96)
    assert (await get(alice, where)).status == 200
    assert len(asked(wire)) == 1
    text = await upload(bob, b"text")
    (await alice.get(f"{NEW}/thumbnail/{text}?width=96&height=96")).error(400, "M_UNKNOWN")


async def test_a_fetched_file_outlives_its_server(
    wire: Wire, near: Server, alice: Client, bob: Client, tmp_path: Path
) -> None:
    """It is kept over a restart; only if its bytes are lost it is asked for again."""
    where = await upload(bob, b"kept")
    assert (await get(alice, where)).body == b"kept"
    wire.part("far.test")
    await near.stop()

    again = await wire.add("near.test", tmp_path)
    alice = await again.login("alice")

    assert (await get(alice, where)).body == b"kept"
    for file in kept(again):
        file.unlink()
    (await get(alice, where)).error(502, "M_UNKNOWN")


async def test_lost_bytes_are_fetched_again(near: Server, alice: Client, bob: Client) -> None:
    """A media folder that was emptied fills again."""
    where = await upload(bob, b"again")
    await get(alice, where)
    for file in kept(near):
        file.unlink()

    assert (await get(alice, where)).body == b"again"


async def test_many_who_want_the_same_file_fetch_it_once(
    wire: Wire, near: Server, alice: Client, bob: Client
) -> None:
    """They wait for the first, and all get it, whether or not the first one is still there."""
    where = await upload(bob, b"x" * 3_000_000)

    answers = await asyncio.gather(*(get(alice, where) for _ in range(20)))

    assert [len(answer.body) for answer in answers] == [3_000_000] * 20
    assert len(asked(wire)) == 1


async def test_equal_bytes_are_kept_once(near: Server, alice: Client, bob: Client) -> None:
    """An upload and a fetched file share them, and each outlives the other."""
    own, other = await upload(alice, b"same"), await upload(bob, b"same")
    await get(alice, other)
    assert len(kept(near)) == 1
    media = near.app.services.media

    await media.files.delete([own.partition("/")[2]])
    assert (await get(alice, other)).body == b"same"
    assert await media.remote_files.forget_unread(near.app.services.clock.now() + 1) == 1
    assert kept(near) == []


async def test_what_a_server_does_not_give(
    wire: Wire, far: Server, near: Server, alice: Client, bob: Client
) -> None:
    """Unknown, quarantined, not yet uploaded, unreachable: each has its error, and nothing is kept."""
    (await get(alice, "far.test/unknown")).error(404, "M_NOT_FOUND")
    where = await upload(bob, b"bad")
    media_id = where.partition("/")[2]
    row = await far.app.services.db.read(media_rows.find, media_id)
    assert row is not None
    await far.app.services.db.write(media_rows.delete_many, [media_id])
    await far.app.services.db.write(
        media_rows.add, msgspec.structs.replace(row, quarantined_by="@root:far.test")
    )
    (await get(alice, where)).error(404, "M_NOT_FOUND")
    waiting = str((await bob.post("/_matrix/media/v1/create")).ok()["content_uri"]).removeprefix("mxc://")
    (await get(alice, f"{waiting}?timeout_ms=1")).error(504, "M_NOT_YET_UPLOADED")
    assert "timeout_ms=1" in wire.passed[-1].target
    (await get(alice, "nobody.test/abc")).error(502, "M_UNKNOWN")
    (await get(alice, "peer.test:0x/abc")).error(404, "M_NOT_FOUND")
    assert kept(near) == []
    (await bob.request("PUT", f"{OLD}/upload/{waiting}", b"late", TEXT)).ok()
    assert (await get(alice, waiting)).body == b"late"


async def test_a_file_that_is_uploaded_meanwhile_is_waited_for(
    near: Server, alice: Client, bob: Client
) -> None:
    """The download ends when the upload does."""
    where = str((await bob.post("/_matrix/media/v1/create")).ok()["content_uri"]).removeprefix("mxc://")

    download = asyncio.ensure_future(get(alice, f"{where}?timeout_ms=20000"))
    (await bob.request("PUT", f"{OLD}/upload/{where}", b"late", TEXT)).ok()

    assert (await download).body == b"late"


async def test_strangers_fetch_nothing_where_the_old_paths_are_frozen(
    wire: Wire, tmp_path: Path, bob: Client
) -> None:
    """Neither what is here nor what is not; and nobody where remote files are not wanted."""
    near = await wire.add("near.test", tmp_path, media=Media(unauthenticated=False))
    alice = await near.register("alice")
    where = await upload(bob, b"x")

    (await alice.get(f"{OLD}/download/{where}?allow_remote=false")).error(404, "M_NOT_FOUND")
    (await near.anonymous.get(f"{OLD}/download/{where}")).error(404, "M_NOT_FOUND")
    assert asked(wire) == []
    assert (await get(alice, where)).status == 200
    (await near.anonymous.get(f"{OLD}/download/{where}")).error(404, "M_NOT_FOUND")


async def test_servers_get_two_parts(near: Server, far: Server, bob: Client) -> None:
    """Metadata and file, for signed requests alone; thumbnails and originals."""
    media_id = (await upload(bob, image(100, 100), "image/png", "p.png")).partition("/")[2]
    key = near.app.services.federation.remotes.signing_key

    async def ask(target: str) -> tuple[Any, Any]:
        headers = {"Authorization": authorize(key, "near.test", "far.test", "GET", target, None)}
        answer = await call(far.app.asgi, "GET", target, headers)
        assert answer.status == 200, answer.body
        whole = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode() + answer.body
        parsed = message_from_bytes(whole)
        assert parsed.get_content_type() == "multipart/mixed"
        metadata, file = parsed.get_payload()
        return metadata, file

    metadata, file = await ask(f"{FEDERATION}/download/{media_id}")
    assert metadata.get_content_type() == "application/json" and metadata.get_payload() == "{}"
    assert (file.get_content_type(), file.get_filename()) == ("image/png", "p.png")
    _, small = await ask(f"{FEDERATION}/thumbnail/{media_id}?width=32&height=32&method=crop")
    assert (small.get_content_type(), small.get_filename()) == ("image/jpeg", "thumbnail.jpeg")
    _, whole = await ask(f"{FEDERATION}/thumbnail/{media_id}?width=2000&height=2000")
    assert whole.get_filename() == "p.png"
    unsigned = await call(far.app.asgi, "GET", f"{FEDERATION}/download/{media_id}")
    unsigned.error(401, "M_UNAUTHORIZED")


async def test_servers_that_know_the_old_path_alone(wire: Wire, near: Server, alice: Client) -> None:
    """They are asked by it, and told not to ask others."""
    targets = peer(
        wire,
        TransportAnswer(404, {}, b'{"errcode":"M_UNRECOGNIZED"}'),
        TransportAnswer(
            200, {"content-type": "image/png", "content-disposition": 'inline; filename="\tx.png"'}, b"old"
        ),
        TransportAnswer(404, {}, b"no such page"),
        TransportAnswer(404, {}, b'{"errcode":"M_NOT_FOUND"}'),
    )

    answer = await get(alice, WHERE)

    assert (answer.body, answer.headers["content-type"]) == (b"old", "image/png")
    assert answer.headers["content-disposition"] == 'inline; filename="x.png"'
    assert targets[1] == f"{OLD}/download/{WHERE}?allow_remote=false&timeout_ms=20000"
    (await get(alice, "peer.test/other")).error(404, "M_NOT_FOUND")
    assert len(targets) == 4


async def test_files_over_the_limit_leave_nothing_behind(wire: Wire, tmp_path: Path) -> None:
    """Neither here, nor does the rest of them come in."""
    near = await wire.add("near.test", tmp_path, media=Media(max_remote_bytes=1_000_000))
    alice = await near.register("alice")
    sent, closed = 0, 0
    envelope = Multipart(Rng()).envelope("text/plain", "inline")

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield envelope.head
        while True:
            sent += 1
            yield b"x" * 10_000

    async def close() -> None:
        nonlocal closed
        closed += 1

    peer(
        wire,
        StreamedAnswer(200, {"content-type": envelope.content_type}, endless(), close),
        multipart(b"x" * 1_000_000),
        TransportAnswer(502, {}, b'{"errcode":"M_TOO_LARGE"}'),
    )

    (await get(alice, WHERE)).error(502, "M_TOO_LARGE")
    assert sent < 110 and closed == 1 and kept(near) == []
    assert (await get(alice, WHERE)).status == 200
    (await get(alice, "peer.test/other")).error(502, "M_TOO_LARGE")


async def test_bad_answers_leave_nothing_behind(wire: Wire, near: Server, alice: Client) -> None:
    """Whatever a server answers, its users' files are missing, and that is all."""
    good = multipart(b"x" * 50_000)
    lying = good.headers["content-type"].replace("boundary=", "boundary=no")

    async def broken() -> AsyncIterator[bytes]:
        yield good.body[:20_000]
        raise Unreachable("peer.test", "the connection broke")

    async def close() -> None:
        pass

    bad: list[AnyAnswer] = [
        TransportAnswer(200, {}, b""),
        TransportAnswer(200, {"content-type": "text/plain"}, b"x"),
        TransportAnswer(200, {"content-type": lying}, good.body),
        TransportAnswer(200, good.headers, good.body[:-40]),
        TransportAnswer(200, good.headers, b"x" * 10_000_000),
        StreamedAnswer(200, good.headers, broken(), close),
        TransportAnswer(307, {"location": "https://example.org/"}, b""),
        TransportAnswer(400, {}, b'{"errcode":"M_FORBIDDEN"}'),
        TransportAnswer(401, {}, b'{"errcode":"M_UNKNOWN_TOKEN"}'),
        TransportAnswer(200, good.headers, good.body.replace(b"Content-Disposition", b"Location")),
    ]
    peer(wire, *bad)
    for _ in bad:
        answer = await get(alice, WHERE)
        assert answer.status == 502 and answer.json["errcode"] in ("M_UNKNOWN", "M_TOO_LARGE"), answer
    assert kept(near) == []


async def test_odd_types_and_names_are_made_harmless(wire: Wire, near: Server, alice: Client) -> None:
    """What another server says of a file cannot break our headers or our database."""
    for place, (kind, disposition, expected_kind, expected) in enumerate(
        (
            ("", "inline", "application/octet-stream", "attachment"),
            ("a" * 300, "inline", "application/octet-stream", "attachment"),
            ("text/html", 'inline; filename="x.html"', "text/html", 'attachment; filename="x.html"'),
            ("text/plain", "inline; filename*=utf-8''a%00%0Ab", "text/plain", 'inline; filename="a__b"'),
            ("text/plain", f"inline; filename={'n' * 999}", "text/plain", f'inline; filename="{"n" * 255}"'),
        )
    ):
        peer(wire, multipart(b"x", kind, disposition))
        answer = await get(alice, f"peer.test/m{place}")
        assert answer.headers["content-type"] == expected_kind
        assert answer.headers["content-disposition"] == expected


async def test_a_slow_server_is_given_up(
    wire: Wire, near: Server, alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that stops in the midst of a file, and one that does not begin."""
    monkeypatch.setattr(remote_media, "IDLE_S", 0.05)
    monkeypatch.setattr(remote_media, "HEAD_S", 0.05)
    closed = 0

    async def stalling() -> AsyncIterator[bytes]:
        yield multipart(b"").body[:30]
        await asyncio.Event().wait()

    async def close() -> None:
        nonlocal closed
        closed += 1

    peer(wire, StreamedAnswer(200, multipart(b"").headers, stalling(), close))
    (await get(alice, WHERE)).error(502, "M_UNKNOWN")
    assert closed == 1

    async def silent(*_: Any) -> AnyAnswer:
        await asyncio.Event().wait()
        raise AssertionError

    wire.peers["peer.test"] = silent
    (await get(alice, f"{WHERE}?timeout_ms=0")).error(502, "M_UNKNOWN")


async def test_a_redirect_is_followed_where_calls_may_go(wire: Wire, tmp_path: Path) -> None:
    """The file comes from elsewhere; never from a closed network, however the way there leads."""

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        if request.path == "/twice":
            raise web.HTTPFound("/file")
        if request.path != "/file":
            raise web.HTTPNotFound
        assert "authorization" not in request.headers
        disposition = {"Content-Disposition": 'inline; filename="cdn.txt"'}
        return web.Response(body=b"from elsewhere", content_type="text/plain", headers=disposition)

    def redirect(url: str) -> TransportAnswer:
        found = multipart(b"")
        body = found.body.replace(b"Content-Disposition: inline", f"Location: {url}".encode())
        return TransportAnswer(200, found.headers, body)

    near = await wire.add("near.test", tmp_path, outbound=Outbound(allowed_addresses=("127.0.0.0/8",)))
    closed = await wire.add("closed.test", tmp_path)
    async with serve(elsewhere) as port:
        for media_id, path, server, status in (
            ("m1", "/twice", near, 200),
            ("m2", "/missing", near, 502),
            ("m3", "/file", closed, 502),
        ):
            peer(wire, redirect(f"http://127.0.0.1:{port}{path}"))
            answer = await server.anonymous.get(f"{OLD}/download/peer.test/{media_id}")
            assert answer.status == status, answer
            if status == 200:
                assert answer.body == b"from elsewhere"
                assert answer.headers["content-disposition"] == 'inline; filename="cdn.txt"'
        peer(wire, redirect("file:///etc/passwd"))
        (await near.anonymous.get(f"{OLD}/download/{WHERE}")).error(502, "M_UNKNOWN")
