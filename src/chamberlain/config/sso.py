"""`[sso]`: logging in with an account of somewhere else."""

from chamberlain.config.section import Section


class Cas(Section, frozen=True, kw_only=True):
    """A CAS server."""

    server_url: str = ""
    """The CAS server's URL, as `https://sso.example.org/cas`. Empty: no CAS."""
    name: str = "Single sign-on"
    """What the button in clients says."""
    localpart_attribute: str = ""
    """The CAS attribute that becomes the localpart. Empty: the CAS user name."""
    display_name_attribute: str = ""
    """The CAS attribute that becomes a new account's display name."""


class Oidc(Section, frozen=True, kw_only=True):
    """One OpenID Connect provider. Repeat `[[sso.oidc]]` for several."""

    id: str
    """A short name of your own for the provider; it must stay the same."""
    issuer: str
    """The provider's issuer URL; its endpoints are discovered there."""
    client_id: str
    """The client id that the provider gave this server."""
    client_secret: str = ""
    """The secret that goes with it."""
    client_secret_file: str = ""
    """Read `client_secret` from this file."""
    name: str = "Single sign-on"
    """What the button in clients says."""
    scopes: tuple[str, ...] = ("openid", "profile")
    """What is asked of the provider."""
    localpart_claim: str = "preferred_username"
    """The claim that becomes the localpart of a new account."""
    display_name_claim: str = "name"
    """The claim that becomes the display name of a new account."""


class Sso(Section, frozen=True, kw_only=True):
    """Single sign-on."""

    cas: Cas = Cas()
    oidc: tuple[Oidc, ...] = ()
    """OpenID Connect providers."""
    redirect_allow: tuple[str, ...] = ()
    """Clients whose URL begins with one of these get the login token without asking the person first."""
