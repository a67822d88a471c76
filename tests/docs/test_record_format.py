"""docs/record-format.md against the code and against a real record: a stranger could write a checker from it, and one did."""

import ast
import contextlib
import re
import shutil
import sqlite3
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import pytest
from document import ROOT, rows, section, text_of
from doors import caisey
from msgspec import Struct

from caisey_agent.protocol import consent, history, receipt
from caisey_core.domain import events as e
from caisey_core.record.sqlite import APPLICATION_ID, FORMAT, SqliteStore

FORMAT_PAGE = text_of("record-format.md")
STRANGER = ROOT / "docs" / "check_record.py"
WORDS: dict[Any, str] = {
    UUID: "uuid",
    str: "text",
    int: "int",
    bool: "bool",
    bytes: "bytes",
    e.Content: "content",
    e.Actor: "actor",
}
SIGNED = {
    "The request": consent.ConsentRequest,
    "The answer": consent.ConsentAnswer,
    "The withdrawal": consent.ConsentWithdrawal,
}


def word(hint: Any) -> str:
    """Return a field's type as the document writes it."""
    if get_origin(hint) is Literal or (isinstance(hint, type) and issubclass(hint, str)):
        return "text"
    if get_origin(hint) is tuple:
        return f"list of {word(get_args(hint)[0])}"
    if get_origin(hint) in (Union, types.UnionType):
        (some,) = (one for one in get_args(hint) if one is not types.NoneType)
        return f"{word(some)} or nil"
    return WORDS[hint]


def fields_of(kind: type[Struct], without: tuple[str, ...] = ()) -> dict[str, str]:
    """Return name and type of a Struct's fields."""
    hints = get_type_hints(kind)
    return {name: word(hints[name]) for name in kind.__struct_fields__ if name not in without}


def told(heading: str) -> dict[str, dict[str, str]]:
    """Return kinds and their fields with types as a section's table has them; a kind of the device has `frame` by its mark."""
    kinds: dict[str, dict[str, str]] = {}
    for first, field, kind_of_value, meaning in rows(section(FORMAT_PAGE, heading)):
        assert meaning, (first, field)
        if first:
            name = re.fullmatch(r"\*\*`([a-z-]+)`\*\*( †)?", first)
            assert name is not None, first
            fields = kinds[name.group(1)] = {"frame": "int"} if name.group(2) else {}
        else:
            fields[field.strip("`")] = kind_of_value
    return kinds


COMMON = e.Event.__struct_fields__


@pytest.mark.parametrize(
    ("heading", "union"), [("Kinds of a session", e.SessionEvent), ("Kinds of the audit log", e.AuditEvent)]
)
def test_every_kind_and_each_of_its_fields(heading: str, union: Any) -> None:
    """The tables have the kinds of the code, their fields and types, and nothing else."""
    wanted = {kind.__struct_config__.tag: fields_of(kind, without=COMMON) for kind in get_args(union)}
    assert told(heading) == wanted


def test_what_all_events_have() -> None:
    """The common fields, the device's one, and the two structures inside."""
    said = {row[0].strip("`"): row[1] for row in rows(section(FORMAT_PAGE, "Events"))}
    assert said == {"kind": "text", **fields_of(e.Event), "frame": "int"}
    for structure in (e.Actor, e.Content):
        for name in structure.__struct_fields__:
            assert f"`{name}`" in section(FORMAT_PAGE, "Events")


@pytest.mark.parametrize("heading", SIGNED)
def test_what_is_signed_for_consent(heading: str) -> None:
    """Each field of the signed statements, in the order of the bytes, and its tag."""
    found = rows(section(FORMAT_PAGE, heading))
    assert {row[0].strip("`"): row[1] for row in found} == {"type": "text", **fields_of(SIGNED[heading])}
    assert [row[0].strip("`") for row in found][1:] == list(SIGNED[heading].__struct_fields__)
    assert found[0][2] == f"`{SIGNED[heading].__struct_config__.tag}`"


def test_receipts() -> None:
    """Both tables, field by field."""
    found = [(row[0].strip("`"), row[1]) for row in rows(section(FORMAT_PAGE, "Receipts"))]
    wanted = [
        pair
        for kind in (receipt.CommandReceipt, receipt.TransferReceipt)
        for pair in [("type", "text"), *fields_of(kind).items()]
    ]
    assert found == wanted


def test_doubts() -> None:
    """Field by field."""
    found = [(row[0].strip("`"), row[1]) for row in rows(section(FORMAT_PAGE, "The device as a witness"))]
    assert found == [("type", "text"), *fields_of(history.Doubt).items()]


def test_tables_of_the_store(tmp_path: Path) -> None:
    """Each table and each column of a new store, and the two numbers in its head."""
    SqliteStore.create(tmp_path / "record.db").close()
    said, table = set(), ""
    for first, column, _ in rows(section(FORMAT_PAGE, "The store")):
        table = first.strip("`") or table
        said.add((table, column.strip("`")))
    with contextlib.closing(sqlite3.connect(tmp_path / "record.db")) as record:
        names = [name for (name,) in record.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        there = {
            (name, column) for name in names for (column,) in record.execute(f"SELECT name FROM pragma_table_info('{name}')")
        }
    assert said == there
    assert f"0x{APPLICATION_ID:X}" in FORMAT_PAGE
    assert f"`user_version` is {FORMAT}." in FORMAT_PAGE


def names_in(path: Path) -> Iterator[str]:
    """Yield the names that pytest finds in a file."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def test_every_promise_names_tests_that_exist() -> None:
    """Seven promises; each is shown by a test, or says that a later version keeps it."""
    promises = rows(section(FORMAT_PAGE, "Promises and their tests"))
    assert len(promises) == 7
    for promise, how, shown in promises:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", shown)
        assert named or "later version" in how, promise
        for path, name in named:
            assert name in set(names_in(ROOT / path)), f"{path}::{name}"


def judged(record: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run the stranger's checker, where nothing of Caisey can be imported."""
    code = f"import sys; sys.modules.update(dict.fromkeys(('caisey_core', 'caisey_agent', 'caisey_hookspecs'))); sys.argv[1:] = {[str(record), *more]!r}; exec(compile(open({str(STRANGER)!r}).read(), 'stranger', 'exec'))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


@pytest.fixture
def copy(record: Path, tmp_path: Path) -> Path:
    """The record as one file, in the stranger's hands."""
    place = tmp_path / "record.db"
    with contextlib.closing(sqlite3.connect(record)) as there:
        there.execute("VACUUM INTO ?", (str(place),))
    return place


def test_a_stranger_can_check_a_real_record(copy: Path) -> None:
    """Every commitment, root, signature of checkpoints and of consents, re-computed from the document's words alone."""
    with contextlib.closing(sqlite3.connect(copy)) as record:
        ((events, longest),) = record.execute("SELECT count(*), max(length(texts)) FROM event")
    assert longest > 8192  # many lines, and pieces of 4096 bytes
    said = judged(copy)
    assert said.returncode == 0, said.stdout + said.stderr
    assert said.stdout.startswith(f"{events} events in 2 streams hold.")


def test_the_stranger_knows_the_key_that_was_handed_out(copy: Path, record: Path) -> None:
    """The verifier key of the first audit event is the record's; another one is refused."""
    with contextlib.closing(sqlite3.connect(copy)) as there:
        (first,) = there.execute(
            "SELECT bytes FROM event JOIN stream ON event.id = stream.id << 40 WHERE name='audit'"
        ).fetchone()
    created = e.decode(first)
    assert isinstance(created, e.TenantCreated)
    assert judged(copy, created.key).returncode == 0
    assert "the record is signed by" in judged(copy, "another+00000000+AQ==").stderr


CHANGES = {
    "a text": ("UPDATE event SET texts = CAST(substr(texts, 1, length(texts) - 1) || '!' AS BLOB) WHERE id = (SELECT max(id) FROM event WHERE seed IS NOT NULL)", "event"),
    "an event": ("UPDATE event SET bytes = (SELECT bytes FROM event ORDER BY id DESC LIMIT 1) WHERE id = (SELECT min(id) + 5 FROM event)", "audit"),
    "an event removed": ("DELETE FROM event WHERE id = (SELECT max(id) - 1 FROM event)", "missing"),
    "the end removed": ("DELETE FROM event WHERE id = (SELECT max(id) FROM event)", "missing"),
    "a root": ("UPDATE log_leaf SET root = zeroblob(32) WHERE position = 3", "checkpoint 4"),
    "a signature": ("UPDATE checkpoint SET note = substr(note, 1, length(note) - 8) || CASE substr(note, length(note) - 7, 1) WHEN 'A' THEN 'B' ELSE 'A' END || substr(note, length(note) - 6) WHERE size = 2", "checkpoint 2"),
    "a checkpoint removed": ("DELETE FROM checkpoint WHERE size = (SELECT max(size) FROM checkpoint)", "never signed"),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_the_stranger_notices(copy: Path, what: str) -> None:
    """Without our code, too, a change is found and its place is named."""
    statement, place = CHANGES[what]
    with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as record:
        assert record.execute(statement).rowcount == 1
    said = judged(copy)
    assert said.returncode != 0
    assert place in said.stderr, said.stderr


def test_what_verify_prints(record: Path) -> None:
    """The lines of the document, in their order, and the failure on standard error with exit code 1."""
    said = caisey("verify", "--data", str(record.parent)).stdout.splitlines()
    patterns = re.findall(
        r"`([^`\n]*(?:checkpoints, signed|audit log holds|device co-signed|accounts for)[^`\n]*)`", FORMAT_PAGE
    )
    assert len(patterns) == len(said) == 4
    for pattern, line in zip(sorted(patterns), sorted(said), strict=True):
        shape = re.escape(pattern).replace("HH:MM:SS", r"\d\d:\d\d:\d\d").replace("UUID", "[0-9a-f-]{36}")
        shape = re.sub(r"\bN\b", r"\\d+", shape).replace("ORIGIN", r"[\w.-]+/[0-9a-f-]{36}")
        assert re.fullmatch(shape, line), f"{pattern}\n{line}"


def test_how_verify_fails(record: Path, copy: Path) -> None:
    """`NOT VERIFIED:` with stream, event, what and when."""
    shutil.copy(record.parent / "caisey.toml", copy.parent)
    with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as there:
        there.execute("UPDATE event SET seed = zeroblob(32) WHERE id = (SELECT max(id) FROM event WHERE seed IS NOT NULL)")
    said = caisey("verify", "--data", str(copy.parent))
    assert said.returncode == 1
    shape = r"NOT VERIFIED: session/[0-9a-f-]{36}, event \d+: .+ \(at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\)"
    assert re.fullmatch(shape, said.stderr.strip()), said.stderr
