"""`caisey doctor` looks at everything in a data folder; what it can make anew from the record, it makes equal."""

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from doors import caisey, running, until

from caisey_core.services import doctor


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped installation: a sealed session whose texts were erased, a denied one, and an open one with output and a fetched file."""
    data = tmp_path_factory.mktemp("kept") / "data"
    with running(data) as demo:
        tom = demo.people["tom"]
        session = demo.active()
        demo.run(session, "echo hello")
        demo.finish(session)
        demo.people["admin"].post(f"/sessions/{session}/erase", {"reason": "asked for by the client"})
        denied = tom.post(f"/devices/{demo.devices['HD-XRAY'].id}/sessions", {"reason": "Look"})["id"]
        demo.devices["HD-XRAY"].asked()
        demo.devices["HD-XRAY"].answer(denied, "denied")
        demo.state(denied, "denied")
        left = demo.active("PP-OFFICE")
        demo.run(left, "seq 1 3000")
        source = data.parent / "report.txt"
        source.write_text("what the device had to say")
        wanted = tom.post(f"/sessions/{left}/files/download", {"path": str(source)})["id"]
        until(lambda: tom.call("GET", f"/sessions/{left}/files/{wanted}").status_code == 200, "the file")
        until(lambda: tom.get(f"/sessions/{denied}/card")["sealed"], "the seal")
        demo.stop()
    return data


@pytest.fixture
def data(kept: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(kept, tmp_path / "data"))


def rows(data: Path) -> list[tuple[Any, ...]]:
    """Return every column of every session row."""
    with contextlib.closing(sqlite3.connect(data / "catalogue.db")) as connection:
        return connection.execute("SELECT * FROM session ORDER BY id").fetchall()


def execute(path: Path, *statements: str) -> None:
    """Change a database behind our back."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


async def wrong(data: Path, *, anew: bool = False) -> dict[str, str]:
    """Return the checks that found something."""
    return {check.name: check.words async for check in doctor.examine(data, anew=anew) if not check.ok}


def test_a_line_for_each_check(data: Path) -> None:
    """All is well, exit code 0; where something is not, 1."""
    said = caisey("doctor", "--data", str(data))
    assert said.returncode == 0, said.stdout
    lines = said.stdout.splitlines()
    assert lines[-1] == "Everything is in order."
    assert all(line.startswith("ok     ") for line in lines[:-1])
    assert len(lines) == 13
    (data / "catalogue.db").chmod(0o644)
    said = caisey("doctor", "--data", str(data))
    assert said.returncode == 1
    assert "WRONG  permissions" in said.stdout
    assert "1 of the checks found something." in said.stdout
    assert caisey("doctor", "--data", str(data / "nowhere")).returncode == 1


DAMAGE = {
    "all deleted": "DELETE FROM session",
    "one deleted": "DELETE FROM session WHERE sealed = 0",
    "another state": "UPDATE session SET state = 'active'",
    "another person": "UPDATE session SET who = 'somebody'",
    "another technician": "UPDATE session SET technician_name = 'Somebody Else', reason = ''",
    "other times": "UPDATE session SET granted_at = granted_at + 1, ended_at = NULL",
    "other counts": "UPDATE session SET commands = commands + 1, events = 0",
    "not to be found": "UPDATE session SET search = ''",
    "not sealed": "UPDATE session SET sealed = NOT sealed",
    "words for a number": "UPDATE session SET requested_at = 'yesterday'",
    "rubbish for an id": "UPDATE session SET device = 'rubbish'",
    "another tenant's": "UPDATE session SET tenant = '00000000-0000-0000-0000-000000000000'",
}


@pytest.mark.parametrize("damage", DAMAGE)
async def test_session_rows_made_anew_are_equal(data: Path, damage: str) -> None:
    """Whatever happened to the rows: doctor sees it, and `--rebuild` makes from the record alone what was there, in every column."""
    before = rows(data)
    assert len(before) == 3
    execute(data / "catalogue.db", DAMAGE[damage])
    assert rows(data) != before
    found = await wrong(data)
    assert found
    assert found.keys() <= {"session rows", "nothing astray in the catalogue"}
    await wrong(data, anew=True)
    assert await wrong(data) == {}
    assert rows(data) == before


async def test_a_row_without_a_record(data: Path) -> None:
    """It is seen and goes."""
    before = rows(data)
    columns = "tenant, device, device_name, client, client_name, technician, technician_name, state, reason, scopes"
    more = "duration_seconds, requested_at, who, resolution, commands, events, sealed, search"
    execute(
        data / "catalogue.db",
        f"INSERT INTO session (id, {columns}, {more}) SELECT '{uuid4()}', {columns}, {more} FROM session LIMIT 1",
    )
    assert "1 without a record" in (await wrong(data))["session rows"]
    assert await wrong(data, anew=True) == {}
    assert rows(data) == before


def flip(path: Path, at: int) -> None:
    """Change one byte."""
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)


def master_of_another(data: Path) -> None:
    """Another installation's key."""
    (data / "keys/master.key").write_bytes(bytes(32))


def scratch_index(data: Path) -> None:
    """Overwrite a page of the catalogue."""
    execute(data / "catalogue.db", "PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray((data / "catalogue.db").read_bytes())
    content[-4096:] = bytes(4096)
    (data / "catalogue.db").write_bytes(content)


FAULTS: dict[str, tuple[Callable[[Path], Any], str, str]] = {
    "a folder that others can read": (lambda data: (data / "keys").chmod(0o755), "permissions", "can be used by others"),
    "no master key": (lambda data: (data / "keys/master.key").unlink(), "keys", "cannot be read"),
    "another master key": (master_of_another, "keys", "not sealed by this master key"),
    "a damaged page": (scratch_index, "catalogue file", "is damaged"),
    "no catalogue": (lambda data: (data / "catalogue.db").unlink(), "catalogue file", "is not there"),
    "a changed event": (
        lambda data: execute(data / "record.db", "UPDATE event SET bytes = x'00' WHERE id = (SELECT max(id) FROM event)"),
        "record",
        "NOT VERIFIED",
    ),
    "a stray event": (
        lambda data: execute(data / "record.db", "INSERT INTO event VALUES (1 << 60, x'00', NULL, NULL)"),
        "nothing astray in the record",
        "events are kept",
    ),
    "a stray member": (
        lambda data: execute(data / "catalogue.db", f"UPDATE api_token SET tenant = '{uuid4()}'"),
        "nothing astray in the catalogue",
        "rows of api_token belong to no tenant",
    ),
    "another device key": (
        lambda data: execute(data / "catalogue.db", "UPDATE device SET key = randomblob(32) WHERE name = 'HD-XRAY'"),
        "devices",
        "HD-XRAY: its key is not the one",
    ),
    "a device gone": (
        lambda data: execute(data / "catalogue.db", "DELETE FROM device WHERE name = 'HD-XRAY'"),
        "devices",
        "HD-XRAY. Enrol them again",
    ),
    "a changed file": (
        lambda data: next((data / "transfers").iterdir()).write_text("something else"),
        "files",
        "is not what the record says",
    ),
    "a file of nobody": (lambda data: (data / "transfers" / str(uuid4())).touch(), "files", "belongs to no open session"),
    "a wrong setting": (lambda data: (data / "caisey.toml").write_text("port = 'many'"), "settings", "port"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_each_check_finds_its_fault(data: Path, fault: str) -> None:
    """And says it in words that name it."""
    harm, check, words = FAULTS[fault]
    assert await wrong(data) == {}
    harm(data)
    assert words in (await wrong(data))[check]
