"""Two companies for each module."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from companies import Companies, two_companies


@pytest.fixture(scope="module")
def companies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Companies]:
    """A server with two companies in one data folder."""
    folder: Path = tmp_path_factory.mktemp("companies")
    with two_companies(folder / "data") as made:
        yield made
