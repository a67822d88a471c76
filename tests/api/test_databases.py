"""An installation in a database: which are refused, where its password lies, what people are told while it is away."""

from pathlib import Path

import httpx2
import psycopg
import pytest
from databases import Postgres, postgres
from doors import Server, caisey, until


def refused(*arguments: str) -> str:
    """Run a command that must fail, and return its words."""
    done = caisey(*arguments)
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    return done.stderr


def test_databases_that_are_none(tmp_path: Path, postgres_server: Postgres) -> None:
    """One that is not there, empty, foreign, begun or another installation's is refused; a refused `init` leaves no folder."""
    data = tmp_path / "data"
    missing, foreign, mine = postgres_server.address("typo"), postgres_server.new(), postgres_server.new()
    postgres_server.run("CREATE TABLE shop (id INTEGER)", foreign.rpartition("/")[2])
    assert "does not exist" in refused("init", "--data", str(data), "--database", missing)
    assert "it has public.shop" in refused("init", "--data", str(data), "--database", foreign)
    assert "must be an address" in refused("init", "--data", str(data), "--database", "mysql://db/caisey")
    assert not data.exists()
    assert caisey("init", "--data", str(data), "--database", mine).returncode == 0
    assert list(data.glob("*.db")) == []
    other = tmp_path / "other"
    assert "already" in refused("init", "--data", str(other), "--database", mine)
    assert not other.exists()
    assert caisey("init", "--data", str(other), "--database", postgres_server.new()).returncode == 0
    for command in ("serve", "verify"):
        assert "does not exist" in refused(command, "--data", str(data), "--database", missing)
        assert "is not a database of Caisey (it has public.shop)" in refused(
            command, "--data", str(data), "--database", foreign
        )
        assert "is empty" in refused(command, "--data", str(data), "--database", postgres_server.new())
        assert "belongs to another installation" in refused(command, "--data", str(other), "--database", mine)
    assert caisey("verify", "--data", str(data)).returncode == 0


def test_an_account_that_may_make_schemas_is_enough(tmp_path: Path, postgres_server: Postgres) -> None:
    """It is no superuser and makes no extension, for serving as for care."""
    address = postgres_server.new()
    name = address.rpartition("/")[2]
    postgres_server.run("CREATE ROLE plain LOGIN")
    postgres_server.run(f"GRANT CREATE ON DATABASE {name} TO plain")
    made = caisey("init", "--data", str(tmp_path / "data"), "--database", address.replace("caisey@", "plain@"))
    assert (made.returncode, made.stderr) == (0, "")
    for command in ("verify", "doctor"):
        assert caisey(command, "--data", str(tmp_path / "data")).returncode == 0
    assert caisey("backup", str(tmp_path / "b"), "--data", str(tmp_path / "data")).returncode == 0
    with psycopg.connect(address) as database:
        assert database.execute("SELECT extname FROM pg_extension").fetchall() == [("plpgsql",)]


def test_the_password_need_not_lie_in_a_file(
    tmp_path: Path, postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes by the environment for init and serve, and is in no file of the folder."""
    address = postgres_server.new()
    monkeypatch.setenv("CAISEY_DATABASE", address.replace("caisey@", "caisey:correct-horse@"))
    server = Server(tmp_path / "data")
    assert caisey("init", "--data", str(server.data)).returncode == 0
    server.start()
    assert server.stop() == 0
    assert list(server.data.glob("*.db*")) == []
    assert address in (server.data / "caisey.toml").read_text()
    assert not any(b"correct-horse" in path.read_bytes() for path in server.data.rglob("*") if path.is_file())


def test_a_database_that_is_away(tmp_path: Path) -> None:
    """Pages say so in words meanwhile; when it is back everything goes on by itself, and the record holds."""
    with postgres() as database:
        server = Server(tmp_path / "data")
        assert caisey("init", "--data", str(server.data), "--database", database.new()).returncode == 0
        server.start()
        page = f"{server.url}/t/my-company/sign-in"

        def answers(status: int) -> bool:
            return httpx2.get(page, headers={"accept": "text/html"}, timeout=30).status_code == status

        until(lambda: answers(200), "the page")
        database.kill()
        away = httpx2.get(page, headers={"accept": "text/html"}, timeout=30)
        assert away.status_code == 503
        assert "database" in away.text
        assert away.headers["retry-after"]
        database.start()
        until(lambda: answers(200), "the page again")
        assert caisey("verify", "--data", str(server.data)).returncode == 0
        database.kill()
        assert server.stop() == 0, "it stops although the database is away"
        log = server.data.with_name("data.log").read_text()
        assert "Traceback (most" not in log
