"""Where an installation's record is: in the file of its data folder, or in a database."""

from pathlib import Path
from typing import Any

from caisey_core.record.keys import MasterKey
from caisey_core.record.sqlite import SqliteStore
from caisey_core.record.store import Store, StoreTrouble

FILE = "record.db"
MASTER_KEY = Path("keys") / "master.key"


def refuse_unless_empty(database: str) -> None:
    """Raise StoreTrouble unless a new installation can begin in this database; the empty address is the data folder."""
    if database:
        _postgres().refuse_unless_empty(database)


def create_store(folder: Path, database: str) -> Store:
    """Begin the record of a new installation, whose master key is there. Raises StoreTrouble, KeyTrouble."""
    if not database:
        return SqliteStore.create(folder / FILE)
    store: Store = _postgres().PostgresStore.create(database, MasterKey.open(folder / MASTER_KEY).fingerprint)
    return store


def open_store(folder: Path, database: str) -> Store:
    """Open the record of an installation. Raises StoreTrouble, and KeyTrouble where a database asks for the master key."""
    if not database:
        return SqliteStore.open(folder / FILE)
    store: Store = _postgres().PostgresStore.open(database, MasterKey.open(folder / MASTER_KEY).fingerprints)
    return store


def _postgres() -> Any:
    """Import the driver only where it is used: it costs 0.1 s at each start, and is an extra of the distribution."""
    try:
        from caisey_core.record import postgres
    except ImportError as error:
        raise StoreTrouble("PostgreSQL needs its drivers. Install them:  pip install 'caisey[postgresql]'") from error
    return postgres
