"""Files to and from a device: limits, names that are taken, what is no file, what may not be read, and stopping half-way."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from companies import Companies, Company, two_companies
from doors import Device, until

from caisey_agent.protocol import frames as f

LARGEST = 1 << 20  # bytes that this installation carries


@pytest.fixture(scope="module")
def companies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Companies]:
    """An installation that carries small files only."""
    with two_companies(tmp_path_factory.mktemp("files") / "data", largest_file_bytes=LARGEST) as made:
        yield made


@pytest.fixture(scope="module")
def acme(companies: Companies) -> Company:
    """The company."""
    return companies.acme


@pytest.fixture(scope="module")
def pc(companies: Companies, acme: Company) -> Device:
    """A real agent."""
    return companies.start_device(acme, "PC", "Harbor")


@pytest.fixture(scope="module")
def session(acme: Company, pc: Device) -> str:
    """A session on it."""
    return acme.active("PC")


def _send(company: Company, session: str, path: object, content: bytes, **query: str) -> Any:
    params = {"path": str(path), **query}
    return company.people["tom"].call("POST", f"/sessions/{session}/files", params=params, content=content)


def _sent(company: Company, session: str, path: object, content: bytes, wanted: str, **query: str) -> Any:
    answer = _send(company, session, path, content, **query)
    assert answer.status_code == 202, answer.text
    return company.transfer(session, answer.json()["id"], wanted)


def _fetched(company: Company, session: str, path: object, wanted: str) -> Any:
    asked = company.people["tom"].post(f"/sessions/{session}/files/download", {"path": str(path)})
    return company.transfer(session, asked["id"], wanted)


def _content(company: Company, session: str, transfer: str) -> Any:
    return company.people["tom"].call("GET", f"/sessions/{session}/files/{transfer}")


@pytest.mark.parametrize("size", [0, 1, LARGEST - 1, LARGEST])
def test_up_to_the_limit(acme: Company, session: str, tmp_path: Path, size: int) -> None:
    """A file of each size up to the limit goes there and comes back with the same hash."""
    content, path = os.urandom(size), tmp_path / "file.bin"
    card = _sent(acme, session, path, content, "finished")
    assert path.read_bytes() == content
    assert path.stat().st_mode & 0o077 == 0, "for the account that the agent runs as"
    assert card["content"] == hashlib.sha256(content).hexdigest()
    back = _fetched(acme, session, path, "finished")
    assert back["content"] == card["content"]
    assert _content(acme, session, back["id"]).content == content


def test_beyond_the_limit(acme: Company, session: str, tmp_path: Path) -> None:
    """One byte more is refused both ways, in words, and leaves nothing behind."""
    path = tmp_path / "large.bin"
    refused = _send(acme, session, path, b"x" * (LARGEST + 1))
    assert refused.status_code == 413
    assert "larger than 1 MiB" in refused.json()["detail"]
    path.write_bytes(b"x" * (LARGEST + 1))
    failed = _fetched(acme, session, path, "failed")
    assert "larger than 1 MiB" in failed["reason"]
    assert _content(acme, session, failed["id"]).status_code == 404
    assert os.listdir(tmp_path) == ["large.bin"]


def test_a_name_that_is_taken(acme: Company, session: str, tmp_path: Path) -> None:
    """What is there stays, unless it was said that it may be replaced."""
    path = tmp_path / "there.txt"
    path.write_text("mine")
    failed = _sent(acme, session, path, b"new", "failed")
    assert "exists" in failed["reason"]
    assert path.read_text() == "mine"
    _sent(acme, session, path, b"new", "finished", replace="true")
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["there.txt"]


def test_what_is_no_file(acme: Company, pc: Device, session: str, tmp_path: Path) -> None:
    """Missing files, folders, pipes, devices, endless files, names that are too long: told in words, and the agent goes on."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path, words in (
        (tmp_path / "missing", "No such file"),
        (tmp_path / "folder", "no ordinary file"),
        (pipe, "no ordinary file"),
        ("/dev/zero", "no ordinary file"),
        (tmp_path / "loop", "symbolic links"),
        (tmp_path / ("x" * 300), "too long"),
        ("/" + "x/" * 2047 + "y", "too long"),
        ("~nobody/x", "No such file"),
        ("/proc/self/mem", "cannot be read"),
    ):
        assert words in _fetched(acme, session, path, "failed")["reason"], path
    for path, words in (
        (tmp_path / "folder", "is a folder"),
        (tmp_path / "missing" / "file", "cannot be written: No such file"),
        (tmp_path / ("x" * 300), "too long"),
        (tmp_path / "there" / ".." / ".." / "nowhere" / "x", "cannot be written"),
        (pipe, "exists"),
    ):
        assert words in _sent(acme, session, path, b"x", "failed")["reason"], path
    assert "no ordinary file" in _sent(acme, session, pipe, b"x", "failed", replace="true")["reason"]
    assert acme.people["tom"].post(f"/sessions/{session}/commands", {"line": "true"})
    assert acme.people["admin"].get(f"/devices/{pc.id}")["row"]["online"]
    for path in ("", "\0", "x" * 4097):
        assert _send(acme, session, path, b"x").status_code == 422
        asked = acme.people["tom"].call("POST", f"/sessions/{session}/files/download", json={"path": path})
        assert (asked.status_code, asked.json()["field"]) == (422, "path")


def test_what_may_not_be_read(acme: Company, companies: Companies, session: str, tmp_path: Path) -> None:
    """A file or folder that the agent's account cannot open: the system's own words. Root opens all but what is no file."""
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "file").write_text("x")
    closed.chmod(0)
    if os.geteuid() == 0:
        for path in ("/proc/1/mem", "/sys/kernel/notes/x"):
            assert "cannot be read" in _fetched(acme, session, path, "failed")["reason"]
        assert "cannot be written" in _sent(acme, session, "/proc/x", b"x", "failed")["reason"]
    else:
        assert "Permission denied" in _fetched(acme, session, closed / "file", "failed")["reason"]
        assert "Permission denied" in _sent(acme, session, closed / "new", b"x", "failed")["reason"]
    closed.chmod(0o700)


def test_stopped_half_way(companies: Companies, acme: Company) -> None:
    """A transfer that is stopped leaves nothing, says who stopped it, and late pieces of it change nothing."""
    device = companies.raw_device(acme, "SLOW", "Harbor")
    session, tom = acme.active("SLOW"), acme.people["tom"]
    down = tom.post(f"/sessions/{session}/files/download", {"path": "/var/log/syslog"})["id"]
    asked = device.hear(f.GetFile)
    device.settled(device.say(f.FileChunk(session=asked.session, transfer=asked.transfer, offset=0, data=b"half")))
    up = _send(acme, session, "/tmp/never", b"x" * LARGEST).json()["id"]
    put = device.hear(f.PutFile)
    assert (put.size, put.content) == (LARGEST, hashlib.sha256(b"x" * LARGEST).digest())
    for transfer in (down, up):
        for who in ("mia", "dispatcher"):
            path = f"/sessions/{session}/files/{transfer}/cancel"
            assert acme.people[who].call("POST", path, json={}).status_code == 403
        tom.post(f"/sessions/{session}/files/{transfer}/cancel")
        card = acme.transfer(session, transfer, "cancelled")
        assert card["reason"] == "Stopped by Tom of Acme MSP."
        assert str(device.hear(f.CancelTransfer).transfer) == transfer
        again = tom.call("POST", f"/sessions/{session}/files/{transfer}/cancel", json={})
        assert again.status_code == 409
    device.say(f.FileChunk(session=asked.session, transfer=asked.transfer, offset=4, data=b"more"))
    device.settled(device.say(device.transferred(asked.session, asked.transfer, asked.path, b"halfmore", asked.seed)))
    assert _content(acme, session, down).status_code == 404
    assert not any((companies.server.data / "transfers").joinpath(one).exists() for one in (down, up))
    nobody = tom.call("POST", f"/sessions/{session}/files/{uuid4()}/cancel", json={})
    assert nobody.status_code == 409


def test_a_lying_device(companies: Companies, acme: Company) -> None:
    """Fewer, other or more bytes than it signed for: the transfer fails, nothing can be fetched."""
    device = companies.raw_device(acme, "LIAR", "Harbor")
    session, tom = acme.active("LIAR"), acme.people["tom"]
    for sent in ((), ((0, b"other"),), ((0, b"true"), (9, b"gap"), (4, b"!")), ((5, b"truth"),)):
        transfer = tom.post(f"/sessions/{session}/files/download", {"path": "/etc/hosts"})["id"]
        asked = device.hear(f.GetFile)
        for offset, data in sent:
            device.say(f.FileChunk(session=asked.session, transfer=asked.transfer, offset=offset, data=data))
        device.settled(device.say(device.transferred(asked.session, asked.transfer, asked.path, b"truth", asked.seed)))
        assert _content(acme, session, transfer).status_code == 404, sent
    transfer = tom.post(f"/sessions/{session}/files/download", {"path": "/dev/zero"})["id"]
    asked = device.hear(f.GetFile)
    for i in range(LARGEST // f.CHUNK + 1):
        device.say(f.FileChunk(session=asked.session, transfer=asked.transfer, offset=i * f.CHUNK, data=bytes(f.CHUNK)))
    device.settled(device.say(f.TransferFailed(session=asked.session, transfer=asked.transfer, reason="enough")))
    assert _content(acme, session, transfer).status_code == 404
    assert not (companies.server.data / "transfers" / transfer).exists()


def test_after_the_end_nothing_is_left(companies: Companies, acme: Company, session: str, tmp_path: Path) -> None:
    """With the seal, contents are gone from the server; names and hashes stay in the record, which verifies."""
    path = tmp_path / "last.txt"
    path.write_text("last")
    card = _fetched(acme, session, path, "finished")
    acme.people["tom"].post(f"/sessions/{session}/complete", {"resolution": "no-fault", "notes": "A test."})
    until(lambda: acme.card(session)["sealed"], "the seal")
    over = _content(acme, session, card["id"])
    assert (over.status_code, over.json()["detail"]) == (409, "This session is over.")
    left = [one for one in os.listdir(companies.server.data / "transfers") if one == card["id"]]
    assert left == []
    review = acme.people["auditor"].get(f"/sessions/{session}")
    assert review["proof"]["ok"], review["proof"]
    assert card["content"] in str(review["entries"])
