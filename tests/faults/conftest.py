"""An installation and its backup, for the modules that restore it."""

import sys
from pathlib import Path

import pytest
from doors import caisey
from installed import Installed

sys.path.insert(0, str(Path(__file__).parent))

from backups import New


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, new_database: New) -> tuple[Installed, Path]:
    """An installation, and its backup without the master key."""
    folder = tmp_path_factory.mktemp("made")
    place, file = Installed(folder / "data", new_database()), folder / "b.caisey"
    database = ["--database", place.database] if place.database else []
    assert caisey("init", "--data", str(place.data), *database).returncode == 0
    said = caisey("backup", str(file), "--data", str(place.data))
    assert said.returncode == 0, said.stderr
    assert "The master key is NOT in it" in said.stdout
    return place, file
