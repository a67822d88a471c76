"""Where a test's record is: in a folder, or in a database beside one."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg

from caisey_core.record.keys import MasterKey
from caisey_core.record.store import Store
from caisey_core.record.stores import FILE, MASTER_KEY, create_store, open_store
from caisey_core.services.verification import Verdict, verify_folder

MASTER = MasterKey(bytes(32))


@dataclass
class Place:
    """A data folder and the address of its database; the empty address is the folder itself."""

    folder: Path
    database: str

    def create(self) -> Store:
        """Begin a record under MASTER."""
        key = self.folder / MASTER_KEY
        key.parent.mkdir(exist_ok=True)
        key.write_bytes(bytes(32))
        return create_store(self.folder, self.database)

    def open(self) -> Store:
        """Open the record."""
        return open_store(self.folder, self.database)

    def tamper(self, statements: str) -> None:
        """Change the record as somebody would who holds the database: {0} is its schema's prefix, {1} are 32 bytes."""
        if self.database:
            with psycopg.connect(self.database, autocommit=True) as database:
                database.execute(statements.format("caisey_record.", "'\\x" + "00" * 32 + "'"))  # type: ignore[arg-type]
            return
        with closing(sqlite3.connect(self.folder / FILE)) as file:
            file.executescript(statements.format("", "x'" + "00" * 32 + "'"))

    def verdict(self) -> Verdict:
        """Check all of it."""
        return verify_folder(self.folder, self.database)
