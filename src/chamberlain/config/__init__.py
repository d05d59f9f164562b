"""Settings: one frozen Struct per section, read from TOML, the environment and flags."""
