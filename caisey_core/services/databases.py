"""What backup and doctor need of a database and SQLite does in its own way: a copy of one moment, and a check of its pages."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Final

FAULTS: Final = 3  # shown of a damaged file


def copy(path: Path, to: Path) -> None:
    """Copy a database as it is at one moment, while others write to it. Raises sqlite3.Error, FileNotFoundError.

    VACUUM INTO reads within one transaction, waits for no writer and lets none wait; unlike the backup API it copies no free
    pages, in which text that was erased may still lie.
    """
    if not path.is_file():
        raise FileNotFoundError(2, "There is no such database", str(path))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as source:
        source.execute("VACUUM INTO ?", (str(to),))
    with contextlib.closing(sqlite3.connect(to, isolation_level=None)) as copied:
        copied.execute("PRAGMA journal_mode=WAL")  # VACUUM INTO does not take this over


def faults(path: Path) -> list[str]:
    """Return what is wrong with a database's pages and indexes; empty: nothing."""
    if not path.is_file():
        return [f"{path} is not there"]
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
            connection.execute("PRAGMA query_only=ON")
            found = [str(row[0]) for row in connection.execute(f"PRAGMA integrity_check({FAULTS})")]
    except sqlite3.DatabaseError as error:
        return [str(error)]
    return [] if found == ["ok"] else found
