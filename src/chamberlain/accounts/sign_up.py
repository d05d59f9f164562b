"""Making an account for oneself, or as a guest (client-server API, Account registration)."""

import msgspec

from chamberlain.accounts.passwords import Passwords
from chamberlain.accounts.registration import Registered, Registration, SessionUsedUp, in_use
from chamberlain.accounts.stages import Stages
from chamberlain.accounts.tokens import NewDevice, Tokens
from chamberlain.accounts.uia import Uia
from chamberlain.config.registration import Registration as Settings
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import Forbidden, MatrixError, MissingParam, UIARequired
from chamberlain.matrix.ids import localpart_of


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to register; without a device they are not logged in."""

    username: str | None
    password: str | None
    device: NewDevice | None
    guest_access_token: str | None


class SignUp:
    """Lets people make accounts, as far as the settings allow it."""

    def __init__(
        self,
        settings: Settings,
        stages: Stages,
        registration: Registration,
        passwords: Passwords,
        tokens: Tokens,
        uia: Uia,
    ) -> None:
        self._settings = settings
        self._stages = stages
        self._registration = registration
        self._passwords = passwords
        self._tokens = tokens
        self._uia = uia

    def check_open(self) -> None:
        """Return when people may register by themselves; raises Forbidden."""
        if not self._settings.enabled:
            raise Forbidden("Registration is closed on this server")

    async def sign_up(self, wanted: Wanted, auth: object, method: str, path: str) -> Registered:
        """The account is made, once the person has gone through a flow.

        Raises:
            UIARequired: they have not; says what to do next.
            Forbidden: registration is closed.
            MatrixError: M_INVALID_USERNAME, M_EXCLUSIVE, M_USER_IN_USE, M_WEAK_PASSWORD.
            MissingParam: all is done, but there is no password.
        """
        self.check_open()
        was_guest = wanted.guest_access_token is not None
        localpart = (wanted.username or "").lower()
        if wanted.guest_access_token is not None:
            await self._check_guest(wanted.guest_access_token, localpart)
        elif wanted.username is not None:
            await self._registration.check_available(localpart)
        else:
            localpart = self._registration.draw_localpart()
        if wanted.password is not None:
            self._passwords.check_policy(wanted.password)
        bound = f"{method} {path}"
        flows = self._stages.flows
        passed = await self._uia.check(bound, flows, auth, self._stages.prove)
        if wanted.password is None:
            raise MissingParam("The password is missing")
        try:
            return await self._registration.register(
                localpart, wanted.password, was_guest=was_guest, device=wanted.device, passed=passed
            )
        except SessionUsedUp:
            raise self._uia.used_up(bound, flows) from None
        except MatrixError as failure:
            if failure.code is ErrCode.UNAUTHORIZED and not isinstance(failure, UIARequired):
                raise self._uia.failed(bound, flows, failure) from None
            raise

    async def sign_up_guest(self, display_name: str | None) -> Registered:
        """There is a guest account, and it is logged in.

        Raises:
            MatrixError: M_GUEST_ACCESS_FORBIDDEN, this server has no guests.
        """
        if not self._settings.guests:
            raise MatrixError(ErrCode.GUEST_ACCESS_FORBIDDEN, "This server has no guest accounts")
        device = NewDevice(display_name=display_name)
        localpart = self._registration.draw_localpart()
        return await self._registration.register(localpart, None, guest=True, device=device)

    async def _check_guest(self, token: str, localpart: str) -> None:
        guest = await self._tokens.identify(token)
        if not guest.is_guest or localpart_of(guest.user_id) != localpart:
            raise in_use()
