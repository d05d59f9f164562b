"""`[outbound]`: requests that the server makes to addresses that others chose."""

from chamberlain.config.section import Section

PRIVATE_NETWORKS = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "64:ff9b::/96",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "2001:db8::/32",
    "ff00::/8",
)
"""Networks that lead inside: no address of them is called unless `allowed_addresses` says so."""


class Outbound(Section, frozen=True, kw_only=True):
    """Captcha checks, federation, URL previews, push gateways, webhooks: what may be called, redirects included."""

    blocked_addresses: tuple[str, ...] = PRIVATE_NETWORKS
    """Networks that are never called, whichever name leads there."""
    allowed_addresses: tuple[str, ...] = ()
    """Networks that are called although they are blocked above."""
    verify_certificates: bool = True
    """Whether TLS certificates are checked for calls that are not federation (which always checks)."""
