"""Whoever changes the record file is found out, and the place is named."""

import contextlib
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caisey_core.services.verification import Verdict, verify_folder

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


@pytest.fixture(scope="module")
def file(worked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The record of the worked folder, as one file."""
    place = tmp_path_factory.mktemp("original") / "record.db"
    with contextlib.closing(sqlite3.connect(worked / "record.db")) as record:
        record.execute("VACUUM INTO ?", (str(place),))
    assert verify_folder(place.parent).ok
    return place


@contextlib.contextmanager
def opened(file: Path) -> Iterator[tuple[sqlite3.Connection, Callable[[], Verdict]]]:
    """A copy of the record in the hands of somebody who holds the file, and the verdict on what they made of it."""
    with tempfile.TemporaryDirectory() as place:
        shutil.copy(file, place)
        with contextlib.closing(sqlite3.connect(Path(place) / "record.db", isolation_level=None)) as record:
            record.execute("PRAGMA foreign_keys=OFF")
            record.execute("PRAGMA synchronous=OFF")
            yield record, lambda: verify_folder(Path(place))


def found_out(verdict: Verdict) -> None:
    """The verdict is no, and says where."""
    assert not verdict.ok
    assert PLACE.search(verdict.broken), verdict.broken


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_one_byte(data: st.DataObject, file: Path) -> None:
    """One byte of anything: an event, its text or salt, a leaf, a checkpoint, a head, the key."""
    table = data.draw(st.sampled_from(sorted(CELLS)))
    column = data.draw(st.sampled_from(CELLS[table]))
    key = KEYS.get(table, "id")
    with opened(file) as (record, verdict):
        rows = record.execute(f"SELECT {key}, {column} FROM {table} WHERE length({column}) > 0 ORDER BY {key}").fetchall()
        *row, value = rows[data.draw(st.integers(0, len(rows) - 1), "row")]
        is_text = isinstance(value, str)
        changed = bytearray(value.encode() if is_text else value)
        changed[data.draw(st.integers(0, len(changed) - 1), "byte")] ^= data.draw(st.integers(1, 255), "change")
        where = " AND ".join(f"{name} = ?" for name in key.split(", "))
        cast = "CAST(? AS TEXT)" if is_text else "?"
        record.execute(f"UPDATE {table} SET {column} = {cast} WHERE {where}", (bytes(changed), *row))
        found_out(verdict())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_events_dropped_swapped_doubled_spliced(data: st.DataObject, file: Path) -> None:
    """The place of every event is part of what was signed."""
    with opened(file) as (record, verdict):
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
            record.execute("UPDATE event SET id=id-1 WHERE id>? AND id>>40=?", (one[0], one[0] >> 40))
        else:
            (last,) = record.execute("SELECT max(id) FROM event WHERE id>>40=?", (other[0] >> 40,)).fetchone()
            record.execute("INSERT INTO event VALUES (?,?,?,?)", (last + 1, *one[1:]))
        found_out(verdict())


def test_a_stream_that_is_gone(file: Path) -> None:
    """A whole session removed, with its events."""
    with opened(file) as (record, verdict):
        identity, name = record.execute("SELECT id, name FROM stream WHERE name LIKE 'session/%'").fetchone()
        record.execute("DELETE FROM event WHERE id>>40=?", (identity,))
        record.execute("DELETE FROM stream WHERE id=?", (identity,))
        said = verdict()
        assert not said.ok
        assert name in said.broken


def test_the_end_cut_off(file: Path) -> None:
    """The newest event of a session removed, and its stream's size set back."""
    with opened(file) as (record, verdict):
        identity, name, size = record.execute("SELECT id, name, size FROM stream WHERE name LIKE 'session/%'").fetchone()
        record.execute("DELETE FROM event WHERE id=?", ((identity << 40) + size - 1,))
        record.execute("UPDATE stream SET size=size-1 WHERE id=?", (identity,))
        said = verdict()
        assert not said.ok
        assert f"{name}, event {size - 1}" in said.broken
        assert re.search(r"\((at|after) \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\)$", said.broken), said.broken


def test_a_checkpoint_removed(file: Path) -> None:
    """The newest checkpoint removed: its leaves were never signed."""
    with opened(file) as (record, verdict):
        record.execute("DELETE FROM checkpoint WHERE size=(SELECT max(size) FROM checkpoint)")
        assert "never signed" in verdict().broken


def test_a_type_changed(file: Path) -> None:
    """SQLite keeps any type in any column: a number where bytes were is found as well."""
    with opened(file) as (record, verdict):
        record.execute("UPDATE event SET bytes=42 WHERE id=(SELECT max(id) FROM event)")
        found_out(verdict())
