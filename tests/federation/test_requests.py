"""Servers know each other by their signatures."""

import pytest

from chamberlain.federation.request_signing import parse_authorization
from chamberlain.matrix.errors import MatrixError
from chamberlain.matrix.remote_errors import Refused, Unreachable
from tests.support.server import Server
from tests.support.wire import Wire


async def test_a_server_finds_the_key_of_another(near: Server, far: Server) -> None:
    """The key that signs is the one that is published."""
    theirs = far.app.services.federation.remotes.signing_key

    found = await near.app.services.federation.remotes.key_ring.find_key("far.test", theirs.key_id)

    assert found is not None and found.to_base64() == theirs.verify_key().to_base64()


async def test_a_signed_request_says_who_makes_it(near: Server, far: Server) -> None:
    """The header that one server makes is verified by the other."""
    from chamberlain.federation.request_signing import authorize

    key = near.app.services.federation.remotes.signing_key
    header = authorize(key, "near.test", "far.test", "PUT", "/_matrix/federation/v1/send/1", b'{"a":1}')
    verify = far.app.services.federation.remotes.signed_requests.verify

    assert await verify("PUT", "/_matrix/federation/v1/send/1", header, b'{"a":1}') == "near.test"
    assert await verify("PUT", "/_matrix/federation/v1/send/1", header, b'{ "a": 1 }') == "near.test"
    with pytest.raises(MatrixError, match="M_BAD_JSON"):
        await verify("PUT", "/_matrix/federation/v1/send/1", header, b'{"a":"\xff"}')
    with pytest.raises(MatrixError, match="M_BAD_JSON"):
        await verify("PUT", "/_matrix/federation/v1/send/1", header, b"no json")
    with pytest.raises(MatrixError, match="M_UNAUTHORIZED"):
        await verify("PUT", "/_matrix/federation/v1/send/1", header, b'{"a":2}')
    with pytest.raises(MatrixError, match="M_UNAUTHORIZED"):
        await verify("PUT", "/_matrix/federation/v1/send/2", header, b'{"a":1}')


async def test_a_cut_wire_lets_nothing_pass(wire: Wire, near: Server, far: Server) -> None:
    """A server that cannot be reached is told apart from one that refuses."""
    client = near.app.services.federation.remotes.client
    assert b"chamberlain" in await client.get("far.test", "/_matrix/federation/v1/version")
    with pytest.raises(Refused):
        await client.get("far.test", "/_matrix/federation/v1/nothing")

    wire.part("far.test")

    with pytest.raises(Unreachable):
        await client.get("far.test", "/_matrix/federation/v1/version")


async def test_an_answer_can_be_read_as_it_comes(wire: Wire, near: Server, far: Server) -> None:
    """The head comes first, then the chunks; refusals and broken wires are told as for whole answers."""
    client = near.app.services.federation.remotes.client

    answer = await client.stream("far.test", "/_matrix/federation/v1/version")

    assert answer.headers["content-type"] == "application/json"
    assert b"chamberlain" in b"".join([chunk async for chunk in answer.chunks])
    with pytest.raises(Refused) as refusal:
        await client.stream("far.test", "/_matrix/federation/v1/nothing")
    assert refusal.value.code == "M_UNRECOGNIZED"
    wire.part("far.test")
    with pytest.raises(Unreachable):
        await client.stream("far.test", "/_matrix/federation/v1/version")


async def test_bodies_of_any_numbers_and_spelling_are_verified(near: Server, far: Server) -> None:
    """Floats and huge integers too, as the events of old rooms have; the order of keys does not matter."""
    from chamberlain.federation.request_signing import authorize
    from chamberlain.matrix import canonical_json

    key = near.app.services.federation.remotes.signing_key
    verify = far.app.services.federation.remotes.signed_requests.verify
    for body in (b'{"b":1.5,"a":[1e20,-0.0]}', b'{"b":36893488147419103232}', b'{"b": "\\u00e9", "a":{}}'):
        signed = canonical_json.encode_lenient(canonical_json.decode_lenient(body))
        header = authorize(key, "near.test", "far.test", "PUT", "/x", signed)
        assert await verify("PUT", "/x", header, body) == "near.test"


@pytest.mark.parametrize(
    "header",
    [
        'X-Matrix origin="a.test",destination="b.test",key="ed25519:1",sig="x+/"',
        "X-Matrix origin=a.test,destination=b.test,key=ed25519:1,sig=x+/",
        'x-matrix   SIG="x+/" ,\torigin=a.test , key="ed\\25519\\:1",destination="b.test",more="a,b"',
    ],
)
def test_the_header_is_spelled_in_many_ways(header: str) -> None:
    """Quoted or not, in any order, with spaces around commas."""
    found = parse_authorization(header)

    wanted = {"origin": "a.test", "destination": "b.test", "key": "ed25519:1", "sig": "x+/"}
    assert {name: found.get(name) for name in wanted} == wanted
