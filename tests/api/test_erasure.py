"""The right to be forgotten: words are destroyed on request or after their time, in every place; proofs still hold."""

import contextlib
import hashlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import msgspec
import psycopg
import pytest
from databases import Postgres, both
from doors import Caisey, running, until
from psycopg import sql

from caisey_agent.protocol import receipt
from caisey_core.domain import events as e
from caisey_core.record.stores import open_store

MARK = "Zanzibar-4711"
LATER = """
import sys, time
ahead = int(sys.argv.pop(1)) * 86_400
ours, ours_ns = time.time, time.time_ns
time.time = lambda: ours() + ahead
time.time_ns = lambda: ours_ns() + ahead * 1_000_000_000
from caisey_core.cli import main
sys.exit(main())
"""


def finished(caisey: Caisey, device: str = "HD-FRONTDESK") -> str:
    """A session with the mark in every kind of text, finished and sealed."""
    tom = caisey.people["tom"]
    wanted = {"reason": f"{MARK} does not print", "scopes": ("run", "files"), "duration_minutes": 60}
    session = str(tom.post(f"/devices/{caisey.devices[device].id}/sessions", wanted)["id"])
    assert caisey.devices[device].asked() == session
    assert caisey.devices[device].answer(session) == 200
    caisey.state(session, "active")
    caisey.run(session, f"echo '{MARK} in the output' # {MARK}")
    path = f"/tmp/{MARK}.txt"
    tom.call("POST", f"/sessions/{session}/files?path={path}&replace=true", content=f"file {MARK}".encode())
    until(lambda: Path(path).exists(), "the file")
    Path(path).unlink()
    refused = tom.post(f"/sessions/{session}/files/download", {"path": f"{path}.gone"})["id"]
    until(lambda: MARK in said_of(caisey, session, refused), "the device's own words")
    body = {"resolution": "fixed", "notes": f"Found {MARK}.", "checked": f"{MARK} works."}
    tom.post(f"/sessions/{session}/complete", body)
    until(lambda: tom.get(f"/sessions/{session}/card")["sealed"], "the seal")
    return session


def said_of(caisey: Caisey, session: str, transfer: str) -> str:
    """Return why the device did not send a file."""
    found = caisey.people["tom"].get(f"/sessions/{session}")["entries"]
    return str([entry["transfer"]["reason"] for entry in found if (entry["transfer"] or {}).get("id") == transfer])


def places(caisey: Caisey) -> list[str]:
    """Return the server's files, and the tables of its database, that hold the mark; the agents' homes are other machines."""
    files = [
        str(path.relative_to(caisey.data))
        for path in caisey.data.rglob("*")
        if path.is_file() and "agents" not in path.parts and path.name != "agents.log" and MARK.encode() in path.read_bytes()
    ]
    return files + (tables(caisey.database) if caisey.database else [])


def tables(database: str) -> list[str]:
    """Return the tables that hold the mark or its first word, in texts, words or bytes."""
    word = MARK.partition("-")[0]
    held = []
    with closing(psycopg.connect(database, autocommit=True)) as connection:
        for schema, table in connection.execute("SELECT schemaname, tablename FROM pg_tables WHERE schemaname LIKE 'caisey%'"):
            row = sql.SQL("SELECT count(*) FROM {} AS kept WHERE kept::text ILIKE ANY(%s)").format(
                sql.Identifier(schema, table)
            )
            if connection.execute(row, ([f"%{word}%", f"%{word.encode().hex()}%"],)).fetchone() != (0,):
                held.append(f"{schema}.{table}")
    return held


def words(caisey: Caisey, request: pytest.FixtureRequest) -> bytes:
    """Return the files of the search index's words, in lower case."""
    if not caisey.database:
        return b"".join(path.read_bytes() for path in caisey.data.glob("search.db*")).lower()
    server: Postgres = request.getfixturevalue("postgres_server")
    with closing(psycopg.connect(caisey.database, autocommit=True)) as connection:
        connection.execute("CHECKPOINT")
        place = connection.execute("SELECT pg_relation_filepath('caisey_search.line_words')").fetchone()
        assert place is not None
        return (server.folder / "data" / place[0]).read_bytes().lower()


@contextlib.contextmanager
def locked(caisey: Caisey) -> Iterator[None]:
    """Let nobody write into the search index."""
    if caisey.database:
        with closing(psycopg.connect(caisey.database)) as somebody:
            somebody.execute("LOCK TABLE caisey_search.session IN SHARE MODE")
            yield
    else:
        with closing(sqlite3.connect(caisey.data / "search.db", isolation_level=None)) as somebody_else:
            somebody_else.execute("BEGIN IMMEDIATE")
            yield


def entries(caisey: Caisey, session: str) -> int:
    """Return how often the audit log says that a session's contents were erased."""
    with closing(open_store(caisey.data, caisey.database)) as store:
        (key,) = store.tenants()
        events = [e.decode(row.event) for row in store.read(key.tenant, "audit", 0, 1000)]
    return sum(isinstance(event, e.ContentErased) and str(event.session) == session for event in events)


@contextlib.contextmanager
def beside(caisey: Caisey) -> Iterator[Callable[[], None]]:
    """Read in the search index, as a backup does, until what is yielded is called."""
    if caisey.database:
        with closing(psycopg.connect(caisey.database)) as backup:
            backup.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            backup.execute("SELECT count(*) FROM caisey_search.session")
            yield backup.rollback
    else:
        with closing(sqlite3.connect(caisey.data / "search.db", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM session").fetchone()
            yield reader.rollback


@pytest.fixture
def stopped(tmp_path: Path, new_database: Callable[[], str]) -> Iterator[Caisey]:
    """A demonstration of one's own, which the test may stop and start."""
    with running(tmp_path / "data", new_database()) as started:
        yield started


@contextlib.contextmanager
def serving(caisey: Caisey, days_ahead: int = 0) -> Iterator[None]:
    """Serve the data again, some days later."""
    ready = caisey.data.with_name("served")
    ready.unlink(missing_ok=True)
    arguments = ["serve", "--data", str(caisey.data), "--port", str(caisey.port), "--ready-file", str(ready)]
    command = [sys.executable, "-c", LATER, str(days_ahead), *arguments]
    with (caisey.data.with_name("served.log")).open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ})
    try:
        until(ready.exists, "the server")
        yield
    finally:
        process.kill()
        process.wait()


@both
def test_on_request(caisey: Caisey) -> None:
    """Nothing of the words is left in any file of the server, or any row of its database; the skeleton is shown, verifies, and says what happened."""
    session, other = finished(caisey), finished(caisey, "HD-XRAY")
    admin, dana = caisey.people["admin"], caisey.people["dispatcher"]
    kept = ["caisey_record.event", "caisey_search.line"] if caisey.database else ["record.db", "search.db"]
    until(lambda: all(place in " ".join(places(caisey)) for place in kept), "the record and the index")
    cast = f"/sessions/{session}/terminal.cast"
    assert MARK in dana.call("GET", cast).text
    assert MARK in str(dana.get(f"/search?q={MARK}"))
    erased = admin.post(f"/sessions/{other}/erase", {"reason": "the client asked"})
    assert erased["reason"] == ""
    admin.post(f"/sessions/{session}/erase", {"reason": "the client asked"})
    assert places(caisey) == []
    review = dana.get(f"/sessions/{session}")
    assert review["proof"]["ok"], review["proof"]
    assert "contents erased" in review["proof"]["sentence"]
    assert MARK not in str(review)
    assert MARK not in dana.call("GET", cast).text, "a replay that is open finds nothing when it is loaded again"
    assert dana.get("/search?q=Zanzibar")["items"] == []
    command = next(entry["command"] for entry in review["entries"] if entry["command"])
    assert (command["exit_code"], command["state"], command["line"]) == (0, "finished", "(no longer kept)")
    assert dana.call("GET", f"/sessions/{session}/commands/{command['id']}/output").content == b""
    verdict = caisey.verify()
    assert verdict.returncode == 0, verdict.stderr
    assert f"session/{session}" in verdict.stdout
    assert "contents erased" in verdict.stdout


def test_nothing_is_left_to_guess_with(caisey: Caisey) -> None:
    """Hashes that stay in events and receipts begin with seeds that are gone: the right words do not fit them any more."""
    line = b"true erased-word"
    session = caisey.active("PP-OFFICE")
    caisey.run(session, line.decode())
    caisey.finish(session)
    with contextlib.closing(open_store(caisey.data, caisey.database)) as store:
        (key,) = store.tenants()
        before = store.read(key.tenant, f"session/{session}", 0, 1000)
        caisey.people["admin"].post(f"/sessions/{session}/erase", {"reason": "asked"})
        after = store.read(key.tenant, f"session/{session}", 0, 1000)
    accepted = next(row for row in before if isinstance(e.decode(row.event), e.CommandAccepted))
    assert accepted.disclosure is not None
    seed = accepted.disclosure.seed
    receipts = [receipt.decode(found.receipt) for row in after if isinstance(found := e.decode(row.event), e.CommandFinished)]
    (said,) = [one for one in receipts if isinstance(one, receipt.CommandReceipt)]
    assert said.line == hashlib.sha256(seed + line).digest()
    kept = b"".join(row.event for row in after)
    assert all(row.disclosure is None for row in after)
    assert not any(guess in kept for guess in (seed, hashlib.sha256(line).digest(), hashlib.sha256(b"\0" + line).digest()))


def test_who_and_when(caisey: Caisey) -> None:
    """Only an admin, only what is sealed, with a reason, once."""
    admin = caisey.people["admin"]
    session = caisey.active("PP-OFFICE")
    assert admin.call("POST", f"/sessions/{session}/erase", json={"reason": "early"}).status_code == 409
    caisey.finish(session)
    for who in ("tom", "dispatcher", "auditor", "senior technician"):
        assert caisey.people[who].call("POST", f"/sessions/{session}/erase", json={"reason": "x"}).status_code == 403, who
    assert admin.call("POST", f"/sessions/{session}/erase", json={"reason": "  "}).status_code == 422
    admin.post(f"/sessions/{session}/erase", {"reason": "asked"})
    again = admin.call("POST", f"/sessions/{session}/erase", json={"reason": "asked"})
    assert again.status_code == 409
    assert again.json()["detail"] == "The contents of this session are erased already."
    nowhere = "00000000-0000-4000-8000-000000000000"
    assert admin.call("POST", f"/sessions/{nowhere}/erase", json={"reason": "asked"}).status_code == 404


def test_texts_that_are_gone_without_an_entry(caisey: Caisey, tmp_path: Path) -> None:
    """Whoever destroys texts in the database by hand is found out: only the audit log can say that they may be gone."""
    session = finished(caisey, "NW-WAREHOUSE-1")
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "caisey.toml").write_text((caisey.data / "caisey.toml").read_text())
    with sqlite3.connect(caisey.data / "record.db") as record, sqlite3.connect(copy / "record.db") as other:
        record.backup(other)
        row = other.execute("SELECT id FROM stream WHERE name = ?", (f"session/{session}",)).fetchone()
        other.execute("UPDATE event SET seed = NULL, texts = NULL WHERE id >> 40 = ?", row)
    verdict = Caisey(copy).verify()
    assert verdict.returncode == 1
    assert f"session/{session}" in verdict.stderr
    assert "its text is missing" in verdict.stderr


@both
def test_after_its_time(stopped: Caisey) -> None:
    """A client's own rule goes before the rule for all; what is past its time is erased by itself, and says by which rule."""
    mine, theirs = finished(stopped, "HD-FRONTDESK"), finished(stopped, "PP-OFFICE")
    admin = stopped.people["admin"]
    clients = {one["name"]: one["id"] for one in admin.get("/devices")["clients"]}
    admin.post("/retention", {"client": None, "days": 400})
    rules = admin.post("/retention", {"client": clients["Harbor Dental"], "days": 30})["rules"]
    assert {rule["name"]: rule["days"] for rule in rules}["Harbor Dental"] == 30
    assert admin.call("POST", "/retention", json={"days": -1}).status_code == 422
    stopped.kill()
    with serving(stopped, days_ahead=29):
        assert "erased" not in admin.get(f"/sessions/{mine}")["proof"]["sentence"]
    with serving(stopped, days_ahead=31):
        until(lambda: "contents erased" in admin.get(f"/sessions/{mine}")["proof"]["sentence"], "the erasure")
        assert "erased" not in admin.get(f"/sessions/{theirs}")["proof"]["sentence"]
        assert any("contents are kept for 30 days" in line for line in admin.get(f"/sessions/{mine}")["proof"]["proved"])
    with serving(stopped, days_ahead=401):
        until(lambda: "contents erased" in admin.get(f"/sessions/{theirs}")["proof"]["sentence"], "the erasure")
        until(lambda: not places(stopped), "the end of the erasure")
    assert stopped.verify().returncode == 0


@both
def test_a_crash_in_between(stopped: Caisey) -> None:
    """What was asked for and not finished is finished when the server is back."""
    session = finished(stopped)
    stopped.kill()
    actor = msgspec.msgpack.encode({"kind": "member", "id": "", "name": "Ada Lindqvist"})
    asked = "INSERT INTO erasure SELECT {}, id, 'request', 'the client asked', {}, 0, NULL FROM tenant"
    if stopped.database:
        with psycopg.connect(stopped.database, options="-c search_path=caisey_catalogue") as database:
            database.execute(sql.SQL(asked).format(UUID(session), actor))  # type: ignore[arg-type]
    else:
        with closing(sqlite3.connect(stopped.data / "catalogue.db")) as catalogue, catalogue:
            catalogue.execute(asked.format("?", "?"), (session, actor))
    with serving(stopped):
        tom = stopped.people["tom"]
        until(lambda: "contents erased" in tom.get(f"/sessions/{session}")["proof"]["sentence"], "the erasure")
        until(lambda: not places(stopped), "the end of the erasure")


@both
def test_an_index_that_cannot_be_changed(stopped: Caisey, request: pytest.FixtureRequest) -> None:
    """It is said so; after a crash at this point the index follows at the next start, and the audit log says it once."""
    session = finished(stopped)
    word = MARK.partition("-")[0].lower().encode()
    until(lambda: word in words(stopped, request), "the index")
    admin = stopped.people["admin"]
    with locked(stopped):
        answer = admin.call("POST", f"/sessions/{session}/erase", json={"reason": "the client asked"})
        assert answer.status_code == 503
        assert "The search index cannot be changed now" in answer.json()["detail"]
        stopped.kill()
        assert word in words(stopped, request)
    with serving(stopped):
        until(lambda: word not in words(stopped, request), "the index")
        until(lambda: not places(stopped), "the end of the erasure")
        assert "contents erased" in admin.get(f"/sessions/{session}")["proof"]["sentence"]
    assert entries(stopped, session) == 1


@both
def test_a_crash_before_the_purge(stopped: Caisey, request: pytest.FixtureRequest) -> None:
    """While somebody reads, the index's words stay in its files; a server that is killed meanwhile clears them at its next start."""
    session = finished(stopped)
    word = MARK.partition("-")[0].lower().encode()
    until(lambda: word in words(stopped, request), "the index")
    with beside(stopped) as let_go:
        stopped.people["admin"].post(f"/sessions/{session}/erase", {"reason": "the client asked"})
        stopped.kill()
        let_go()
        assert word in words(stopped, request)
        with serving(stopped):
            until(lambda: word not in words(stopped, request), "the purge")
            until(lambda: not places(stopped), "the end of the erasure")
