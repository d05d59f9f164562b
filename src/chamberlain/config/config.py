"""All settings together."""

from pathlib import Path

from chamberlain.config.admin import Admin
from chamberlain.config.appservices import Appservices
from chamberlain.config.cluster import Cluster
from chamberlain.config.database import Database
from chamberlain.config.directory import Directory
from chamberlain.config.federation import Federation
from chamberlain.config.listeners import Listener
from chamberlain.config.log import Log
from chamberlain.config.media import Media
from chamberlain.config.metrics import Metrics
from chamberlain.config.outbound import Outbound
from chamberlain.config.passwords import Passwords
from chamberlain.config.presence import Presence
from chamberlain.config.rate_limits import RateLimits
from chamberlain.config.registration import Registration
from chamberlain.config.section import Section
from chamberlain.config.server_notices import ServerNotices
from chamberlain.config.smtp import Smtp
from chamberlain.config.sso import Sso
from chamberlain.config.sync import Sync
from chamberlain.config.well_known import WellKnown


class Config(Section, frozen=True, kw_only=True):
    """The settings of one server. Only `server_name` has no default."""

    server_name: str
    """The domain in every user id and room alias, as `example.org`. It can never be changed afterwards."""
    base_url: str = ""
    """The URL that clients reach this server at. When empty, `https://` and the server name, or
    for `localhost` `http://localhost` and the port."""
    data_dir: Path = Path("data")
    """The folder for everything that the server writes: database, media, keys."""
    signing_key: Path | None = None
    """The file of the server's signing key, made when it does not exist. When not set, `signing.key` in the
    data folder."""
    default_room_version: str = "11"
    """The version of rooms whose creator asks for none."""
    listeners: tuple[Listener, ...] = (Listener(),)
    """Where the server accepts connections."""
    database: Database = Database()
    log: Log = Log()
    registration: Registration = Registration()
    passwords: Passwords = Passwords()
    rate_limits: RateLimits = RateLimits()
    federation: Federation = Federation()
    outbound: Outbound = Outbound()
    directory: Directory = Directory()
    media: Media = Media()
    appservices: Appservices = Appservices()
    smtp: Smtp = Smtp()
    sso: Sso = Sso()
    server_notices: ServerNotices = ServerNotices()
    presence: Presence = Presence()
    well_known: WellKnown = WellKnown()
    metrics: Metrics = Metrics()
    cluster: Cluster = Cluster()
    admin: Admin = Admin()
    sync: Sync = Sync()

    @property
    def public_url(self) -> str:
        """The URL of clients, without a slash at its end."""
        if not self.base_url and self.server_name in ("localhost", "127.0.0.1", "[::1]"):
            return f"http://{self.server_name}:{self.listeners[0].port}"
        return (self.base_url or f"https://{self.server_name}").rstrip("/")

    @property
    def database_url(self) -> str:
        """The database, with the default filled in."""
        return self.database.url or f"sqlite:///{self.data_dir / 'chamberlain.db'}"

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file that one process owns."""
        return self.database_url.startswith("sqlite:")

    @property
    def signing_key_path(self) -> Path:
        """The signing key's file, with the default filled in."""
        return self.signing_key or self.data_dir / "signing.key"

    @property
    def media_path(self) -> Path:
        """The media folder, with the default filled in."""
        return self.media.directory or self.data_dir / "media"

    @property
    def admin_socket(self) -> Path:
        """The unix socket that the command line speaks to a running server by."""
        return self.data_dir / "admin.sock"
