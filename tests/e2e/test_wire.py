"""What strangers may send down a socket: the server answers with an error or hangs up, soon, and goes on."""

import random
import socket
from collections.abc import Iterator

import pytest

from tests.support.process import Process

PATIENCE = 60.0
GOOD = b"GET /_matrix/client/versions HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /_matrix/client/v3/login HTTP/1.1\r\nHost: a\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One server for all of these."""
    with Process(tmp_path_factory.mktemp("wire"), "--set", "rate_limits.enabled=false") as process:
        yield process
        assert process.stop() == 0


def exchange(server: Process, *pieces: bytes, hang_up: bool = True) -> bytes:
    """All that the server answers until it closes; with `hang_up` the client ends its side after sending."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        answer = b""
        try:
            for piece in pieces:
                connection.sendall(piece)
            if hang_up:
                connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65536):
                answer += chunk
        except (BrokenPipeError, ConnectionResetError):
            # It hung up in the middle.
            pass
        return answer


def status(answer: bytes) -> int:
    """The status of the first answer; 0 where the server only hung up."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else 0


def goes_on(server: Process) -> None:
    """The server serves the next client."""
    assert server.call("GET", "/_matrix/client/versions")[0] == 200


NONSENSE = {
    "nothing": b"",
    "noise": bytes(range(256)) * 10,
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "new version": b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
    "a space in the path": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "null in a header": b"GET / HTTP/1.1\r\nHost: a\x00b\r\n\r\n",
    "header without a colon": b"GET / HTTP/1.1\r\nHost\r\n\r\n",
    "folded header": b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 50_000 + b"\r\n",
    "a long header": b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n",
    "a long path": b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "a header that never ends": b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 1_000_000,
    "negative length": POST + b"Content-Length: -5\r\n\r\nhello",
    "length that is no number": POST + b"Content-Length: five\r\n\r\nhello",
    "huge length": POST + b"Content-Length: 99999999999999999999999\r\n\r\nhello",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "length and chunks": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunk without a size": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
    "chunk of a huge size": POST + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n",
    "unknown encoding": POST + b"Transfer-Encoding: gzip\r\n\r\nhello",
    "too short a body": POST + b"Content-Length: 100\r\n\r\n{}",
    "method in small letters": b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
    "unknown method": b"FLY / HTTP/1.1\r\nHost: a\r\n\r\n",
    "connect": b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    "trace": b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
    "an upgrade": b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_refused(server: Process, name: str) -> None:
    """No server error, no hang, no success."""
    answer = exchange(server, NONSENSE[name])

    assert status(answer) == 0 or 400 <= status(answer) < 500 or status(answer) in (501, 505), answer[:300]
    goes_on(server)


def test_noise_of_many_kinds_is_refused(server: Process) -> None:
    """A good request with bytes changed, cut out and doubled."""
    rnd = random.Random(5)
    body = b'{"type":"m.login.password"}'
    whole = POST + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    for _ in range(200):
        spoiled = bytearray(whole)
        for _ in range(rnd.randint(1, 4)):
            place = rnd.randrange(len(spoiled))
            spoiled[place : place + rnd.randint(0, 2)] = rnd.randbytes(rnd.randint(0, 3))
        answer = exchange(server, bytes(spoiled))
        assert status(answer) < 500 or status(answer) in (501, 505), (bytes(spoiled), answer[:300])
    goes_on(server)


def test_requests_one_after_another_are_answered_in_order(server: Process) -> None:
    """Sent at once on one connection, in pieces of any size."""
    unknown = b"GET /unknown HTTP/1.1\r\nHost: a\r\n\r\n"
    last = GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    sent = GOOD + unknown + GOOD + unknown + last
    for size in (len(sent), 1, 7, 64):
        pieces = [sent[at : at + size] for at in range(0, len(sent), size)]
        answer = exchange(server, *pieces, hang_up=False)
        found = [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]
        assert found == [200, 404, 200, 404, 200]


def test_a_body_in_chunks_is_read(server: Process) -> None:
    """As clients send what they do not know the length of; also after being told to go on."""
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (b'{"type"', b':"m.no', b'thing"}'))
    asked = POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n"
    for more in (b"", b"Expect: 100-continue\r\n"):
        answer = exchange(server, asked + more + b"\r\n", chunks + b"0\r\n\r\n", hang_up=False)
        final = answer.split(b"HTTP/1.1 100 Continue\r\n\r\n")[-1]
        assert status(final) == 400
        assert b"M_UNKNOWN" in final or b"M_INVALID_PARAM" in final


def test_answers_to_head_have_no_body(server: Process) -> None:
    """Headers alone, then the next answer."""
    head = b"HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n"
    answer = exchange(
        server, head + GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), hang_up=False
    )
    first, _, rest = answer.partition(b"\r\n\r\n")

    assert first.startswith(b"HTTP/1.1 200")
    assert rest.startswith(b"HTTP/1.1 200")
