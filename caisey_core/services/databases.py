"""An installation's two databases, record and catalogue, and what each kind does in its own way for backup, restore and doctor."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Protocol

from msgspec import Struct

from caisey_core.catalogue.catalogue import Catalogue
from caisey_core.record.store import Store, StoreTrouble

Look = Callable[[], str]  # at one thing: what was found in order, in words. Raises Fault


class BackupTrouble(Exception):
    """A backup cannot be made or restored; the message says why and what to do."""


class Fault(Exception):
    """A check found something; the words say what and what to do."""


class Copied(Struct, frozen=True):
    """A copy of both databases: its files, and the record in it."""

    names: Sequence[str]  # in the folder to which it was copied
    store: Store


class Restored(Protocol):
    """Databases that were put back, and do not count yet."""

    store: Store

    async def make_session_rows(self) -> int:
        """Make the catalogue's session rows anew from the record; returns how many there are."""

    def settle(self, move: Callable[[], None]) -> None:
        """Make it count, durably, together with the folder that `move` puts in its place. Raises BackupTrouble."""


class Databases(Protocol):
    """Both databases of one installation."""

    folder: Path
    kind: str  # as a backup names it
    private: Sequence[str]  # patterns of their files in the data folder
    failures: tuple[type[Exception], ...]  # what reading them raises when they are damaged or away

    def record(self) -> Store:
        """Open the record. Raises StoreTrouble, KeyTrouble."""

    async def catalogue(self) -> Catalogue:
        """Open the catalogue. Raises CatalogueTrouble."""

    def looks(self) -> Sequence[tuple[str, Look]]:
        """Return the checks below the rows: files, pages, the database's server."""

    def copied(self, to: Path) -> AbstractContextManager[Copied]:
        """Copy both into a folder as they are at one moment, while others write. Raises BackupTrouble."""

    def refuse_unless_empty(self) -> None:
        """Raise StoreTrouble unless a backup can be put back here."""

    def belongs(self, name: str) -> bool:
        """Say whether a copy has a file of this name."""

    def restored(self, folder: Path) -> AbstractContextManager[Restored]:
        """Put a copy back that lies in a folder, on its way to be the data folder. Raises BackupTrouble."""


FILES: Final = "files"
POSTGRESQL: Final = "postgresql"


def of(folder: Path, address: str) -> Databases:
    """Return the databases of an installation; the empty address is its data folder. Raises StoreTrouble without the drivers."""
    if not address:
        from caisey_core.services.databases_sqlite import SqliteDatabases

        return SqliteDatabases(folder)
    try:
        from caisey_core.services.databases_postgres import PostgresDatabases
    except ImportError as error:
        raise StoreTrouble("PostgreSQL needs its drivers. Install them:  pip install 'caisey[postgresql]'") from error
    return PostgresDatabases(folder, address)
