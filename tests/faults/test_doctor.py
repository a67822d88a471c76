"""`caisey doctor` looks at everything in a data folder; what it can make anew from the record, it makes equal."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from databases import Postgres, both
from doors import caisey, running, until
from installed import CATALOGUE, RECORD, Installed

from caisey_core.services import doctor


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]) -> Installed:
    """A stopped installation: a sealed session whose texts were erased, a denied one, and an open one with output and a fetched file."""
    data, database = tmp_path_factory.mktemp("kept") / "data", new_database()
    with running(data, database) as demo:
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
    return Installed(data, database)


@pytest.fixture
def place(kept: Installed, tmp_path: Path, request: pytest.FixtureRequest) -> Installed:
    """A copy to damage."""
    return kept.copied(tmp_path / "data", lambda name: request.getfixturevalue("postgres_server").new(name))


def rows(place: Installed) -> list[tuple[Any, ...]]:
    """Return every column of every session row."""
    return place.run(CATALOGUE, "SELECT * FROM session ORDER BY id")


async def wrong(place: Installed, *, anew: bool = False) -> dict[str, str]:
    """Return the checks that found something."""
    return {check.name: check.words async for check in doctor.examine(place.data, anew=anew) if not check.ok}


@both
def test_a_line_for_each_check(place: Installed) -> None:
    """All is well, exit code 0; where something is not, 1."""
    data = place.data
    said = caisey("doctor", "--data", str(data))
    assert said.returncode == 0, said.stdout
    lines = said.stdout.splitlines()
    assert lines[-1] == "Everything is in order."
    assert all(line.startswith("ok     ") for line in lines[:-1])
    assert len(lines) == 14
    (data / "caisey.toml").chmod(0o644)
    said = caisey("doctor", "--data", str(data))
    assert said.returncode == 1
    assert "WRONG  permissions" in said.stdout
    assert "1 of the checks found something." in said.stdout
    assert caisey("doctor", "--data", str(data / "nowhere")).returncode == 1


DAMAGE = {
    "all deleted": "DELETE FROM session",
    "one deleted": "DELETE FROM session WHERE NOT sealed",
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


TYPED = ("words for a number", "rubbish for an id")  # what PostgreSQL's columns refuse


@both
@pytest.mark.parametrize("damage", DAMAGE)
async def test_session_rows_made_anew_are_equal(place: Installed, damage: str) -> None:
    """Whatever happened to the rows: doctor sees it, and `--rebuild` makes from the record alone what was there, in every column."""
    if damage in TYPED and not place.on_files:
        pytest.skip("PostgreSQL's columns have types")
    before = rows(place)
    assert len(before) == 3
    place.run(CATALOGUE, DAMAGE[damage])
    assert rows(place) != before
    found = await wrong(place)
    assert found
    assert found.keys() <= {"session rows", "nothing astray in the catalogue"}
    await wrong(place, anew=True)
    assert await wrong(place) == {}
    assert rows(place) == before


@both
async def test_a_row_without_a_record(place: Installed) -> None:
    """It is seen and goes."""
    before = rows(place)
    columns = "tenant, device, device_name, client, client_name, technician, technician_name, state, reason, scopes"
    more = "duration_seconds, requested_at, who, resolution, commands, events, sealed, search"
    place.run(
        CATALOGUE,
        f"INSERT INTO session (id, {columns}, {more}) SELECT '{uuid4()}', {columns}, {more} FROM session LIMIT 1",
    )
    assert "1 without a record" in (await wrong(place))["session rows"]
    assert await wrong(place, anew=True) == {}
    assert rows(place) == before


def scratch_page(place: Installed) -> None:
    """Overwrite a page of the catalogue."""
    place.run(CATALOGUE, "PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray((place.data / "catalogue.db").read_bytes())
    content[-4096:] = bytes(4096)
    (place.data / "catalogue.db").write_bytes(content)


Harm = Callable[[Installed], Any]
BOTH: dict[str, tuple[Harm, str, str]] = {
    "a folder that others can read": (lambda at: (at.data / "keys").chmod(0o755), "permissions", "can be used by others"),
    "no master key": (lambda at: (at.data / "keys/master.key").unlink(), "keys", "cannot be read"),
    "a changed event": (
        lambda at: at.run(RECORD, "UPDATE event SET bytes = {byte} WHERE id = (SELECT max(id) FROM event)"),
        "record",
        "NOT VERIFIED",
    ),
    "a stray event": (
        lambda at: at.run(RECORD, f"INSERT INTO event VALUES ({1 << 60}, {{byte}}, NULL, NULL)"),
        "nothing astray in the record",
        "events are kept",
    ),
    "a stray member": (
        lambda at: at.run(CATALOGUE, f"UPDATE api_token SET tenant = '{uuid4()}'"),
        "nothing astray in the catalogue",
        "rows of api_token belong to no tenant",
    ),
    "another device key": (
        lambda at: at.run(CATALOGUE, "UPDATE device SET key = {bytes} WHERE name = 'HD-XRAY'"),
        "devices",
        "HD-XRAY: its key is not the one",
    ),
    "a device gone": (
        lambda at: at.run(CATALOGUE, "DELETE FROM device WHERE name = 'HD-XRAY'"),
        "devices",
        "HD-XRAY. Enrol them again",
    ),
    "a changed file": (
        lambda at: next((at.data / "transfers").iterdir()).write_text("something else"),
        "files",
        "is not what the record says",
    ),
    "a file of nobody": (lambda at: (at.data / "transfers" / str(uuid4())).touch(), "files", "belongs to no open session"),
    "a wrong setting": (lambda at: (at.data / "caisey.toml").write_text("port = 'many'"), "settings", "port"),
}
ON_FILES: dict[str, tuple[Harm, str, str]] = {
    "an index of searches that others can read": (
        lambda at: (at.data / "search.db").chmod(0o644),
        "permissions",
        "search.db can be used by others",
    ),
    "another master key": (
        lambda at: (at.data / "keys/master.key").write_bytes(bytes(32)),
        "keys",
        "not sealed by this master key",
    ),
    "a damaged page": (scratch_page, "catalogue file", "is damaged"),
    "no catalogue": (lambda at: (at.data / "catalogue.db").unlink(), "catalogue file", "is not there"),
    "a catalogue that others can read": (
        lambda at: (at.data / "catalogue.db").chmod(0o644),
        "permissions",
        "catalogue.db can be used by others",
    ),
}
# an index that misses a row: what a broken page comes to, made by SQL
FORGETFUL = (
    "CREATE EXTENSION amcheck",
    "UPDATE pg_index SET indisready = false WHERE indexrelid = 'retention_tenant'::regclass",
    "INSERT INTO retention SELECT id, tenant, NULL, 30 FROM session",
    "UPDATE pg_index SET indisready = true WHERE indexrelid = 'retention_tenant'::regclass",
)
IN_A_DATABASE: dict[str, tuple[Harm, str, str]] = {
    "another master key": (
        lambda at: (at.data / "keys/master.key").write_bytes(bytes(32)),
        "database",
        "belongs to another installation",
    ),
    "a damaged index": (lambda at: [at.run(CATALOGUE, step) for step in FORGETFUL], "pages", "lacks matching index tuple"),
    "no catalogue": (lambda at: at.run(CATALOGUE, "DROP SCHEMA caisey_catalogue CASCADE"), "catalogue", "no catalogue"),
    "no record": (lambda at: at.run(RECORD, "DROP SCHEMA caisey_record CASCADE"), "database", "is not a database of Caisey"),
}


async def finds(place: Installed, fault: tuple[Harm, str, str]) -> None:
    """All is well; then harm is done, and the check says it in these words."""
    harm, check, words = fault
    assert await wrong(place) == {}
    harm(place)
    assert words in (await wrong(place))[check]


@both
@pytest.mark.parametrize("fault", BOTH)
async def test_each_check_finds_its_fault(place: Installed, fault: str) -> None:
    """And says it in words that name it."""
    await finds(place, BOTH[fault])


@pytest.mark.parametrize("fault", ON_FILES)
async def test_what_happens_to_files(place: Installed, fault: str) -> None:
    """Is found, and said in words that name it."""
    await finds(place, ON_FILES[fault])


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True, scope="session")
@pytest.mark.parametrize("fault", IN_A_DATABASE)
async def test_what_happens_to_a_database(place: Installed, fault: str) -> None:
    """Is found, and said in words that name it."""
    await finds(place, IN_A_DATABASE[fault])


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True, scope="session")
async def test_what_postgresql_says_of_itself(place: Installed) -> None:
    """Its settings are told; of pages doctor claims nothing unless amcheck is there, and then that it found them in order."""

    async def told() -> dict[str, str]:
        return {check.name: check.words async for check in doctor.examine(place.data)}

    before = await told()
    assert "fsync and full_page_writes are on" in before["database"]
    assert "are PostgreSQL's to check" in before["pages"]
    place.run(CATALOGUE, "CREATE EXTENSION amcheck")
    assert "amcheck found all tables" in (await told())["pages"]


async def test_a_database_that_is_away(kept: Installed, tmp_path: Path, postgres_server: Postgres) -> None:
    """Each check that needs it says so in words; those that do not are still made."""
    place = kept.copied(tmp_path / "data", lambda _: "")
    with (place.data / "caisey.toml").open("a") as settings:
        settings.write(f'database = "{postgres_server.address("nowhere")}"\n')
    found = await wrong(place)
    assert found.keys() == {
        "keys", "database", "pages", "record", "nothing astray in the record", "catalogue", "files",
    }  # fmt: skip
    assert "does not exist" in found["record"]
