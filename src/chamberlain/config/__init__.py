"""Settings: one frozen Struct per section, read from TOML, the environment and flags."""

from chamberlain.config.config import Config
from chamberlain.config.section import ConfigError

__all__ = ["Config", "ConfigError"]
