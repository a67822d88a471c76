"""The index's file is no treasure."""

from pathlib import Path

import pytest
from sought import found

from caisey_core.search.sqlite import SqliteIndex


@pytest.mark.parametrize("content", [b"", b"nonsense" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    """The index is no treasure: what cannot be read is made again."""
    path = tmp_path / "search.db"
    path.write_bytes(content)
    index = SqliteIndex(path)
    assert found(index, "x") == []
    index.close()
