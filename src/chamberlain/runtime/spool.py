"""Much data that is needed in pieces and only for a while: on disk, not in memory."""

import os
import tempfile
import weakref
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import overload


class Spool(Sequence[bytes]):
    """Byte strings in a file without a name, which is gone when nobody holds the spool any more."""

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (it lives as long as the spool)
        self._ends = array("Q", [0])
        self._is_written = True
        weakref.finalize(self, self._file.close)

    def append(self, data: bytes) -> None:
        """Have it at the end."""
        self._file.write(data)
        self._ends.append(self._ends[-1] + len(data))
        self._is_written = False

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, place: int) -> bytes: ...

    @overload
    def __getitem__(self, place: slice) -> list[bytes]: ...

    def __getitem__(self, place: int | slice) -> bytes | list[bytes]:
        places = range(len(self))[place]
        if isinstance(places, range):
            return [self[one] for one in places]
        if not self._is_written:
            self._file.flush()
            self._is_written = True
        start, end = self._ends[places], self._ends[places + 1]
        return os.pread(self._file.fileno(), end - start, start)
