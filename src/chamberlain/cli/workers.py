"""Several alike workers on one machine: forked, watched, started again when they die, stopped together."""

import ctypes
import os
import signal
from collections.abc import Callable
from types import FrameType

import click

from chamberlain.runtime.clock import Clock
from chamberlain.runtime.log import get_logger

SHORT_LIFE = 5.0
"""Seconds; a worker that ends sooner died young."""
PR_SET_PDEATHSIG = 1
"""What `prctl` calls the signal at the death of the parent."""
DEATHS_IN_A_ROW = 5
"""So many young deaths, one after the other, are no accident: the others are ended too."""

Work = Callable[[int, Callable[[], None]], None]
"""What a worker does: its number, and what to call when it serves."""

_log = get_logger("workers")


class _Family:
    def __init__(self, count: int, work: Work) -> None:
        self._count = count
        self._work = work
        self._clock = Clock()
        self._children: dict[int, tuple[int, float]] = {}
        self._stopping = False

    def run(self) -> int:
        """Return the exit status when all workers have ended."""
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, self._pass_on)
        if not self._fork_first():
            os.wait()
            return 0 if self._stopping else 1
        for number in range(2, self._count + 1):
            if not self._stopping:
                self._fork(number)
        status = young_deaths = 0
        while self._children:
            pid, result = os.wait()
            number, since = self._children.pop(pid, (0, 0.0))
            if self._stopping or number == 0:
                continue
            _log.error("a worker ended", worker=number, status=os.waitstatus_to_exitcode(result))
            young_deaths = young_deaths + 1 if self._clock.monotonic() - since < SHORT_LIFE else 0
            if young_deaths >= DEATHS_IN_A_ROW:
                status = 1
                self._pass_on(signal.SIGTERM, None)
            else:
                self._fork(number)
        return status

    def _fork_first(self) -> bool:
        """Start worker 1, which brings the database up to date for all; False when it ended before serving."""
        reading, writing = os.pipe()
        self._fork(1, lambda: os.close(writing) if os.write(writing, b"1") else None)
        os.close(writing)
        serves = os.read(reading, 1) == b"1"
        os.close(reading)
        return serves

    def _fork(self, number: int, ready: Callable[[], None] = lambda: None) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            self._children[pid] = (number, self._clock.monotonic())
            return
        status = 1
        try:
            _end_with(parent)
            for name in (signal.SIGINT, signal.SIGTERM):
                signal.signal(name, signal.SIG_DFL)
            self._work(number, ready)
            status = 0
        except click.ClickException as problem:
            problem.show()
        except Exception:
            _log.exception("worker failed", worker=number)
        finally:
            os._exit(status)

    def _pass_on(self, name: int, _frame: FrameType | None) -> None:
        self._stopping = True
        for pid in list(self._children):
            try:
                os.kill(pid, name)
            except ProcessLookupError:
                continue


def _end_with(parent: int) -> None:
    """Have this process told to stop when its parent dies, were it by `kill -9`; on Linux, which alone can do that."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)


def run(count: int, work: Work) -> None:
    """Run the work of `count` workers, each in a process of its own, until told to stop.

    A worker that dies is started again. Where the first one cannot start, or they die young again and again, all
    end with exit status 1.
    """
    status = _Family(count, work).run()
    if status:
        raise SystemExit(status)
