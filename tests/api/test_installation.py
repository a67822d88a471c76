"""From an empty folder to members who sign in: `caisey init`, `caisey serve`, the first link, passwords."""

import contextlib
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from databases import both
from doors import Browser, Server, caisey


def at(database: str) -> tuple[str, ...]:
    """Return the option for a database."""
    return ("--database", database) if database else ()


PASSWORD = "a lamp under the stairs"


@pytest.fixture
def made(tmp_path: Path, new_database: Callable[[], str]) -> Iterator[tuple[Server, str]]:
    """A new installation, and the admin's link."""
    data = tmp_path / "data"
    init = caisey(
        *("init", "--data", str(data), "--tenant", "Acme MSP", "--admin-name", "Ann", "--admin-email", "ann@acme.example"),
        *at(new_database()),
    )
    assert init.returncode == 0, init.stderr
    link = re.search(r"http://\S+", init.stdout)
    assert link is not None
    server = Server(data)
    server.start()
    path = "/sign-in/" + link.group().rpartition("/")[2]
    yield server, path
    assert server.stop() == 0


@both
def test_the_first_admin_signs_in_and_comes_back_with_a_password(made: tuple[Server, str]) -> None:
    """The link works once and asks for a click; a password is chosen; the next sign-in uses it; the record says so."""
    server, link = made
    ann = Browser(server.url)
    assert "Ann" not in ann.get(link).text
    account = ann.post(link)
    assert account.url.path == "/t/acme-msp/account"
    assert "Choose a password" in account.text
    second = Browser(server.url)
    second.get(link)
    used = second.post(link)
    assert used.status_code == 404
    assert "used already" in used.text
    for password, again, words in (
        ("short", "short", "at least 12 characters"),
        ("passwordpassword", "passwordpassword", "too easy to guess"),
        (PASSWORD, PASSWORD + "!", "differ"),
    ):
        refused = ann.post("/t/acme-msp/account/password", password=password, again=again)
        assert refused.status_code == 422
        assert words in refused.text
        assert f'value="{password}"' not in refused.text
    assert "Your password is set" in ann.post("/t/acme-msp/account/password", password=PASSWORD, again=PASSWORD).text
    home = Browser(server.url)
    home.get("/t/acme-msp/sign-in")
    inside = home.post("/t/acme-msp/sign-in", _plugin="local-accounts", _to="", email="ANN@acme.example", password=PASSWORD)
    assert inside.url.path == "/t/acme-msp/"
    assert "Ann" in inside.text
    wrong = home.post("/t/acme-msp/account/password", current="wrong", password=PASSWORD + "2", again=PASSWORD + "2")
    assert "not your current password" in wrong.text
    assert (
        "Your password is set"
        in home.post("/t/acme-msp/account/password", current=PASSWORD, password=PASSWORD + "2", again=PASSWORD + "2").text
    )
    assert "Sign in" in ann.get("/t/acme-msp/").text, "the other browser was signed out"
    log = home.get("/t/acme-msp/audit").text
    assert "Set a new password" in log
    assert caisey("verify", "--data", str(server.data)).returncode == 0
    for path in server.data.rglob("*"):
        if path.is_file():
            assert PASSWORD.encode() not in path.read_bytes(), path


@both
def test_guessing_is_slowed_down_and_says_nothing(made: tuple[Server, str]) -> None:
    """Known or unknown, the words are the same; after some tries one has to wait, with Retry-After."""
    server, _ = made
    thief = Browser(server.url)
    thief.get("/t/acme-msp/sign-in")
    said = []
    for email in (
        "ann@acme.example",
        "nobody@acme.example",
        "ann@acme.example",
        "x@y.example",
        "z@y.example",
        "ann@acme.example",
    ):
        answer = thief.post("/t/acme-msp/sign-in", _plugin="local-accounts", _to="", email=email, password="guess")
        said.append((answer.status_code, "is wrong" in answer.text, answer.headers.get("retry-after")))
        assert email in answer.text, "what was typed stays"
    assert said[:5] == [(200, True, None)] * 5
    assert said[5][0] == 429
    assert said[5][2] is not None


@both
def test_members_are_added_by_link(made: tuple[Server, str]) -> None:
    """The admin adds a technician, who signs in by the link; a wrong form keeps what was typed; another link can be made."""
    server, link = made
    ann = Browser(server.url)
    ann.get(link)
    ann.post(link)
    wrong = ann.post("/t/acme-msp/members", name="Tim Berg", email="no address", role="technician")
    assert wrong.status_code == 422
    assert 'value="Tim Berg"' in wrong.text
    assert 'value="no address"' in wrong.text
    added = ann.post("/t/acme-msp/members", name="Tim Berg", email="tim@acme.example", role="technician")
    found = re.search(r'id="made-link">([^<]+)<', added.text)
    assert found is not None
    tim = Browser(server.url)
    path = "/sign-in/" + found.group(1).rpartition("/")[2]
    tim.get(path)
    assert "Tim Berg" in tim.post(path).text
    twice = ann.post("/t/acme-msp/members", name="Tim Berg", email="tim@acme.example", role="technician")
    assert "has this e-mail address already" in twice.text
    member = re.search(r'/members/([0-9a-f-]{36})" aria-label="Change Tim Berg"', ann.get("/t/acme-msp/members").text)
    assert member is not None
    again = ann.post(f"/t/acme-msp/members/{member.group(1)}/link")
    assert "shown once and works once" in again.text
    assert tim.post(f"/t/acme-msp/members/{member.group(1)}/link").status_code == 403


def test_folders_that_are_none(tmp_path: Path) -> None:
    """A mistyped or empty folder begins no new history; a full one is not begun over; a damaged one is told."""
    for command in ("serve", "verify"):
        refused = caisey(command, "--data", str(tmp_path / "typo"))
        assert refused.returncode == 1
        assert "is not a data folder of Caisey" in refused.stderr
        assert "caisey init" in refused.stderr
        assert not (tmp_path / "typo").exists()
    (tmp_path / "empty").mkdir()
    assert caisey("serve", "--data", str(tmp_path / "empty")).returncode == 1
    assert not any((tmp_path / "empty").iterdir())
    data = tmp_path / "data"
    assert caisey("init", "--data", str(data)).returncode == 0
    again = caisey("init", "--data", str(data))
    assert again.returncode == 1
    assert "is not empty" in again.stderr
    (data / "record.db").rename(data / "gone.db")
    lost = caisey("serve", "--data", str(data), "--port", "0")
    assert lost.returncode == 1
    assert "There is no record" in lost.stderr
    assert not (data / "record.db").exists()
    (data / "gone.db").rename(data / "record.db")
    (data / "keys" / "master.key").write_bytes(b"x" * 31)
    damaged = caisey("serve", "--data", str(data), "--port", "0")
    assert damaged.returncode == 1
    assert "is damaged" in damaged.stderr
    (data / "caisey.toml").write_text("port = 'many'")
    wrong = caisey("serve", "--data", str(data))
    assert wrong.returncode == 1
    assert "port" in wrong.stderr
    assert "Traceback" not in wrong.stderr + damaged.stderr + lost.stderr


def test_databases_that_cannot_be_used(tmp_path: Path) -> None:
    """A catalogue that is damaged or newer, a master key that does not fit: words, and the process ends."""
    data = tmp_path / "data"
    assert caisey("init", "--data", str(data)).returncode == 0

    def serving() -> str:
        served = caisey("serve", "--data", str(data), "--port", "0")
        assert served.returncode == 1
        assert "Traceback" not in served.stderr
        return served.stderr

    catalogue = data / "catalogue.db"
    with contextlib.closing(sqlite3.connect(catalogue)) as connection:
        connection.execute("PRAGMA user_version=999")
    assert "newer version" in serving()
    catalogue.write_bytes(b"no database" * 1000)
    assert "not a readable catalogue" in serving()
    (data / "keys/master.key").write_bytes(bytes(32))
    assert "not sealed by this master key" in serving()


@both
def test_a_port_that_is_taken(made: tuple[Server, str]) -> None:
    """It is said in words."""
    server, _ = made
    port = server.url.rpartition(":")[2]
    taken = caisey("serve", "--data", str(server.data), "--port", port)
    assert taken.returncode == 1
    assert "in use" in taken.stderr.lower()
    assert "Traceback" not in taken.stderr


def test_what_is_installed() -> None:
    """`caisey plugins` lists each with its verdict."""
    listed = caisey("plugins")
    assert listed.returncode == 0
    for name in ("bash", "browser-notifier", "local-accounts"):
        assert re.search(rf"^{name}\s+0\.1\.0\s+.*\bok\b", listed.stdout, re.M | re.I), listed.stdout
