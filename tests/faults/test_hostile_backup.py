"""A backup that somebody forged, that a disk damaged, or whose restore was killed: all of it is there afterwards, or nothing and words."""

import contextlib
import hashlib
import io
import json
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from backups import New, contents, put_back, rows_of
from databases import both
from doors import caisey
from installed import Installed

from caisey_core.services import backup, databases
from caisey_core.services.databases import BackupTrouble


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
    name = "record.db" if "record.db" in files else "caisey_record/event"
    content = files[name] = (_without_last_event if name == "record.db" else _without_last_row)(files[name])
    told(files, name, size=len(content), sha256=hashlib.sha256(content).hexdigest())


def _without_last_event(content: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "record.db")
        path.write_bytes(content)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("DELETE FROM event WHERE id = (SELECT max(id) FROM event)")
            connection.commit()
        return path.read_bytes()


def _without_last_row(content: bytes) -> bytes:
    *_, (last, _) = rows_of(content)
    return content[:last] + b"\xff\xff"


def record_in(files: dict[str, bytes]) -> str:
    """Return the file in which the events are."""
    return "record.db" if "record.db" in files else "caisey_record/event"


def forgotten(files: dict[str, bytes]) -> None:
    """A backup whose manifest does not speak of the events."""
    name = record_in(files)
    del files[name]
    manifest = json.loads(files["manifest.json"])
    manifest["files"] = [one for one in manifest["files"] if one["name"] != name]
    files["manifest.json"] = json.dumps(manifest).encode()


def rubbish(files: dict[str, bytes]) -> None:
    """A record of which the second half is something else, and a manifest whose sums fit."""
    name = record_in(files)
    half = len(files[name]) // 2
    content = files[name] = files[name][:half] + bytes([0x55]) * half
    told(files, name, size=len(content), sha256=hashlib.sha256(content).hexdigest())


def manifest_of(text: bytes) -> Callable[[dict[str, bytes]], None]:
    """Another manifest."""
    return lambda files: files.update({"manifest.json": text})


HOSTILE: dict[str, tuple[Callable[[dict[str, bytes]], None], str]] = {
    "a path that leaves the folder": (slip("../evil"), "does not belong there"),
    "a path from the root": (slip("/tmp/evil"), "does not belong there"),
    "a hidden file": (slip("transfers/.."), "does not belong there"),
    "a program": (slip("keys/other.key"), "does not belong there"),
    "more than announced": (bomb, "is not what was put into it"),
    "another record": (lambda files: files.update({record_in(files): b"evil"}), "is not what was put into it"),
    "settings that were changed": (
        lambda files: files.update({"caisey.toml": files["caisey.toml"][:-1] + b" "}),
        "is not what was put into it",
    ),
    "no record": (lambda files: files.pop(record_in(files)) and None, "a part is missing"),
    "a record that was forgotten": (forgotten, "it has no (record.db|caisey_record/event)"),
    "rubbish for a record": (rubbish, "is damaged|did not take the backup"),
    "another database's table": (slip("caisey_record/evil"), "does not belong there"),
    "no manifest": (lambda files: files.pop("manifest.json") and None, "is no backup of Caisey"),
    "a manifest of rubbish": (manifest_of(b"[1, 2]"), "manifest cannot be read"),
    "a newer format": (
        manifest_of(b'{"format":9,"caisey":"9.0","made_at":0,"checkpoints":[],"files":[]}'),
        "Install that version",
    ),
    "an empty manifest": (
        lambda files: files.update({"manifest.json": json.dumps(json.loads(files["manifest.json"]) | {"files": []}).encode()}),
        "it has no caisey.toml",
    ),
    "databases of another kind": (
        lambda files: files.update(
            {"manifest.json": json.dumps(json.loads(files["manifest.json"]) | {"databases": "clay"}).encode()}
        ),
        "made by a newer version",
    ),
    "a record that lost an event": (lost_event, "does not hold"),
}


@both
@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_backup(made: tuple[Installed, Path], tmp_path: Path, new_database: New, name: str) -> None:
    """It is refused in words, nothing is left of it in folder and database, nothing lands beside the folder."""
    change, words = HOSTILE[name]
    file, new = tmp_path / "bad", Installed(tmp_path / "new", new_database())
    file.write_bytes(packed_again(made[1], change))
    with pytest.raises(BackupTrouble, match=words):
        await backup.restore(file, databases.of(new.data, new.database), None)
    assert [path.name for path in tmp_path.iterdir()] == ["bad"]
    databases.of(new.data, new.database).refuse_unless_empty()


@both
async def test_any_changed_byte(made: tuple[Installed, Path], tmp_path: Path, new_database: New) -> None:
    """A backup with one byte changed, or cut anywhere, is refused; or the byte meant nothing, and all is as it was."""
    whole = made[1].read_bytes()
    dice = random.Random(3)
    refused = 0
    file = tmp_path / "bad"
    new = Installed(tmp_path / "new", new_database())
    for number in range(60):
        place = dice.randrange(len(whole))
        bad = whole[:place] + bytes([whole[place] ^ (1 << dice.randrange(8))]) + whole[place + 1 :]
        file.write_bytes(bad if number % 3 else whole[:place])
        try:
            await backup.restore(file, databases.of(new.data, new.database), None)
        except (BackupTrouble, OSError):
            refused += 1
            assert not new.data.exists()
        else:
            assert number % 3
            assert contents(new) == contents(made[0])
            shutil.rmtree(new.data)
            new = Installed(new.data, new_database())
    assert refused > 40


@both
def test_kill_9_while_it_restores(made: tuple[Installed, Path], tmp_path: Path, new_database: New) -> None:
    """At random moments: there is no folder, or a whole one; the same command is what one runs next."""
    dice = random.Random(5)
    new = Installed(tmp_path / "new", new_database())
    command = [sys.executable, "-m", "caisey_core.cli", "restore", str(made[1]), "--data", str(new.data)]
    command += ["--master-key", str(made[0].data / "keys/master.key")]
    for _ in range(12):
        more = ["--database", new.database] if new.database else []
        process = subprocess.Popen([*command, *more], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(dice.uniform(0.1, 1.2))
        process.kill()
        process.wait()
        if new.data.exists():
            said = caisey("verify", "--data", str(new.data))
            assert said.returncode == 0 or "This database is empty" in said.stderr, "killed between folder and COMMIT"
            assert (new.data / "caisey.toml").exists()
            shutil.rmtree(new.data)
            new = Installed(new.data, new_database())
    back = put_back(made[1], new)
    assert back.returncode == 0, back.stderr
