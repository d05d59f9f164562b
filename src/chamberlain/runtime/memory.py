"""How this process treats its memory: big blocks go back to the system, cycles are looked for seldom."""

import ctypes
import gc

_M_MMAP_THRESHOLD = -3
_BIG = 1 << 20
_NEW_OBJECTS = 10_000
_ROUNDS = 20


def return_big_blocks() -> None:
    """From now on, blocks of a MiB or more go back to the system at once. Does nothing without glibc.

    Left alone, glibc learns from the first freed block to keep such blocks: one password hash then costs 19 MiB
    of memory for as long as the server runs.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _BIG)


def collect_seldom() -> None:
    """From now on, look for garbage in cycles after ten thousand new objects, not 700, and among what is new.

    What is there now is never looked at again. Handling a request leaves next to no cycles behind, but makes
    thousands of objects: with Python's own limits a tenth of the CPU of a big answer goes into looking.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, _ROUNDS, _ROUNDS)
