"""What a server's processes have used, read from /proc."""

import contextlib
import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20


def family(root: int) -> list[int]:
    """Give a process and its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting.extend(children.get(pid, []))
    return found


def cpu_seconds(roots: list[int]) -> float:
    """Give the CPU time that these processes, their descendants and their ended children have used."""
    total = 0
    for root in roots:
        for pid in family(root):
            fields = _stat(pid)
            total += sum(int(field) for field in fields[11:15])
    return total / TICKS


def resident_mib(root: int) -> float:
    """Give the resident memory of a process and its descendants."""
    total = 0.0
    for pid in family(root):
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_MIB
        except (OSError, IndexError):
            continue
    return total


def peak_mib(root: int) -> float:
    """Give the most resident memory that a process ever had, and its descendants each."""
    total = 0.0
    for pid in family(root):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    total += int(line.split()[1]) / 1024
    return total


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the state on; empty where the process has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
