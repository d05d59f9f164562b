"""The world of a server that knows no other."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from chamberlain.accounts.identity_servers import IdentityServers
from chamberlain.federation.client import FederationClient
from chamberlain.federation.handshakes import Handshakes
from chamberlain.federation.large_answers import LargeAnswers
from chamberlain.federation.policy_servers import AskedPolicyServers
from chamberlain.federation.remote_profiles import RemoteProfiles
from chamberlain.federation.remote_rooms import RemoteRooms
from chamberlain.federation.remote_servers import RemoteServers
from chamberlain.federation.transport import StreamedAnswer
from chamberlain.matrix.remote_errors import Unreachable
from chamberlain.matrix.server_keys import PublishedKey
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.http_client import AddressRules, HttpClient
from chamberlain.runtime.tasks import Tasks


class NoKeys:
    """No server has keys."""

    async def find_keys(
        self, wanted: Collection[tuple[str, str]], valid_at: int
    ) -> dict[tuple[str, str], PublishedKey]:
        """None."""
        return {}


class NoClient(FederationClient):
    """Reaches nobody."""

    def __init__(self) -> None:
        pass

    async def request(
        self, destination: str, method: str, target: str, body: Any = None, **how: Any
    ) -> bytes:
        """Raise Unreachable."""
        raise Unreachable(destination, "there is nobody")

    async def stream(self, destination: str, target: str, **how: Any) -> StreamedAnswer:
        """Raise Unreachable."""
        raise Unreachable(destination, "there is nobody")


def no_servers() -> RemoteServers:
    """Other servers, none of which answers."""
    return RemoteServers(NoClient(), LargeAnswers(NoClient(), Path()))


def no_rooms() -> RemoteRooms:
    """Of rooms nobody knows more than this server."""
    return RemoteRooms(Clock(), Tasks(), NoClient())


def no_profiles() -> RemoteProfiles:
    """Users elsewhere have no profiles."""
    return RemoteProfiles(Clock(), Tasks(), NoClient())


def no_handshakes() -> Handshakes:
    """Handshakes, none of which comes to anything."""
    return Handshakes(NoClient(), LargeAnswers(NoClient(), Path()))


def no_identity_servers() -> IdentityServers:
    """Identity servers, none of which may be called."""
    return IdentityServers(HttpClient(AddressRules(("0.0.0.0/0", "::/0"), ())))


def no_policy_servers() -> AskedPolicyServers:
    """Policy servers, none of which answers."""
    return AskedPolicyServers(NoClient(), Clock())
