"""A captcha at registration: `m.login.recaptcha` (client-server API, Google ReCaptcha)."""

from typing import Any

import msgspec

from chamberlain.config.registration import Captcha as Settings
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import BadJson, MatrixError, MissingParam
from chamberlain.matrix.types import JsonObject
from chamberlain.runtime.http_client import HttpClient, OutboundError
from chamberlain.runtime.log import get_logger

MAX_RESPONSE = 16 * 1024
"""Characters of an answer to a captcha; those of the known providers have some two thousand."""

_log = get_logger("captcha")


class Captcha:
    """Has answers checked by the service that shows the captcha."""

    def __init__(self, settings: Settings, http: HttpClient) -> None:
        self._settings = settings
        self._http = http

    @property
    def is_wanted(self) -> bool:
        """Whether whoever registers must solve one."""
        return bool(self._settings.site_key)

    @property
    def params(self) -> JsonObject:
        """What clients show the captcha with."""
        return {"public_key": self._settings.site_key}

    async def check(self, given: JsonObject) -> None:
        """Return when the captcha was solved; `given` is the stage's `auth` object.

        Raises:
            MissingParam, BadJson: there is no answer in it.
            MatrixError: M_UNAUTHORIZED, the answer is wrong, or it could not be checked now.
        """
        response = given.get("response")
        if response is None:
            raise MissingParam("The answer to the captcha is missing")
        if not isinstance(response, str) or len(response) > MAX_RESPONSE:
            raise BadJson("The answer to the captcha is not a string of sensible length")
        if not await self._ask(response):
            raise MatrixError(ErrCode.UNAUTHORIZED, "The captcha was not solved; please try again")

    async def _ask(self, response: str) -> bool:
        fields = {"secret": self._settings.secret, "response": response}
        try:
            answer = await self._http.post_form(self._settings.verify_url, fields)
            verdict: Any = msgspec.json.decode(answer.body)
        except (OutboundError, msgspec.DecodeError, UnicodeDecodeError) as error:
            return self._refuse(str(error))
        if answer.status != 200 or not isinstance(verdict, dict):
            return self._refuse(f"status {answer.status}")
        if verdict.get("success") is not True:
            _log.info("captcha refused", codes=verdict.get("error-codes"))
        return verdict.get("success") is True

    def _refuse(self, reason: str) -> bool:
        _log.warning("the captcha could not be checked", url=self._settings.verify_url, reason=reason)
        raise MatrixError(
            ErrCode.UNAUTHORIZED, "The captcha could not be checked now; please try again later"
        )
