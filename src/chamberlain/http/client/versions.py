"""`GET /_matrix/client/versions`: which specification this server speaks (client-server API, 2.6)."""

from functools import cache

from chamberlain.http import registry
from chamberlain.http.endpoint import Auth, Context, Limit, Response, endpoint

SPEC_VERSIONS = tuple(f"v1.{minor}" for minor in range(1, 20))

FEATURE_PATHS = {
    "org.matrix.simplified_msc3575": "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync",
    "org.matrix.msc3814": "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device",
    "org.matrix.msc4140": "/_matrix/client/unstable/org.matrix.msc4140/delayed_events",
}
"""Unstable features, each with the endpoint that it stands for: advertised where that is served."""

WORKING_FEATURES = ("org.matrix.e2e_cross_signing", "org.matrix.msc2285.stable", "org.matrix.msc3440.stable")
"""Features that clients still ask for by their old names, though they are in the specification."""


class Versions(Response):
    """What a client learns first."""

    versions: tuple[str, ...]
    unstable_features: dict[str, bool]


@endpoint("GET", "/_matrix/client/versions", auth=Auth.NONE, limit=Limit.NONE)
async def get_versions(ctx: Context) -> Versions:
    """List the versions of the specification and the unstable features that this server supports."""
    return _versions()


@cache
def _versions() -> Versions:
    paths = {path for record in registry.load() for path in (record.path, *record.aliases)}
    served = {feature: True for feature, path in FEATURE_PATHS.items() if path in paths}
    return Versions(SPEC_VERSIONS, dict.fromkeys(WORKING_FEATURES, True) | served)
