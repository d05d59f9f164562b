"""`[registration]`: who may make an account."""

from chamberlain.config.section import Section


class Captcha(Section, frozen=True, kw_only=True):
    """A captcha that must be solved to register (reCAPTCHA, hCaptcha and the like)."""

    site_key: str = ""
    """The public key that clients show the captcha with. Empty: no captcha."""
    secret: str = ""
    """The secret with which the server checks an answer."""
    secret_file: str = ""
    """Read `secret` from this file."""
    verify_url: str = "https://www.google.com/recaptcha/api/siteverify"
    """Where answers are checked."""


class Registration(Section, frozen=True, kw_only=True):
    """New accounts. Administrators can always make them, whatever stands here."""

    enabled: bool = False
    """Whether people may register by themselves."""
    guests: bool = False
    """Whether guest accounts are given out."""
    require_token: bool = False
    """Whether registering asks for a registration token."""
    shared_secret: str = ""
    """The secret of `/_synapse/admin/v1/register`, with which scripts make accounts. When empty, that path
    refuses."""
    shared_secret_file: str = ""
    """Read `shared_secret` from this file."""
    captcha: Captcha = Captcha()
