"""Settings that are read and checked, and that this version does not act on yet."""

from typing import Any, Final

import msgspec

from chamberlain.config.config import Config
from chamberlain.config.documented import list_settings

NOT_YET: Final = (
    "appservices",
    "cluster.nats_url",
    "media.s3",
    "media.url_previews",
    "smtp",
    "sso",
)
"""Sections and single settings. An entry is removed with the change that gives it effect."""


def has_effect(key: str) -> bool:
    """Whether this version acts on the setting of that dotted name."""
    return not any(key == entry or key.startswith((entry + ".", entry + "[]")) for entry in NOT_YET)


def find_idle(config: Config) -> list[str]:
    """The settings that were made and that have no effect: whoever made them should know."""
    return [
        setting.key
        for setting in list_settings()
        if not has_effect(setting.key)
        and "[]" not in setting.key
        and _value(config, setting.key) != setting.default
    ] + [entry for entry in ("sso.oidc",) if _value(config, entry)]


def _value(config: msgspec.Struct, key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    return value
