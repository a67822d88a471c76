"""Search over a million recorded lines in PostgreSQL: the same records and queries as on SQLite."""

from pathlib import Path

import psycopg
from databases import postgres
from figures import Row
from recorded import archive
from records import INDEXED, fill, search


def measure(folder: Path) -> list[Row]:
    """Fill, let the index be made, ask."""
    with postgres() as server:
        address = server.new()
        with (
            archive(folder / "data", fill, address) as served,
            psycopg.connect(address, autocommit=True, options="-c search_path=caisey_search") as database,
        ):

            def indexed() -> int:
                if database.execute("SELECT to_regclass('session')").fetchone() == (None,):
                    return 0
                row = database.execute(INDEXED).fetchone()
                assert row is not None
                return int(row[0])

            return list(search(served, indexed, " on PostgreSQL"))
