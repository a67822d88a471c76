"""Fixtures that all doors share."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from companies import Companies, two_companies
from databases import Postgres, postgres
from doors import Caisey, running
from vendor import Vendor, authority, vendor
from wheels import Environment, strangers_pager


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A PostgreSQL of this session's own."""
    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of database: sqlite, unless the module or test is marked with `databases.both`."""
    return str(getattr(request, "param", "sqlite"))


@pytest.fixture(scope="session")
def new_database(kind: str, request: pytest.FixtureRequest) -> Callable[[], str]:
    """Makes a database and returns its address; the empty address means files in the data folder."""
    if kind == "sqlite":
        return lambda: ""
    server: Postgres = request.getfixturevalue("postgres_server")
    return server.new


@pytest.fixture(scope="module")
def caisey(tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]) -> Iterator[Caisey]:
    """A running demonstration of this module's own."""
    with running(tmp_path_factory.mktemp("caisey") / "data", new_database()) as started:
        yield started


@pytest.fixture(scope="module")
def companies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Companies]:
    """A server of this module's own with two companies in one data folder."""
    with two_companies(tmp_path_factory.mktemp("companies") / "data") as made:
        yield made


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with a stranger's notifier `pager`, which was built outside the repository: for `two_companies(python=…)`."""
    return strangers_pager(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vendor]:
    """Where the stranger's pager posts to, with a certificate that the server trusts."""
    trusted, served = authority(tmp_path_factory.mktemp("certificates"), "127.0.0.1")
    with pytest.MonkeyPatch.context() as patch, vendor(served) as served_by:
        patch.setenv("SSL_CERT_FILE", str(trusted))
        yield served_by
