"""Fixtures of the documents' tests."""

import sys
from pathlib import Path

import pytest
from doors import running

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real record: a session with consent, commands of one line and of many, and its end."""
    data = tmp_path_factory.mktemp("documented") / "data"
    with running(data) as caisey:
        session = caisey.active()
        caisey.run(session, "seq 1 2000; head -c 9000 /dev/zero | tr '\\0' x")
        # lines of 4096 bytes with and without their line feed: where a cut is easily one off
        assert caisey.run(session, f": {'x' * 4093}\n: {'y' * 4094}\n(exit 3)")["exit_code"] == 3
        caisey.finish(session)
        caisey.stop()
    return data / "record.db"
