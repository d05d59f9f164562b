"""State resolution: which state a room has where its history has forked (Room Versions, State resolution)."""

from chamberlain.matrix.resolution.resolve import resolve, separate, wanted_keys

__all__ = ["resolve", "separate", "wanted_keys"]
