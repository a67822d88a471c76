"""Two companies at one server, with plugins that are installed as pip would lay them down."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from companies import Companies, two_companies
from mail_plugin import installed


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A place on PYTHONPATH with the plugins of these tests."""
    with installed(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture(scope="module")
def companies(
    site: Path, tmp_path_factory: pytest.TempPathFactory, kind: str, request: pytest.FixtureRequest
) -> Iterator[Companies]:
    """A server of this module's own; on PostgreSQL where the module is marked so."""
    settings = {} if kind == "sqlite" else {"database": request.getfixturevalue("postgres_server").new()}
    with two_companies(tmp_path_factory.mktemp("companies") / "data", **settings) as made:
        yield made
