"""Two servers on one database: they keep one log, and leave each other's sessions alone."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from databases import Postgres
from doors import Browser, Caisey, Person, Server, caisey, running, until


@pytest.fixture
def first(tmp_path: Path, postgres_server: Postgres) -> Iterator[Caisey]:
    """The server to which the devices are connected."""
    with running(tmp_path / "data", postgres_server.new()) as caisey:
        yield caisey


@pytest.fixture
def second(first: Caisey) -> Iterator[Server]:
    """Another server of the same installation: its keys, its settings, its database."""
    data = first.data.with_name("second")
    shutil.copytree(first.data / "keys", data / "keys")
    shutil.copy(first.data / "caisey.toml", data)
    server = Server(data)
    server.start()
    yield server
    assert server.process is not None
    server.process.kill()
    server.process.wait()


def at(server: Server, person: Person) -> Person:
    """The same person at another server."""
    base = f"{server.url}/api/v1/t/{person.base.rpartition('/')[2]}"
    return Person(person.name, person.role, person.sign_in, person.token, base)


def test_two_servers_keep_one_log(first: Caisey, second: Server) -> None:
    """Both write at once; one is killed in between and comes back; a running session does not notice."""
    tom, ada = first.people["tom"], first.people["admin"]
    session = first.active()
    stop, made = threading.Event(), list[str]()
    client = ada.get("/devices")["clients"][0]["id"]

    def load() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            made.append(ada.post("/installers", {"client": client, "device_name": f"first-{number}"})["view"]["id"])

    worker = threading.Thread(target=load)
    worker.start()
    try:
        for life in range(3):
            other = at(second, ada)
            for number in range(8):
                made.append(other.post("/installers", {"client": client, "device_name": f"second-{number}"})["view"]["id"])
                assert first.run(session, f"echo {life} {number}")["output"] == f"{life} {number}\r\n"
            assert second.process is not None
            second.process.kill()
            second.process.wait()
            until(lambda: first.verify().returncode == 0, "the verdict while the other works", 1)
            second.start()
    finally:
        stop.set()
        worker.join()
    entries = tom.get(f"/sessions/{session}")["entries"]
    assert not any("interrupted" in str(entry).lower() for entry in entries), "the second server took the session for its own"
    assert len(made) > 24, "the first worked beside the second"
    other = at(second, ada)
    part = other.get("/installers?limit=200")
    listed = {installer["id"] for installer in part["items"]}
    while part["next"]:
        part = other.get(f"/installers?limit=200&after={part['next']}")
        listed |= {installer["id"] for installer in part["items"]}
    assert set(made) <= listed
    first.finish(session)
    verdict = first.verify()
    assert verdict.returncode == 0, verdict.stderr


def test_a_server_takes_up_what_another_left(first: Caisey, second: Server) -> None:
    """When the first is gone, whoever starts next goes on with its sessions."""
    session = first.active()
    first.run(session, "echo one")
    assert first.process is not None
    first.process.kill()
    first.process.wait()
    first.restart_server()
    first.state(session, "active")
    assert first.run(session, "echo two")["output"] == "two\r\n"
    first.finish(session)
    assert first.verify().returncode == 0


def test_what_is_done_at_one_server_is_found_at_the_other(first: Caisey, second: Server) -> None:
    """Each line is found once and while its session runs; what one server erases, none finds."""
    session, kept = first.active(), first.active("HD-XRAY")
    first.run(session, "echo 'the toner is empty'")
    first.run(kept, "echo 'the toner is full'")
    tom, admin = first.people["tom"], first.people["admin"]

    def found(person: Person, words: str) -> list[str]:
        return [one["session"] for one in person.get(f"/search?q={words}")["items"]]

    until(lambda: set(found(at(second, tom), "toner")) == {session, kept}, "both at the second server")
    assert found(at(second, tom), '"toner is empty"') == found(tom, '"toner is empty"') == [session]
    first.finish(session)
    at(second, admin).post(f"/sessions/{session}/erase", {"reason": "the client asked"})
    for person in (tom, at(second, tom)):
        assert found(person, "toner") == [kept]
    lines = "SELECT count(*), count(DISTINCT (id >> 24, position, text)) FROM caisey_search.line WHERE text LIKE '%toner%'"
    with closing(psycopg.connect(first.database)) as database:
        assert database.execute(lines).fetchone() == (2, 2)


def test_a_member_kept_out_at_one_server_is_out_at_the_other(first: Caisey, second: Server) -> None:
    """What is held open there ends within seconds, and so does what a company that is suspended has open."""
    members = first.people["admin"].get("/devices")["technicians"]
    tom = next(choice["id"] for choice in members if choice["name"] == first.people["tom"].name)

    def ended(who: str, act: Callable[[], object]) -> float:
        browser = Browser(second.url)
        browser.get("/sign-in/" + first.people[who].sign_in.rpartition("/")[2])
        with browser.client.stream("GET", "/t/brightwater-it/events") as stream:
            lines = stream.iter_lines()
            assert next(lines) == "retry: 500"
            act()
            began = time.monotonic()
            list(lines)
        assert browser.get("/t/brightwater-it/queue").url.path == "/t/brightwater-it/sign-in"
        return time.monotonic() - began

    admin = Browser(first.url)
    admin.get("/sign-in/" + first.people["admin"].sign_in.rpartition("/")[2])
    assert ended("tom", lambda: admin.post(f"/t/brightwater-it/members/{tom}/deactivate")) < 10
    suspend = ("tenant", "suspend", "brightwater-it", "--reason", "test", "--data", str(second.data))
    assert ended("dispatcher", lambda: caisey(*suspend)) < 10
