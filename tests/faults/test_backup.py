"""`caisey backup` while the server works, and `caisey restore` into a new folder: all of it, or nothing and words."""

import contextlib
import signal
import sqlite3
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psycopg
import pytest
from backups import New, contents, put_back, rows_of, served
from databases import Postgres, both
from doors import Caisey, Person, caisey, running, until
from installed import CATALOGUE, RECORD, Installed

from caisey_core.catalogue import schema
from caisey_core.catalogue.postgres import EMPTY
from caisey_core.services import backup, databases, databases_sqlite
from caisey_core.services.databases import BackupTrouble


def at(person: Person, url: str) -> Person:
    """The same person at another address."""
    return Person(person.name, person.role, person.sign_in, person.token, f"{url}/api/v1/t/brightwater-it")


@contextlib.contextmanager
def busy(demo: Caisey, session: str) -> Iterator[list[str]]:
    """Commands run one after the other meanwhile; yields those that were accepted."""
    accepted: list[str] = []
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            with contextlib.suppress(httpx2.HTTPError, AssertionError):
                accepted.append(demo.people["tom"].post(f"/sessions/{session}/commands", {"line": "echo load"})["id"])

    worker = threading.Thread(target=load)
    worker.start()
    try:
        until(lambda: len(accepted) > 5, "some load")
        yield accepted
    finally:
        stop.set()
        worker.join()


@both
def test_a_backup_of_a_busy_server(tmp_path: Path, new_database: New) -> None:
    """What was accepted before the backup began is in it; people, sessions and a fetched file are back, and work goes on."""
    with running(tmp_path / "data", new_database()) as demo:
        tom = demo.people["tom"]
        session = demo.active(scopes=("run", "files"))
        source = tmp_path / "report.txt"
        source.write_text("what the device had to say")
        wanted = tom.post(f"/sessions/{session}/files/download", {"path": str(source)})["id"]
        until(lambda: tom.call("GET", f"/sessions/{session}/files/{wanted}").status_code == 200, "the file")
        with busy(demo, session) as accepted:
            before = list(accepted)
            made = caisey("backup", str(tmp_path / "b.caisey"), "--data", str(demo.data), "--with-master-key")
        assert made.returncode == 0, made.stderr
        assert "every event was verified" in made.stdout
        assert "whoever has this file can sign as this installation" in made.stdout
        assert (tmp_path / "b.caisey").stat().st_mode & 0o077 == 0
        assert demo.verify().returncode == 0

        back = put_back(tmp_path / "b.caisey", Installed(tmp_path / "new", new_database()))
        assert back.returncode == 0, back.stderr
        assert "caisey-agent forget-history" in back.stdout
        assert caisey("doctor", "--data", str(tmp_path / "new")).returncode == 0
        with served(tmp_path / "new") as server:
            there = at(tom, server.url)
            review = there.get(f"/sessions/{session}")
            assert set(before) <= {entry["command"]["id"] for entry in review["entries"] if entry["command"] is not None}
            assert there.call("GET", f"/sessions/{session}/files/{wanted}").text == "what the device had to say"
            assert at(demo.people["dispatcher"], server.url).get("/devices")["counts"]["devices"] == 4
        assert caisey("verify", "--data", str(tmp_path / "new")).returncode == 0


def test_a_finished_download_outlives_the_server(tmp_path: Path) -> None:
    """kill -9 and a new start: the session is open, its file can still be fetched; one that was changed cannot."""
    with running(tmp_path / "data") as demo:
        tom = demo.people["tom"]
        session = demo.active()
        wanted = []
        for text in ("one", "two"):
            source = tmp_path / f"{text}.txt"
            source.write_text(text)
            wanted.append(tom.post(f"/sessions/{session}/files/download", {"path": str(source)})["id"])
            until(lambda: tom.call("GET", f"/sessions/{session}/files/{wanted[-1]}").status_code == 200, "the file")
        assert demo.process is not None
        demo.process.send_signal(signal.SIGKILL)
        demo.process.wait()
        (demo.data / "transfers" / wanted[1]).write_text("another")
        (demo.data / "transfers" / "left-over").touch()
        demo.restart_server()
        demo.state(session, "active")
        assert tom.call("GET", f"/sessions/{session}/files/{wanted[0]}").text == "one"
        assert tom.call("GET", f"/sessions/{session}/files/{wanted[1]}").status_code == 404
        assert [path.name for path in (demo.data / "transfers").iterdir()] == [wanted[0]]
        demo.finish(session)
        assert not any((demo.data / "transfers").iterdir())


@both
def test_the_master_key_comes_by_another_way(made: tuple[Installed, Path], tmp_path: Path, new_database: New) -> None:
    """It is in no file of the backup; the restore says where to put it, takes a copy of it, and no other key."""
    place, file = made
    with zipfile.ZipFile(file) as packed:
        names = packed.namelist()
        assert names[-2:] == ["caisey.toml", "manifest.json"]
        if place.on_files:
            assert names[:-2] == ["catalogue.db", "record.db"]
        else:
            assert {name.partition("/")[0] for name in names[:-2]} == {"caisey_catalogue", "caisey_record"}
        key = (place.data / "keys/master.key").read_bytes()
        assert not any(key in packed.read(name) for name in names)
    new = Installed(tmp_path / "new", new_database())
    back = put_back(file, new)
    assert back.returncode == 0, back.stderr
    there = new.data / "keys/master.key"
    assert f"Put your copy at {there}" in back.stdout
    refused = caisey("serve", "--data", str(new.data), "--port", "0")
    assert refused.returncode == 1
    assert "master key" in refused.stderr
    there.parent.mkdir(mode=0o700)
    there.write_bytes(key)
    with served(new.data):
        pass
    (tmp_path / "wrong.key").write_bytes(bytes(32))
    other = Installed(tmp_path / "other", new_database())
    refused = put_back(file, other, "--master-key", str(tmp_path / "wrong.key"))
    assert refused.returncode == 1
    assert "not the one of the backup" in refused.stderr
    assert not other.data.exists()
    right = put_back(file, other, "--master-key", str(place.data / "keys/master.key"))
    assert right.returncode == 0, right.stderr
    assert caisey("doctor", "--data", str(other.data)).returncode == 0


@both
def test_nothing_is_written_over(made: tuple[Installed, Path], tmp_path: Path, new_database: New) -> None:
    """Neither an installation by a restore, nor a file by a backup."""
    place, file = made
    held = contents(place)
    over = put_back(file, Installed(place.data, new_database()))
    assert over.returncode == 1
    assert "is never restored over anything" in over.stderr
    if place.database:
        over = put_back(file, Installed(tmp_path / "new", place.database))
        assert over.returncode == 1
        assert "holds an installation of Caisey already" in over.stderr
    assert contents(place) == held
    again = caisey("backup", str(file), "--data", str(place.data))
    assert again.returncode == 1
    assert "exists already" in again.stderr
    nothing = caisey("backup", str(tmp_path / "x"), "--data", str(tmp_path))
    assert nothing.returncode == 1
    assert "is not a data folder" in nothing.stderr
    assert not any(tmp_path.iterdir())


@both
def test_a_record_that_does_not_hold_is_not_backed_up(
    made: tuple[Installed, Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The operator learns it now, not on the day of the restore."""
    place = made[0].copied(tmp_path / "data", lambda name: request.getfixturevalue("postgres_server").new(name))
    place.run(RECORD, "UPDATE event SET bytes = {byte} WHERE id = (SELECT max(id) FROM event)")
    said = caisey("backup", str(tmp_path / "b"), "--data", str(place.data))
    assert said.returncode == 1
    assert "no backup was made" in said.stderr
    assert not (tmp_path / "b").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


in_a_database = pytest.mark.parametrize("kind", ["postgresql"], indirect=True, scope="session")


@in_a_database
def test_everything_is_back_in_a_database(made: tuple[Installed, Path], tmp_path: Path, new_database: New) -> None:
    """Every row of every table but the session rows' is what it was, and numbers go on after those that were given out."""
    place, file = made
    new = Installed(tmp_path / "new", new_database())
    assert put_back(file, new, "--master-key", str(place.data / "keys/master.key")).returncode == 0
    for name in ("caisey_record", "caisey_catalogue"):
        for (table,) in place.run(RECORD, f"SELECT tablename FROM pg_tables WHERE schemaname = '{name}' ORDER BY 1"):
            rows = f"SELECT t::text FROM {name}.{table} AS t ORDER BY 1"
            assert new.run(RECORD, rows) == place.run(RECORD, rows), table
    (highest,) = new.run(RECORD, "SELECT max(id), max(writer) FROM stream")
    (given,) = new.run(RECORD, "SELECT nextval(pg_get_serial_sequence('stream', 'id')), nextval('writer')")
    assert given[0] > highest[0]
    assert given[1] > highest[1]


@in_a_database
def test_a_backup_of_a_database_has_one_moment(
    made: tuple[Installed, Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """While another connection writes pairs to both schemas, each backup has both of a pair."""
    place = made[0].copied(tmp_path / "data", lambda name: request.getfixturevalue("postgres_server").new(name))
    place.run(RECORD, "CREATE TABLE caisey_catalogue.aaa (x INTEGER)", "CREATE TABLE caisey_record.zzz (x INTEGER)")
    stop = threading.Event()

    def write() -> None:
        with psycopg.connect(place.database, autocommit=True) as connection:
            while not stop.is_set():
                connection.execute(
                    "BEGIN; INSERT INTO caisey_catalogue.aaa VALUES (1); INSERT INTO caisey_record.zzz VALUES (1); COMMIT"
                )

    worker = threading.Thread(target=write)
    worker.start()
    counts = []
    try:
        for number in range(5):
            backup.make(databases.of(place.data, place.database), tmp_path / f"{number}", with_master_key=False)
            with zipfile.ZipFile(tmp_path / f"{number}") as packed:
                one, two = (
                    sum(1 for _ in rows_of(packed.read(name))) for name in ("caisey_catalogue/aaa", "caisey_record/zzz")
                )
            assert one == two
            counts.append(one)
    finally:
        stop.set()
        worker.join()
    assert counts == sorted(counts)
    assert len(set(counts)) > 1


TENANT = "id, slug, name, created_at"  # columns of the first step
MEMBER = "id, tenant, name, email, role, plugin, subject, active, created_at"


@in_a_database
async def test_a_catalogue_of_an_older_version_is_brought_up_to_date(
    made: tuple[Installed, Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Its tables are made as they were, filled, and get the steps that are missing; one of a newer version is refused."""
    place = made[0].copied(tmp_path / "data", lambda name: request.getfixturevalue("postgres_server").new(name))
    place.run(
        CATALOGUE,
        "ALTER SCHEMA caisey_catalogue RENAME TO newest",
        f"{EMPTY}; {schema.for_postgresql(schema.STEPS[0])}; INSERT INTO version VALUES (1)",
        f"INSERT INTO tenant ({TENANT}) SELECT {TENANT} FROM newest.tenant",
        f"INSERT INTO member ({MEMBER}) SELECT {MEMBER} FROM newest.member",
        "DROP SCHEMA newest CASCADE",
    )
    newer = made[0].copied(tmp_path / "newer", lambda name: request.getfixturevalue("postgres_server").new(name))
    newer.run(CATALOGUE, "INSERT INTO version VALUES (1000)")
    for one in (place, newer):
        backup.make(databases.of(one.data, one.database), tmp_path / f"{one.data.name}.b", with_master_key=True)
    back = Installed(tmp_path / "back", request.getfixturevalue("postgres_server").new())
    await backup.restore(tmp_path / "data.b", databases.of(back.data, back.database), None)
    assert caisey("doctor", "--data", str(back.data)).returncode == 0
    for rows in ("SELECT * FROM version ORDER BY 1", "SELECT * FROM member"):
        assert back.run(CATALOGUE, rows) == made[0].run(CATALOGUE, rows)
    other = Installed(tmp_path / "other", request.getfixturevalue("postgres_server").new())
    with pytest.raises(BackupTrouble, match="newer version"):
        await backup.restore(tmp_path / "newer.b", databases.of(other.data, other.database), None)


@both
def test_a_backup_is_restored_to_its_own_kind(made: tuple[Installed, Path], tmp_path: Path, postgres_server: Postgres) -> None:
    """One of files to files, one of a database to a database; anything else is refused in words."""
    address = postgres_server.new()
    other = Installed(tmp_path / "new", address if made[0].on_files else "")
    refused = put_back(made[1], other)
    assert refused.returncode == 1
    assert ("leave --database" if made[0].on_files else "name it with --database") in refused.stderr
    assert not any(tmp_path.iterdir())
    databases.of(other.data, address).refuse_unless_empty()


def test_the_password_is_in_no_backup(tmp_path: Path, postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it lies in the settings or comes by the environment; the other lines of the settings come along as they are."""
    address = postgres_server.new()
    secret = address.replace("caisey@", "caisey:correct-horse@")
    data, file = tmp_path / "data", tmp_path / "b"
    assert caisey("init", "--data", str(data), "--database", secret).returncode == 0
    assert "correct-horse" in (data / "caisey.toml").read_text()
    with (data / "caisey.toml").open("a") as settings:
        settings.write("# in the cellar\nport = 9000\n")
    assert caisey("backup", str(file), "--data", str(data), "--with-master-key").returncode == 0
    with zipfile.ZipFile(file) as packed:
        assert not any(b"correct-horse" in packed.read(name) for name in packed.namelist())
        assert f'database = "{address}"'.encode() in packed.read("caisey.toml")
    new = postgres_server.new()
    monkeypatch.setenv("CAISEY_DATABASE", new.replace("caisey@", "caisey:battery-staple@"))
    said = caisey("restore", str(file), "--data", str(tmp_path / "new"))
    assert said.returncode == 0, said.stderr
    settings = (tmp_path / "new/caisey.toml").read_text()
    assert f'database = "{new}"' in settings
    assert "# in the cellar\nport = 9000\n" in settings
    assert "horse" not in settings
    assert "staple" not in settings


def test_a_copy_has_one_moment_and_nothing_erased(tmp_path: Path) -> None:
    """While another connection writes pairs, each copy has both of a pair; text that was deleted lies in no free page of it."""
    path = tmp_path / "a.db"
    writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    writer.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA secure_delete=OFF; CREATE TABLE one (x); CREATE TABLE two (x); CREATE TABLE said (x)"
    )
    secret = b"the text that was to be forgotten"
    writer.executemany("INSERT INTO said VALUES (?)", [(secret * 100,)] * 50)
    writer.execute("DELETE FROM said")
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            writer.executescript("BEGIN; INSERT INTO one VALUES (1); INSERT INTO two VALUES (1); COMMIT")

    worker = threading.Thread(target=write)
    worker.start()
    counts = []
    try:
        for number in range(10):
            copy = tmp_path / f"{number}.db"
            end = time.monotonic() + 10
            databases_sqlite.copy(path, copy)
            assert time.monotonic() < end
            with contextlib.closing(sqlite3.connect(copy)) as connection:
                (one,) = connection.execute("SELECT count(*) FROM one").fetchone()
                (two,) = connection.execute("SELECT count(*) FROM two").fetchone()
                assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert one == two
            counts.append(one)
            assert secret not in copy.read_bytes()
    finally:
        stop.set()
        worker.join()
        writer.close()
    assert counts == sorted(counts)
    assert len(set(counts)) > 1
