"""Data that is on disk for a while."""

import asyncio
import gc
import os
from pathlib import Path

import pytest

from chamberlain.runtime.spool import Spool


def test_what_was_put_in_comes_out(tmp_path: Path) -> None:
    """By its place, in order, and while more is added; empty strings too."""
    spool = Spool(tmp_path)
    assert list(spool) == []

    for number in range(5):
        spool.append(b"x" * number)
        assert spool[number] == spool[-1] == b"x" * number

    assert len(spool) == 5 and list(spool) == [b"x" * number for number in range(5)]
    assert spool[1:3] == [b"x", b"xx"]
    with pytest.raises(IndexError):
        spool[5]


async def test_it_can_be_read_in_threads(tmp_path: Path) -> None:
    """By several at the same time."""
    spool = Spool(tmp_path)
    for number in range(1_000):
        spool.append(b"%d" % number)

    found = await asyncio.gather(*(asyncio.to_thread(list, spool) for _ in range(4)))

    assert found == [[b"%d" % number for number in range(1_000)]] * 4


def test_nothing_is_left_of_it(tmp_path: Path) -> None:
    """There is no file that a crash could leave behind, and none open when nobody holds the spool."""
    spool = Spool(tmp_path)
    spool.append(b"x" * 100_000)
    assert list(tmp_path.iterdir()) == []
    before = len(os.listdir("/proc/self/fd"))

    del spool
    gc.collect()

    assert len(os.listdir("/proc/self/fd")) == before - 1
