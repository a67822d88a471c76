"""The server's disk is full: nothing new starts, everyone is told, nothing acknowledged is lost, and it goes on by itself."""

import contextlib
import os
import resource
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from doors import Caisey, agent, until
from endpoints import Endpoint, endpoint, installer
from terminals import browser

CANNOT = "The record cannot be written now"


class Disk:
    """A data folder whose disk can be filled and emptied while it is used."""

    def __init__(self, folder: Path, size: str | None) -> None:
        """With a size: a file system of its own. Otherwise the limit of the process for the size of its files."""
        self.folder = folder
        self.filler = folder / "filler"
        self.mounted = size is not None and _mount(folder, size)

    def fill(self, process: "subprocess.Popen[bytes]") -> None:
        """Leave no room."""
        if not self.mounted:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
            return
        with self.filler.open("ab", buffering=0) as file:
            for piece in (1 << 16, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while file.write(bytes(piece)):
                        pass

    def fill_to_the_brim(self, process: "subprocess.Popen[bytes]") -> None:
        """Leave no room in the write-ahead logs either: what SQLite has of them from earlier writes it would use again."""
        for file in sorted((self.folder / "data").glob("*.db")):
            until(lambda file=file: _emptied(file), f"an empty log of {file.name}")
        self.fill(process)

    def free(self, process: "subprocess.Popen[bytes]") -> None:
        """Make room."""
        if self.mounted:
            self.filler.unlink(missing_ok=True)
        else:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def _emptied(file: Path) -> bool:
    with contextlib.closing(sqlite3.connect(file)) as db:
        busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return bool(busy == 0)


def _mount(folder: Path, size: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "caisey-test", str(folder)]
    with contextlib.suppress(FileNotFoundError):
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    return False


@pytest.fixture(params=["a small file system", "a limit of the process"], scope="module")
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Caisey, Disk]]:
    """A demonstration on a disk that can be filled. Where nothing can be mounted, it is the limit both times."""
    place = tmp_path_factory.mktemp("disk")
    disk = Disk(place, "32m" if request.param == "a small file system" else None)
    caisey = Caisey(place / "data")
    try:
        caisey.start()
        yield caisey, disk
    finally:
        if caisey.process is not None:
            caisey.kill()
        if disk.mounted:
            subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def own(small: tuple[Caisey, Disk], tmp_path: Path) -> Iterator[Endpoint]:
    """A device on another disk."""
    with endpoint(small[0], tmp_path) as made:
        yield made


def told(answer: httpx2.Response) -> bool:
    """Say whether it was refused because of the record, in words; any other fault is ours."""
    assert answer.status_code in (201, 202, 503), answer.text
    return answer.status_code == 503 and CANNOT in answer.json()["detail"] and bool(answer.json()["what_to_do"])


def test_full_and_free_again(small: tuple[Caisey, Disk], own: Endpoint) -> None:
    """Under load: each accepted command is in the record with its end; the shell and the consent are still there."""
    caisey, disk = small
    tom, process = caisey.people["tom"], caisey.process
    assert process is not None
    session = caisey.active(own.name)
    caisey.run(session, "x=5")
    spare = installer(caisey, uses=1)["token"]
    accepted: list[str] = []
    refused, stop = threading.Event(), threading.Event()

    def load() -> None:
        while not stop.is_set():
            answer = tom.call("POST", f"/sessions/{session}/commands", json={"line": "echo load"})
            if answer.status_code == 202:
                accepted.append(answer.json()["id"])
            elif answer.status_code == 503:
                refused.set()

    with browser(caisey, session, "tom") as page:
        worker = threading.Thread(target=load)
        worker.start()
        until(lambda: len(accepted) > 5, "some load")
        disk.fill(process)
        assert refused.wait(20), "the technician is told"
        stop.set()
        worker.join()
        page.told(CANNOT)
        for _ in range(3):
            assert told(tom.call("POST", f"/sessions/{session}/commands", json={"line": "echo held"}))
            ask = {"reason": "Look", "scopes": ["run"], "duration_minutes": 5}
            assert told(tom.call("POST", f"/devices/{caisey.devices['HD-XRAY'].id}/sessions", json=ask))
        body = {"resolution": "fixed", "notes": "x", "checked": "y"}
        assert told(tom.call("POST", f"/sessions/{session}/complete", json=body))
        assert httpx2.get(f"{caisey.url}/t/brightwater-it/sign-in", timeout=10).status_code == 200
        enrolled = agent("enrol", caisey.url, "--token", spare, "--home", str(own.home.parent / "spare"))
        assert enrolled.returncode == 3
        assert CANNOT in enrolled.stderr
        disk.free(process)
        page.told("written again")
    caisey.state(session, "active")
    assert caisey.run(session, "echo $x")["output"] == "5\r\n"
    for command in accepted:
        card = caisey.ended(session, command)
        assert (card["state"], card["output"]) == ("finished", "load\r\n")
    review = tom.get(f"/sessions/{session}")
    assert not any("held" in (entry["command"] or {}).get("line", "") for entry in review["entries"])
    assert agent("enrol", caisey.url, "--token", spare, "--home", str(own.home.parent / "spare")).returncode == 0
    caisey.finish(session)
    verdict = caisey.verify()
    assert verdict.returncode == 0, verdict.stderr


def test_a_request_that_met_the_full_disk(small: tuple[Caisey, Disk], own: Endpoint) -> None:
    """The first thing that fails is a new session: it is refused, leaves nothing behind, and can be asked for again later."""
    caisey, disk = small
    tom, process = caisey.people["tom"], caisey.process
    assert process is not None
    ada = caisey.people["admin"]
    body = {"client": ada.get("/devices")["clients"][0]["id"], "device_name": "HD-LATER"}
    disk.fill_to_the_brim(process)
    ask = {"reason": "Look", "scopes": ["run"], "duration_minutes": 5}
    try:
        assert told(tom.call("POST", f"/devices/{own.id}/sessions", json=ask))
        unwritten = ada.call("POST", "/installers", json=body)
        assert (unwritten.status_code, "cannot be written" in unwritten.text) == (503, True), unwritten.text
    finally:
        disk.free(process)
    own.online()
    card = until(lambda: _asked(caisey, own, ask), "the request to be taken")
    session = own.device.asked()
    assert session == card["id"]
    own.device.answer(session)
    caisey.state(session, "active")
    assert caisey.run(session, "echo works")["output"] == "works\r\n"
    caisey.finish(session)
    assert caisey.verify().returncode == 0


def _asked(caisey: Caisey, own: Endpoint, ask: dict[str, Any]) -> Any:
    answer = caisey.people["tom"].call("POST", f"/devices/{own.id}/sessions", json=ask)
    if answer.status_code == 201:
        return answer.json()
    assert told(answer), answer.text
    return None


def test_a_download_that_met_the_full_disk(small: tuple[Caisey, Disk], own: Endpoint, tmp_path: Path) -> None:
    """The file does not fit: the technician is told, the device's link lives, and the session goes on."""
    caisey, disk = small
    tom, process = caisey.people["tom"], caisey.process
    assert process is not None
    session = caisey.active(own.name)
    big = tmp_path / "big"
    big.write_bytes(os.urandom(40 << 20))
    if not disk.mounted:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (8 << 20, resource.RLIM_INFINITY))
    got = tom.post(f"/sessions/{session}/files/download", {"path": str(big)})

    def transfer() -> Any:
        entries = tom.get(f"/sessions/{session}")["entries"]
        return next(e["transfer"] for e in entries if e["transfer"] is not None and e["transfer"]["id"] == got["id"])

    until(lambda: transfer()["state"] != "running", "the end of the transfer")
    assert tom.call("GET", f"/sessions/{session}/files/{got['id']}").status_code == 404
    until(lambda: caisey.run(session, "echo works")["output"] == "works\r\n", "the session to go on")
    caisey.finish(session)
    disk.free(process)
    assert caisey.verify().returncode == 0
