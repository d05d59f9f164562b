"""What servers tell of themselves and of each other over TLS: keys, version, who a user is."""

import ssl
import time
import urllib.request
from typing import Any

import orjson
import pytest

from chamberlain.matrix.server_keys import parse_server_keys
from chamberlain.matrix.signing import verify_json
from tests.e2e.synapse.conftest import newcomer
from tests.support.authority import Authority
from tests.support.neighbors import PATIENCE, Neighbor
from tests.support.server import path


@pytest.fixture
def trust(authority: Authority) -> ssl.SSLContext:
    """Who trusts the authority of both servers."""
    return ssl.create_default_context(cafile=str(authority.certificate))


def ask(trust: ssl.SSLContext, server: Neighbor, target: str) -> Any:
    """The JSON that a server answers to other servers, without a signature of theirs."""
    with urllib.request.urlopen(f"https://{server.name}{target}", context=trust, timeout=PATIENCE) as answer:
        return orjson.loads(answer.read())


async def test_each_vouches_for_the_keys_of_the_other(
    pair: tuple[Neighbor, Neighbor], trust: ssl.SSLContext
) -> None:
    """A notary answers with the other server's keys, as these signed them, and signs them itself."""
    notary, server = pair
    # A notary that has never heard of the server needs no key of it.
    user = await newcomer(server, "ned")
    (await user.get(path("profile", f"@nobody:{notary.name}"))).error(404, "M_NOT_FOUND")
    now = int(time.time() * 1000)
    published = ask(trust, server, "/_matrix/key/v2/server")
    keys = parse_server_keys(published, server.name, now)
    assert keys
    own = parse_server_keys(ask(trust, notary, "/_matrix/key/v2/server"), notary.name, now)

    told = ask(trust, notary, f"/_matrix/key/v2/query/{path(server.name)}")
    (answer,) = told["server_keys"]
    assert parse_server_keys(answer, server.name, now).keys() == keys.keys()
    assert all(verify_json(answer, notary.name, key.key) for key in own.values())


async def test_a_user_proves_who_they_are(pair: tuple[Neighbor, Neighbor], trust: ssl.SSLContext) -> None:
    """A token for somebody else, shown to the user's server, gives the user's name."""
    user = await newcomer(pair[0], "ida")
    token = (await user.post(path("user", user.user_id, "openid", "request_token"))).ok()
    assert token["matrix_server_name"] == pair[0].name
    target = f"/_matrix/federation/v1/openid/userinfo?access_token={token['access_token']}"
    assert ask(trust, pair[0], target) == {"sub": user.user_id}


async def test_what_a_server_is(pair: tuple[Neighbor, Neighbor], trust: ssl.SSLContext) -> None:
    """Its name and its version."""
    told = ask(trust, pair[0], "/_matrix/federation/v1/version")
    assert told["server"]["name"].lower() in ("chamberlain", "synapse")
    assert told["server"]["version"]
