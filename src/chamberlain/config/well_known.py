"""`[well_known]`: what `/.well-known/matrix/…` says."""

from chamberlain.config.section import Section


class Contact(Section, frozen=True, kw_only=True):
    """Someone who answers for this server. Repeat `[[well_known.contacts]]` for several."""

    role: str = "m.role.admin"
    """`m.role.admin` or `m.role.security`."""
    matrix_id: str = ""
    """The person's Matrix id."""
    email_address: str = ""
    """The person's e-mail address."""


class WellKnown(Section, frozen=True, kw_only=True):
    """Delegation. The client document names `base_url`."""

    server: str = ""
    """Where other homeservers find this one, as `matrix.example.org:443`. Empty: `/.well-known/matrix/server`
    answers 404."""
    policy_server_key: str = ""
    """The ed25519 public key, in unpadded base64, of a policy server that has this server's name, for the clients of
    room administrators. Empty: `/.well-known/matrix/policy_server` answers 404."""
    contacts: tuple[Contact, ...] = ()
    """Whom to write to about this server (`/.well-known/matrix/support`)."""
    support_page: str = ""
    """A page with help (`/.well-known/matrix/support`)."""
