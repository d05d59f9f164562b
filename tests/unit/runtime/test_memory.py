"""Memory that was needed once is not kept for ever."""

import subprocess
import sys

PROGRAM = """
import os, sys
from argon2.low_level import Type, hash_secret
from chamberlain.runtime.memory import return_big_blocks
if len(sys.argv) > 1:
    return_big_blocks()
def resident():
    if not os.path.exists("/proc/self/statm"):
        return 0  # nothing to learn here
    return int(open("/proc/self/statm").read().split()[1]) * 4096
before = resident()
for _ in range(3):
    hash_secret(b"password", b"a salt of some length", 1, 32 * 1024, 1, 32, Type.ID)
print(resident() - before)
"""


def test_password_hashes_leave_no_memory_behind() -> None:
    """After hashing with 32 MiB, the process is not 32 MiB bigger."""
    grown = subprocess.run([sys.executable, "-c", PROGRAM, "on"], capture_output=True, text=True, check=True)

    assert int(grown.stdout) < 16 << 20


COLLECTIONS = """
import gc
from chamberlain.runtime.memory import collect_seldom
kept = [[] for _ in range(50_000)]
collect_seldom()
before = sum(generation["collections"] for generation in gc.get_stats())
made = [[] for _ in range(9_000)]
print(sum(generation["collections"] for generation in gc.get_stats()) - before)
for _ in range(100_000):
    cycle = []
    cycle.append(cycle)
print(len(gc.get_objects()))
"""


def test_cycles_are_looked_for_seldom_but_are_found() -> None:
    """An answer of thousands of objects sets off no collection; rubbish in cycles does not pile up."""
    run = subprocess.run([sys.executable, "-c", COLLECTIONS], capture_output=True, text=True, check=True)
    collections, objects = map(int, run.stdout.split())

    assert collections == 0
    assert objects < 50_000
