"""The real process and real clients."""
