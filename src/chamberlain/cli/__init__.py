"""The `chamberlain` command."""
