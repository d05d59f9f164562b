"""What types cannot say about settings: each problem found, in words and with the setting's name."""

import ssl
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from urllib.parse import urlsplit

from chamberlain.config.config import Config
from chamberlain.config.listeners import Listener
from chamberlain.config.section import ConfigError
from chamberlain.matrix.errors import MatrixError
from chamberlain.matrix.ids import is_valid_localpart, is_valid_server_name
from chamberlain.matrix.policy import KEY_ID
from chamberlain.matrix.signing import VerifyKey
from chamberlain.matrix.versions import get_room_version


def find_problems(config: Config) -> list[ConfigError]:
    """Everything that would keep the server from starting or from being what was meant."""
    return [problem for check in _CHECKS for problem in check(config)]


def _names(config: Config) -> Iterator[ConfigError]:
    if not is_valid_server_name(config.server_name):
        yield ConfigError("server_name", f"{config.server_name!r} is not a host name, as example.org")
    if config.base_url and not _is_http_url(config.base_url):
        yield ConfigError("base_url", "not a URL, as https://matrix.example.org")
    try:
        get_room_version(config.default_room_version)
    except (MatrixError, KeyError, ValueError):
        yield ConfigError("default_room_version", f"there is no room version {config.default_room_version!r}")
    for key, localpart in (
        ("server_notices.localpart", config.server_notices.localpart),
        ("admin.first_admin", config.admin.first_admin),
    ):
        if not is_valid_localpart(localpart):
            yield ConfigError(key, f"{localpart!r} is not a localpart: a-z, 0-9 and . _ = - / + alone")
    if config.server_notices.localpart == config.admin.first_admin:
        yield ConfigError("server_notices.localpart", "is the first administrator's too: choose another")
    if config.well_known.server and not is_valid_server_name(config.well_known.server):
        yield ConfigError("well_known.server", "not a host with a port, as matrix.example.org:443")
    if config.well_known.policy_server_key and not _is_key(config.well_known.policy_server_key):
        yield ConfigError("well_known.policy_server_key", "not an ed25519 public key in base64")


def _listeners(config: Config) -> Iterator[ConfigError]:
    if not config.listeners:
        yield ConfigError("listeners", "at least one is needed")
    seen: set[str] = set()
    for place, listener in enumerate(config.listeners):
        key = f"listeners[{place}]"
        yield from _listener(key, listener)
        if listener.where in seen and (listener.unix_socket or listener.port):
            yield ConfigError(key, f"{listener.where} is there twice")
        seen.add(listener.where)


def _listener(key: str, listener: Listener) -> Iterator[ConfigError]:
    if listener.unix_socket is None and not 0 <= listener.port <= 65535:
        yield ConfigError(f"{key}.port", "not a port: 0 to 65535")
    if (listener.tls_certificate is None) != (listener.tls_key is None):
        yield ConfigError(f"{key}.tls_key", "TLS needs both tls_certificate and tls_key")
    for name in ("tls_certificate", "tls_key"):
        file = getattr(listener, name)
        if file is not None and not file.is_file():
            yield ConfigError(f"{key}.{name}", f"there is no file {file}")
    if not listener.resources:
        yield ConfigError(f"{key}.resources", "nothing would be served here")
    yield from _networks(f"{key}.trusted_proxies", (p for p in listener.trusted_proxies if p != "unix"))


def _storage(config: Config) -> Iterator[ConfigError]:
    url = config.database_url
    if not url.startswith(("sqlite:///", "postgresql://", "postgres://")):
        yield ConfigError("database.url", "must begin with sqlite:/// or postgresql://")
    if config.database.pool_size < 1:
        yield ConfigError("database.pool_size", "at least 1")
    if config.cluster.workers < 1:
        yield ConfigError("cluster.workers", "at least 1")
    if config.cluster.workers > 1 and config.is_sqlite:
        yield ConfigError(
            "cluster.workers",
            "SQLite has one writer, so one worker: move to PostgreSQL (database.url) for several",
        )
    if config.cluster.shared and config.is_sqlite:
        yield ConfigError("cluster.shared", "SQLite cannot be shared by machines: move to PostgreSQL")
    if config.cluster.nats_url and not config.cluster.nats_url.startswith(("nats://", "tls://")):
        yield ConfigError("cluster.nats_url", "must begin with nats:// or tls://")


def _limits(config: Config) -> Iterator[ConfigError]:
    for name in config.rate_limits.__struct_fields__:
        rate = getattr(config.rate_limits, name)
        if not isinstance(rate, bool) and (rate.per_second <= 0 or rate.burst < 1):
            yield ConfigError(f"rate_limits.{name}", "per_second above 0 and burst of at least 1 are needed")
    if config.media.max_upload_bytes < 1:
        yield ConfigError("media.max_upload_bytes", "at least 1")
    if config.media.max_remote_bytes < 1:
        yield ConfigError("media.max_remote_bytes", "at least 1")
    if config.media.remote_cache_days < 0:
        yield ConfigError("media.remote_cache_days", "0 or more")
    if config.sync.max_timeout_ms < 0:
        yield ConfigError("sync.max_timeout_ms", "0 or more")
    if config.sync.keep_changes_days < 1:
        yield ConfigError("sync.keep_changes_days", "at least 1")


def _outside(config: Config) -> Iterator[ConfigError]:
    yield from _networks("outbound.blocked_addresses", config.outbound.blocked_addresses)
    yield from _networks("outbound.allowed_addresses", config.outbound.allowed_addresses)
    for place, file in enumerate(config.federation.ca_files):
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
        except OSError as problem:
            yield ConfigError(f"federation.ca_files[{place}]", f"cannot use {file}: {problem}")
    for place, name in enumerate(config.federation.trusted_key_servers):
        if not is_valid_server_name(name):
            yield ConfigError(f"federation.trusted_key_servers[{place}]", f"{name!r} is no server name")
    for place, file in enumerate(config.appservices.files):
        if not file.is_file():
            yield ConfigError(f"appservices.files[{place}]", f"there is no file {file}")
    if config.smtp.host and not config.smtp.sender:
        yield ConfigError("smtp.sender", "e-mail needs a sender")
    if config.sso.cas.server_url and not _is_http_url(config.sso.cas.server_url):
        yield ConfigError("sso.cas.server_url", "not a URL")
    providers = [provider.id for provider in config.sso.oidc]
    if len(set(providers)) < len(providers):
        yield ConfigError("sso.oidc", "two providers have the same id")
    if config.registration.captcha.site_key and not config.registration.captcha.secret:
        yield ConfigError("registration.captcha.secret", "a captcha needs its secret")


def _networks(key: str, networks: Iterator[str] | tuple[str, ...]) -> Iterator[ConfigError]:
    for network in networks:
        try:
            ip_network(network, strict=False)
        except ValueError:
            yield ConfigError(key, f"{network!r} is not an address or network, as 10.0.0.0/8")


def _is_http_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _is_key(text: str) -> bool:
    try:
        VerifyKey.from_base64(text, KEY_ID)
    except MatrixError:
        return False
    return True


_CHECKS: tuple[Callable[[Config], Iterator[ConfigError]], ...] = (
    _names,
    _listeners,
    _storage,
    _limits,
    _outside,
)
