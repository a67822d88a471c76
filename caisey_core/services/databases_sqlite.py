"""Backup, restore and doctor on files: VACUUM INTO, integrity_check."""

import contextlib
import functools
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from caisey_core.catalogue.catalogue import Catalogue
from caisey_core.record.sqlite import SqliteStore
from caisey_core.record.store import Store
from caisey_core.services import rebuild
from caisey_core.services.databases import FILES, BackupTrouble, Copied, Fault

RECORD: Final = "record.db"
CATALOGUE: Final = "catalogue.db"
NAMES: Final = (CATALOGUE, RECORD)  # in this order: whatever a copy of the catalogue knows, the record beside it can explain
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


class SqliteDatabases:
    """The two files of a data folder."""

    kind = FILES
    private: Sequence[str] = ("record.db*", "catalogue.db*")
    failures: tuple[type[Exception], ...] = (sqlite3.Error,)

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def record(self) -> SqliteStore:
        """Open the record."""
        return SqliteStore.open(self.folder / RECORD)

    async def catalogue(self) -> Catalogue:
        """Open the catalogue."""
        return await Catalogue.open(self.folder / CATALOGUE)

    def looks(self) -> tuple[tuple[str, Callable[[], str]], ...]:
        """Look at the pages of both files."""
        return (
            ("record file", functools.partial(_pages, self.folder / RECORD)),
            ("catalogue file", functools.partial(_pages, self.folder / CATALOGUE)),
        )

    @contextlib.contextmanager
    def copied(self, to: Path) -> Iterator[Copied]:
        """Copy the files, one after the other."""
        for name in NAMES:
            try:
                copy(self.folder / name, to / name)
            except sqlite3.Error as error:
                raise BackupTrouble(f"{self.folder / name} cannot be copied ({error}). caisey doctor says more.") from error
        with contextlib.closing(SqliteStore.open(to / RECORD)) as store:
            yield Copied(NAMES, store)

    def refuse_unless_empty(self) -> None:
        """The folder is looked at by whoever makes it."""

    def belongs(self, name: str) -> bool:
        """Say whether a copy has a file of this name."""
        return name in NAMES

    @contextlib.contextmanager
    def restored(self, folder: Path) -> Iterator["_Restored"]:
        """Look at files that are where they belong."""
        for name in NAMES:
            if not (folder / name).is_file():
                raise BackupTrouble(f"This is no backup of Caisey: it has no {name}.")
            if found := faults(folder / name):
                raise BackupTrouble(f"{name} in the backup is damaged: {'; '.join(found)}. Take another backup.")
        with contextlib.closing(SqliteStore.open(folder / RECORD)) as store:
            yield _Restored(folder, store)


class _Restored:
    def __init__(self, folder: Path, store: SqliteStore) -> None:
        self.store: Store = store
        self._folder = folder

    async def make_session_rows(self) -> int:
        catalogue = await Catalogue.open(self._folder / CATALOGUE)
        try:
            return sum([await rebuild.rebuild(catalogue, self.store, one.id) for one in await catalogue.tenants.all()])
        finally:
            await catalogue.close()

    def settle(self, move: Callable[[], None]) -> None:
        self.store.close()  # or what it has beside its file would stay behind
        move()


def _pages(path: Path) -> str:
    if found := faults(path):
        raise Fault(f"{path} is damaged: {'; '.join(found)}. Restore it from your backup.")
    return f"{path.stat().st_size >> 10} KiB, no page is damaged"
