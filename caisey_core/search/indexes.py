"""Where an installation's search index is: in a file of its data folder, or beside its record in the database."""

from pathlib import Path

from caisey_core.search.index import SearchIndex
from caisey_core.search.sqlite import SqliteIndex

FILE = "search.db"


def open_index(folder: Path, database: str) -> SearchIndex:
    """Open the index of an installation; one that is not there is begun."""
    if not database:
        return SqliteIndex(folder / FILE)
    from caisey_core.search.postgres import PostgresIndex  # the driver is an extra of the distribution

    return PostgresIndex(database)
