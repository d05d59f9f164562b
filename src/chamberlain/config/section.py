"""What every section of the settings is: a frozen Struct that refuses keys it does not know."""

import msgspec


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the settings file. Each field's docstring is its documentation everywhere."""


class ConfigError(Exception):
    """A setting that cannot be used. `key` is its dotted name, empty when no single one is to blame."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}" if key else message)
        self.key = key
        self.message = message
