"""The services of this room, made and bundled."""

from chamberlain.accounts.account_data import AccountData
from chamberlain.accounts.captcha import Captcha
from chamberlain.accounts.deactivation import Deactivation
from chamberlain.accounts.filters import Filters
from chamberlain.accounts.last_seen import LastSeen
from chamberlain.accounts.login import Login
from chamberlain.accounts.openid import OpenId
from chamberlain.accounts.passwords import Passwords
from chamberlain.accounts.profiles import Profiles, RemoteProfiles
from chamberlain.accounts.push_rules import PushRules
from chamberlain.accounts.registration import Registration
from chamberlain.accounts.registration_tokens import RegistrationTokens
from chamberlain.accounts.sign_up import SignUp
from chamberlain.accounts.stages import Stages
from chamberlain.accounts.threepids import Threepids
from chamberlain.accounts.tokens import Tokens
from chamberlain.accounts.uia import RECAPTCHA, Uia
from chamberlain.accounts.user_directory import UserDirectory
from chamberlain.accounts.users import Users
from chamberlain.config.passwords import Passwords as PasswordSettings
from chamberlain.config.registration import Registration as RegistrationSettings
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.http_client import HttpClient
from chamberlain.runtime.rng import Rng
from chamberlain.store.database import Database


class Accounts:
    """The bundle."""

    __slots__ = (
        "account_data",
        "deactivation",
        "filters",
        "last_seen",
        "login",
        "openid",
        "passwords",
        "profiles",
        "push_rules",
        "registration",
        "registration_tokens",
        "sign_up",
        "threepids",
        "tokens",
        "uia",
        "user_directory",
        "users",
    )

    def __init__(
        self,
        db: Database,
        clock: Clock,
        rng: Rng,
        server_name: str,
        registration: RegistrationSettings,
        passwords: PasswordSettings,
        http: HttpClient,
        remote_profiles: RemoteProfiles,
    ) -> None:
        self.users = Users(db, clock, server_name)
        self.passwords = Passwords(db, passwords, rng)
        self.tokens = Tokens(db, clock, rng)
        captcha = Captcha(registration.captcha, http)
        self.uia = Uia(db, clock, rng, self.users, self.passwords, {RECAPTCHA: captcha.params})
        self.registration = Registration(db, clock, rng, self.users, self.passwords, self.tokens)
        self.registration_tokens = RegistrationTokens(db, clock, rng)
        stages = Stages(self.registration_tokens, captcha, require_token=registration.require_token)
        self.sign_up = SignUp(registration, stages, self.registration, self.passwords, self.tokens, self.uia)
        self.threepids = Threepids(db, clock)
        self.login = Login(db, self.users, self.passwords, self.threepids, self.tokens)
        self.profiles = Profiles(db, self.users, remote_profiles)
        self.push_rules = PushRules(db)
        self.account_data = AccountData(db, self.push_rules)
        self.filters = Filters(db)
        self.openid = OpenId(db, clock, rng)
        self.last_seen = LastSeen(db, clock)
        self.deactivation = Deactivation(db, clock, self.last_seen)
        self.user_directory = UserDirectory(db)

    async def start(self) -> None:
        """Begin the background work."""
        await self.uia.start()
        self.last_seen.start()

    async def close(self) -> None:
        """End the background work; what was seen last is written."""
        await self.last_seen.close()
        self.passwords.close()


def build_accounts(
    db: Database,
    clock: Clock,
    rng: Rng,
    server_name: str,
    registration: RegistrationSettings,
    passwords: PasswordSettings,
    http: HttpClient,
    remote_profiles: RemoteProfiles,
) -> Accounts:
    """Make the services."""
    return Accounts(db, clock, rng, server_name, registration, passwords, http, remote_profiles)
