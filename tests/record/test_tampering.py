"""Whoever changes the record's file or database is found out, and the place is named."""

import contextlib
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from databases import both
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import Place

from caisey_core.services.verification import Verdict

pytestmark = both

# every column that an event, its text, a log leaf or a checkpoint is made of
CELLS = {
    "event": ("bytes", "seed", "texts"),
    "checkpoint": ("note",),
    "log_leaf": ("stream", "root"),
    "log_head": ("frontier",),
    "stream": ("name", "frontier"),
    "tenant_key": ("origin", "public"),
}
KEYS = {"checkpoint": "tenant, size", "log_leaf": "tenant, position", "log_head": "tenant", "tenant_key": "tenant"}
PLACE = re.compile(r"(session/[0-9a-f-]{36}|audit)(, event \d+)?|checkpoint of size \d+|log|public key")


class Hand:
    """Somebody who holds the database and can run any statement; `?` stands for an argument, in both."""

    def __init__(self, connection: Any, prefix: str) -> None:
        self._connection, self._sql = connection, (lambda text: text) if not prefix else (lambda text: text.replace("?", "%s"))

    def execute(self, statement: str, arguments: Sequence[object] = ()) -> Any:
        """Run a statement."""
        return self._connection.execute(self._sql(statement), arguments)


Open = Callable[[], contextlib.AbstractContextManager[tuple[Hand, Callable[[], Verdict]]]]


@pytest.fixture(scope="module")
def opened(worked: Place, tmp_path_factory: pytest.TempPathFactory) -> Open:
    """Gives a fresh copy of the record into somebody's hands, and the verdict on what they made of it."""
    assert worked.verdict().ok
    if worked.database:
        return _database(worked)
    return _file(worked, tmp_path_factory.mktemp("original") / "record.db")


def _file(worked: Place, original: Path) -> Open:
    with contextlib.closing(sqlite3.connect(worked.folder / "record.db")) as record:
        record.execute("VACUUM INTO ?", (str(original),))

    @contextlib.contextmanager
    def copy() -> Iterator[tuple[Hand, Callable[[], Verdict]]]:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(original, folder)
            with contextlib.closing(sqlite3.connect(Path(folder) / "record.db", isolation_level=None)) as record:
                record.execute("PRAGMA foreign_keys=OFF")
                record.execute("PRAGMA synchronous=OFF")
                yield Hand(record, ""), Place(Path(folder), "").verdict

    return copy


def _database(worked: Place) -> Open:
    tables = (*CELLS, "installation")
    with psycopg.connect(worked.database) as database:
        database.execute("CREATE SCHEMA original")
        for table in tables:
            database.execute(f"CREATE TABLE original.{table} AS SELECT * FROM caisey_record.{table}")

    @contextlib.contextmanager
    def copy() -> Iterator[tuple[Hand, Callable[[], Verdict]]]:
        with contextlib.closing(psycopg.connect(worked.database, autocommit=True)) as record:
            record.execute("SET search_path TO caisey_record; SET synchronous_commit TO off")
            record.execute("SET session_replication_role TO replica")  # foreign keys off
            record.execute("TRUNCATE " + ", ".join(tables))
            for table in tables:
                record.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM original.{table}")
            yield Hand(record, "caisey_record."), worked.verdict

    return copy


def found_out(verdict: Verdict) -> None:
    """The verdict is no, and says where."""
    assert not verdict.ok
    assert PLACE.search(verdict.broken), verdict.broken


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_one_byte(data: st.DataObject, opened: Open, kind: str) -> None:
    """One byte of anything: an event, its text or salt, a leaf, a checkpoint, a head, the key."""
    table = data.draw(st.sampled_from(sorted(CELLS)))
    column = data.draw(st.sampled_from(CELLS[table]))
    key = KEYS.get(table, "id")
    with opened() as (record, verdict):
        rows = record.execute(f"SELECT {key}, {column} FROM {table} WHERE length({column}) > 0 ORDER BY {key}").fetchall()
        *row, value = rows[data.draw(st.integers(0, len(rows) - 1), "row")]
        is_text = isinstance(value, str)
        changed = bytearray(value.encode() if is_text else value)
        changed[data.draw(st.integers(0, len(changed) - 1), "byte")] ^= data.draw(st.integers(1, 255), "change")
        where = " AND ".join(f"{name} = ?" for name in key.split(", "))
        value, cast = bytes(changed), "?"
        if is_text and kind == "sqlite":
            cast = "CAST(? AS TEXT)"
        elif is_text:  # PostgreSQL itself refuses what is no text
            value = value.decode(errors="replace").replace("\0", "?")
        record.execute(f"UPDATE {table} SET {column} = {cast} WHERE {where}", (value, *row))
        found_out(verdict())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_events_dropped_swapped_doubled_spliced(data: st.DataObject, opened: Open) -> None:
    """The place of every event is part of what was signed."""
    with opened() as (record, verdict):
        rows = record.execute("SELECT id, bytes, seed, texts FROM event ORDER BY id").fetchall()
        one, other = (rows[i] for i in data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=2, max_size=2, unique=True)))
        what = data.draw(st.sampled_from(["drop", "swap", "double", "close the gap", "splice"]))
        put = "UPDATE event SET bytes=?, seed=?, texts=? WHERE id=?"
        if what == "drop":
            record.execute("DELETE FROM event WHERE id=?", one[:1])
        elif what == "double":
            record.execute(put, (*other[1:], one[0]))
        elif what == "swap":
            record.execute(put, (*other[1:], one[0]))
            record.execute(put, (*one[1:], other[0]))
        elif what == "close the gap":
            record.execute("DELETE FROM event WHERE id=?", one[:1])
            record.execute("UPDATE event SET id=-id WHERE id>? AND id>>40=?", (one[0], one[0] >> 40))
            record.execute("UPDATE event SET id=-id-1 WHERE id<0")
        else:
            (last,) = record.execute("SELECT max(id) FROM event WHERE id>>40=?", (other[0] >> 40,)).fetchone()
            record.execute("INSERT INTO event VALUES (?,?,?,?)", (last + 1, *one[1:]))
        found_out(verdict())


def test_a_stream_that_is_gone(opened: Open) -> None:
    """A whole session removed, with its events."""
    with opened() as (record, verdict):
        identity, name = record.execute("SELECT id, name FROM stream WHERE name LIKE ?", ("session/%",)).fetchone()
        record.execute("DELETE FROM event WHERE id>>40=?", (identity,))
        record.execute("DELETE FROM stream WHERE id=?", (identity,))
        said = verdict()
        assert not said.ok
        assert name in said.broken


def test_the_end_cut_off(opened: Open) -> None:
    """The newest event of a session removed, and its stream's size set back."""
    with opened() as (record, verdict):
        identity, name, size = record.execute("SELECT id, name, size FROM stream WHERE name LIKE ?", ("session/%",)).fetchone()
        record.execute("DELETE FROM event WHERE id=?", ((identity << 40) + size - 1,))
        record.execute("UPDATE stream SET size=size-1 WHERE id=?", (identity,))
        said = verdict()
        assert not said.ok
        assert f"{name}, event {size - 1}" in said.broken
        assert re.search(r"\((at|after) \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\)$", said.broken), said.broken


def test_a_checkpoint_removed(opened: Open) -> None:
    """The newest checkpoint removed: its leaves were never signed."""
    with opened() as (record, verdict):
        record.execute("DELETE FROM checkpoint WHERE size=(SELECT max(size) FROM checkpoint)")
        assert "never signed" in verdict().broken


def test_a_type_changed(opened: Open, kind: str) -> None:
    """SQLite keeps any type in any column: a number where bytes were is found as well. PostgreSQL does not let it in."""
    with opened() as (record, verdict):
        change = "UPDATE event SET bytes=42 WHERE id=(SELECT max(id) FROM event)"
        if kind == "sqlite":
            record.execute(change)
            found_out(verdict())
        else:
            with pytest.raises(psycopg.errors.DatatypeMismatch):
                record.execute(change)
