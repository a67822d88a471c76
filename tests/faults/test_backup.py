"""`caisey backup` while the server works, and `caisey restore` into a new folder: all of it, or nothing and words."""

import contextlib
import hashlib
import io
import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from doors import Caisey, Person, Server, caisey, running, until

from caisey_core.services import backup, databases
from caisey_core.services.backup import BackupTrouble


@contextlib.contextmanager
def served(data: Path) -> Iterator[Server]:
    """Serve a restored folder for a while."""
    server = Server(data)
    server.start()
    try:
        yield server
    finally:
        server.stop()


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


def test_a_backup_of_a_busy_server(tmp_path: Path) -> None:
    """What was accepted before the backup began is in it; people, sessions and a fetched file are back, and work goes on."""
    with running(tmp_path / "data") as demo:
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

        back = caisey("restore", str(tmp_path / "b.caisey"), "--data", str(tmp_path / "new"))
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


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An installation, and its backup without the master key."""
    folder = tmp_path_factory.mktemp("made")
    data, file = folder / "data", folder / "b.caisey"
    assert caisey("init", "--data", str(data)).returncode == 0
    said = caisey("backup", str(file), "--data", str(data))
    assert said.returncode == 0, said.stderr
    assert "The master key is NOT in it" in said.stdout
    return data, file


def test_the_master_key_comes_by_another_way(made: tuple[Path, Path], tmp_path: Path) -> None:
    """It is in no file of the backup; the restore says where to put it, takes a copy of it, and no other key."""
    data, file = made
    with zipfile.ZipFile(file) as packed:
        assert packed.namelist() == ["catalogue.db", "record.db", "caisey.toml", "manifest.json"]
        key = (data / "keys/master.key").read_bytes()
        assert not any(key in packed.read(name) for name in packed.namelist())
    back = caisey("restore", str(file), "--data", str(tmp_path / "new"))
    assert back.returncode == 0
    place = tmp_path / "new/keys/master.key"
    assert f"Put your copy at {place}" in back.stdout
    refused = caisey("serve", "--data", str(tmp_path / "new"), "--port", "0")
    assert refused.returncode == 1
    assert "master key" in refused.stderr
    place.parent.mkdir(mode=0o700)
    place.write_bytes(key)
    with served(tmp_path / "new"):
        pass
    (tmp_path / "wrong.key").write_bytes(bytes(32))
    other = caisey("restore", str(file), "--data", str(tmp_path / "other"), "--master-key", str(tmp_path / "wrong.key"))
    assert other.returncode == 1
    assert "not the one of the backup" in other.stderr
    assert not (tmp_path / "other").exists()
    right = caisey("restore", str(file), "--data", str(tmp_path / "other"), "--master-key", str(data / "keys/master.key"))
    assert right.returncode == 0
    assert caisey("doctor", "--data", str(tmp_path / "other")).returncode == 0


def test_nothing_is_written_over(made: tuple[Path, Path], tmp_path: Path) -> None:
    """Neither an installation by a restore, nor a file by a backup."""
    data, file = made
    held = (data / "record.db").read_bytes()
    over = caisey("restore", str(file), "--data", str(data))
    assert over.returncode == 1
    assert "is never restored over anything" in over.stderr
    assert (data / "record.db").read_bytes() == held
    again = caisey("backup", str(file), "--data", str(data))
    assert again.returncode == 1
    assert "exists already" in again.stderr
    nothing = caisey("backup", str(tmp_path / "x"), "--data", str(tmp_path))
    assert nothing.returncode == 1
    assert "is not a data folder" in nothing.stderr
    assert not (tmp_path / "x").exists()


def packed_again(file: Path, change: Callable[[dict[str, bytes]], None]) -> bytes:
    """Return the backup with other files in it."""
    with zipfile.ZipFile(file) as packed:
        files = {name: packed.read(name) for name in packed.namelist()}
    change(files)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return made.getvalue()


def told(files: dict[str, bytes], name: str, **changes: object) -> None:
    """Change what the manifest says of a file; a new name is added."""
    manifest = json.loads(files["manifest.json"])
    found = next((one for one in manifest["files"] if one["name"] == name), None)
    if found is None:
        found = {"name": name, "size": len(files[name]), "sha256": hashlib.sha256(files[name]).hexdigest()}
        manifest["files"].append(found)
    found.update(changes)
    files["manifest.json"] = json.dumps(manifest).encode()


def slip(name: str) -> Callable[[dict[str, bytes]], None]:
    """Add a file under a name."""

    def change(files: dict[str, bytes]) -> None:
        files[name] = b"evil"
        told(files, name)

    return change


def bomb(files: dict[str, bytes]) -> None:
    """A file far larger than announced."""
    files["transfers/a"] = bytes(50 << 20)
    told(files, "transfers/a", size=10)


def lost_event(files: dict[str, bytes]) -> None:
    """A record without its last event, and a manifest whose sums fit."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "record.db")
        path.write_bytes(files["record.db"])
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("DELETE FROM event WHERE id = (SELECT max(id) FROM event)")
            connection.commit()
        content = files["record.db"] = path.read_bytes()
    told(files, "record.db", size=len(content), sha256=hashlib.sha256(content).hexdigest())


def manifest_of(text: bytes) -> Callable[[dict[str, bytes]], None]:
    """Another manifest."""
    return lambda files: files.update({"manifest.json": text})


HOSTILE: dict[str, tuple[Callable[[dict[str, bytes]], None], str]] = {
    "a path that leaves the folder": (slip("../evil"), "does not belong there"),
    "a path from the root": (slip("/tmp/evil"), "does not belong there"),
    "a hidden file": (slip("transfers/.."), "does not belong there"),
    "a program": (slip("keys/other.key"), "does not belong there"),
    "more than announced": (bomb, "is not what was put into it"),
    "another record": (lambda files: files.update({"record.db": b"evil"}), "is not what was put into it"),
    "settings that were changed": (
        lambda files: files.update({"caisey.toml": files["caisey.toml"][:-1] + b" "}),
        "is not what was put into it",
    ),
    "no record": (lambda files: files.pop("record.db") and None, "a part is missing"),
    "no manifest": (lambda files: files.pop("manifest.json") and None, "is no backup of Caisey"),
    "a manifest of rubbish": (manifest_of(b"[1, 2]"), "manifest cannot be read"),
    "a newer format": (
        manifest_of(b'{"format":9,"caisey":"9.0","made_at":0,"checkpoints":[],"files":[]}'),
        "Install that version",
    ),
    "an empty manifest": (
        manifest_of(b'{"format":1,"caisey":"0.1","made_at":0,"checkpoints":[],"files":[]}'),
        "it has no catalogue.db",
    ),
    "a record that lost an event": (lost_event, "does not hold"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_backup(made: tuple[Path, Path], tmp_path: Path, name: str) -> None:
    """It is refused in words, nothing is left of it, nothing lands beside the folder."""
    change, words = HOSTILE[name]
    file = tmp_path / "bad"
    file.write_bytes(packed_again(made[1], change))
    with pytest.raises(BackupTrouble, match=words):
        await backup.restore(file, tmp_path / "new", None)
    assert [path.name for path in tmp_path.iterdir()] == ["bad"]


async def test_any_changed_byte(made: tuple[Path, Path], tmp_path: Path) -> None:
    """A backup with one byte changed, or cut anywhere, is refused; or the byte meant nothing, and all is as it was."""
    whole = made[1].read_bytes()
    await backup.restore(made[1], tmp_path / "right", None)
    right = {name: (tmp_path / "right" / name).read_bytes() for name in ("record.db", "caisey.toml")}
    dice = random.Random(3)
    refused = 0
    file = tmp_path / "bad"
    for number in range(60):
        place = dice.randrange(len(whole))
        bad = whole[:place] + bytes([whole[place] ^ (1 << dice.randrange(8))]) + whole[place + 1 :]
        file.write_bytes(bad if number % 3 else whole[:place])
        new = tmp_path / "new"
        try:
            await backup.restore(file, new, None)
        except (BackupTrouble, OSError):
            refused += 1
            assert not new.exists()
        else:
            assert number % 3
            assert {name: (new / name).read_bytes() for name in right} == right
            shutil.rmtree(new)
    assert refused > 40


def test_kill_9_while_it_restores(made: tuple[Path, Path], tmp_path: Path) -> None:
    """At random moments: there is no folder, or a whole one; the same command is what one runs next."""
    dice = random.Random(5)
    new = tmp_path / "new"
    command = [sys.executable, "-m", "caisey_core.cli", "restore", str(made[1]), "--data", str(new)]
    for _ in range(12):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(dice.uniform(0.1, 0.6))
        process.kill()
        process.wait()
        if new.exists():
            assert caisey("verify", "--data", str(new)).returncode == 0
            assert (new / "caisey.toml").exists()
            shutil.rmtree(new)
    assert caisey("restore", str(made[1]), "--data", str(new)).returncode == 0


def test_a_record_that_does_not_hold_is_not_backed_up(made: tuple[Path, Path], tmp_path: Path) -> None:
    """The operator learns it now, not on the day of the restore."""
    data = Path(shutil.copytree(made[0], tmp_path / "data"))
    with contextlib.closing(sqlite3.connect(data / "record.db")) as connection:
        connection.execute("UPDATE event SET bytes = x'00' WHERE id = (SELECT max(id) FROM event)")
        connection.commit()
    said = caisey("backup", str(tmp_path / "b"), "--data", str(data))
    assert said.returncode == 1
    assert "no backup was made" in said.stderr
    assert not (tmp_path / "b").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


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
            databases.copy(path, copy)
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
