"""An index on each kind of database."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from caisey_core.search.index import SearchIndex
from caisey_core.search.indexes import open_index

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def address(new_database: Callable[[], str]) -> str:
    """Where the index is: in a database, or in the folder."""
    return new_database()


@pytest.fixture
def index(tmp_path: Path, address: str) -> Iterator[SearchIndex]:
    """An empty index."""
    made = open_index(tmp_path, address)
    yield made
    made.close()
