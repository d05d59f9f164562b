"""Telling the C library to give big blocks back to the system when they are freed."""

import ctypes

_M_MMAP_THRESHOLD = -3
_BIG = 1 << 20


def return_big_blocks() -> None:
    """From now on, blocks of a MiB or more go back to the system at once. Does nothing without glibc.

    Left alone, glibc learns from the first freed block to keep such blocks: one password hash then costs 19 MiB
    of memory for as long as the server runs.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _BIG)
