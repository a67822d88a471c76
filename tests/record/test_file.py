"""The record in a file: what only SQLite can do to us."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from test_writer import TENANT, record_on

from caisey_core.record import writer as writer_module
from caisey_core.record.sqlite import SqliteStore
from caisey_core.record.store import RecordUnavailable, StoreTrouble
from caisey_core.record.writer import Entry


async def test_a_full_database_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's own "database or disk is full" is held like any other failure and passes when there is room."""
    monkeypatch.setattr(writer_module, "TRY_AGAIN_SECONDS", 0.01)
    store = SqliteStore.create(tmp_path / "record.db")
    async with record_on(store) as record:
        await record.append(TENANT, "session/a", [Entry(b"0")]).durable
        (pages,) = store._writer.execute("PRAGMA page_count").fetchone()
        store._writer.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(RecordUnavailable) as told:
            await record.append(TENANT, "session/a", [Entry(bytes(1 << 20))]).durable
        assert isinstance(told.value.__cause__, sqlite3.Error)
        resumed = asyncio.Event()
        record.on_resumed.append(resumed.set)
        await resumed.wait()
        await record.append(TENANT, "session/a", [Entry(b"1")]).durable
        assert [row.event for row in await record.read(TENANT, "session/a")] == [b"0", b"1"]


def test_only_a_record_is_opened(tmp_path: Path) -> None:
    """A mistyped folder, a foreign file and a second beginning are refused in words."""
    with pytest.raises(StoreTrouble, match="There is no record"):
        SqliteStore.open(tmp_path / "record.db")
    foreign = tmp_path / "foreign.db"
    sqlite3.connect(foreign).execute("CREATE TABLE t (x)").connection.close()
    with pytest.raises(StoreTrouble, match="not a record of Caisey"):
        SqliteStore.open(foreign)
    (tmp_path / "text").write_text("no database at all, but long enough to be read as one" * 20)
    with pytest.raises(StoreTrouble, match="not a readable record"):
        SqliteStore.open(tmp_path / "text")
    with pytest.raises(StoreTrouble, match="exists already"):
        SqliteStore.create(foreign)
