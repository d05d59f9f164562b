"""What whoever registers must prove, and how it is checked (client-server API, Account registration)."""

from collections.abc import Sequence

from chamberlain.accounts.captcha import Captcha
from chamberlain.accounts.registration_tokens import RegistrationTokens
from chamberlain.accounts.uia import DUMMY, RECAPTCHA, REGISTRATION_TOKEN, Flow
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import BadJson, MatrixError, MissingParam
from chamberlain.matrix.types import JsonObject


class Stages:
    """The stages of registration."""

    def __init__(self, tokens: RegistrationTokens, captcha: Captcha, *, require_token: bool) -> None:
        self._tokens = tokens
        self._captcha = captcha
        wanted = [RECAPTCHA] if captcha.is_wanted else []
        if require_token:
            wanted.append(REGISTRATION_TOKEN)
        self.flows: Sequence[Flow] = (tuple(wanted) or (DUMMY,),)

    async def prove(self, kind: str, given: JsonObject) -> str | None:
        """Check one stage; give the registration token that was shown, if any.

        Raises:
            MissingParam, BadJson: the proof is not there.
            MatrixError: M_UNAUTHORIZED, it is not good.
        """
        if kind == RECAPTCHA:
            await self._captcha.check(given)
        if kind != REGISTRATION_TOKEN:
            return None
        token = given.get("token")
        if token is None:
            raise MissingParam("The registration token is missing")
        if not isinstance(token, str):
            raise BadJson("The registration token is not a string")
        if not await self._tokens.is_usable(token):
            raise MatrixError(ErrCode.UNAUTHORIZED, "The registration token is not valid")
        return token
