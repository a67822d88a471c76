"""Fixtures that all doors share."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from companies import Companies, two_companies
from doors import Caisey, running


@pytest.fixture(scope="module")
def caisey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caisey]:
    """A running demonstration of this module's own."""
    with running(tmp_path_factory.mktemp("caisey") / "data") as started:
        yield started


@pytest.fixture(scope="module")
def companies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Companies]:
    """A server of this module's own with two companies in one data folder."""
    with two_companies(tmp_path_factory.mktemp("companies") / "data") as made:
        yield made
