"""One server for a data folder: a second one would write into the same sessions and start the first one's work again."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from caisey_core.config import ConfigError

if sys.platform == "win32":
    import msvcrt

    def _take(fd: int) -> None:
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _take(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def occupied(folder: Path) -> Iterator[None]:
    """Hold a data folder for this process. Raises ConfigError if another one holds it.

    A lock of the system on the file `lock`: it is let go when the process ends, however that happens. The process id in the
    file is for people.
    """
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            _take(fd)
        except OSError:
            pid = os.read(fd, 20).decode(errors="replace").strip()
            raise ConfigError(
                f"{folder} is in use by another Caisey server (process {pid or 'unknown'}). "
                "Stop that one first; one folder is served by one server."
            ) from None
        os.truncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(fd)
