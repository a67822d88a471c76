"""Installers that are not valid, homes that are taken, floods, and copies of a device's key: clear words and exit codes."""

import itertools
import shutil
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from doors import Caisey, agent, until
from endpoints import Endpoint, endpoint, installer, shifted

NOT_VALID = "caisey-agent: This installer is not valid"


def enrol(caisey: Caisey, token: str, home: Path) -> tuple[int, str]:
    """Enrol as a person at the device does; returns exit code and words."""
    done = agent("enrol", caisey.url, "--token", token, "--home", str(home), "--prompt", "page")
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def enrolled(caisey: Caisey, made: Any) -> int:
    """How many devices an installer has enrolled."""
    listed = caisey.people["admin"].get("/installers")["items"]
    return len(next(one for one in listed if one["id"] == made["view"]["id"])["enrolled"])


@pytest.mark.parametrize("how", ["wrong", "used up", "rotated", "revoked"])
def test_an_installer_that_is_not_valid(caisey: Caisey, tmp_path: Path, how: str) -> None:
    """It is refused with 3, in words that say where to get a new one; what is valid instead works."""
    ada, made = caisey.people["admin"], installer(caisey, uses=1)
    token, instead = made["token"], installer(caisey, uses=1)["token"]
    match how:
        case "wrong":
            token = token[:-1] + ("A" if token[-1] != "A" else "B")
        case "used up":
            assert enrol(caisey, token, tmp_path / "first")[0] == 0
        case "rotated":
            instead = ada.post(f"/installers/{made['view']['id']}/rotate")["token"]
        case "revoked":
            ada.post(f"/installers/{made['view']['id']}/revoke")
    before = enrolled(caisey, made)
    code, words = enrol(caisey, token, tmp_path / "home")
    assert code == 3
    assert words.startswith(NOT_VALID)
    assert "page Enrolment" in words
    assert enrolled(caisey, made) == before
    assert agent("run", "--home", str(tmp_path / "home")).returncode == 2
    assert enrol(caisey, instead, tmp_path / "home") == (0, "")


def test_a_home_that_is_taken(caisey: Caisey, tmp_path: Path) -> None:
    """A second enrolment into it is refused with 2, and the first one still works."""
    token = installer(caisey, uses=5)["token"]
    assert enrol(caisey, token, tmp_path / "home")[0] == 0
    kept = (tmp_path / "home" / "device.key").read_bytes()
    code, words = enrol(caisey, token, tmp_path / "home")
    assert code == 2
    assert "holds an enrolled agent already" in words
    assert "--home" in words
    assert (tmp_path / "home" / "device.key").read_bytes() == kept


def test_addresses_that_are_none(tmp_path: Path) -> None:
    """No server, no address, a network without TLS: 3 and words."""
    for url, words in (
        ("http://127.0.0.1:1", "does not answer"),
        ("caisey.example.com", "is no address"),
        ("http://caisey.example.com", "must begin with https://"),
    ):
        done = agent("enrol", url, "--token", "x", "--home", str(tmp_path / "home"))
        assert done.returncode == 3
        assert words in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"token":"\xff"}', b'{"x":' + b"[" * 100_000, b"x" * 2_000_000])
def test_a_body_that_is_none(caisey: Caisey, body: bytes) -> None:
    """It is refused as a problem, never a fault of ours."""
    answer = httpx2.post(caisey.url + "/agent/enrol", content=body, headers={"content-type": "application/json"}, timeout=10)
    assert answer.status_code in (413, 422), answer.text
    assert answer.json()["what_to_do"]
    assert "Traceback" not in caisey.log()


def test_a_second_agent_with_the_same_key(caisey: Caisey, tmp_path: Path) -> None:
    """The first one says so and ends with 3; it does not come back, and the second one works."""
    with endpoint(caisey, tmp_path, "HD-COPIED") as first:
        session = caisey.active(first.name)
        shutil.copytree(first.home, tmp_path / "copy")
        second = Endpoint(caisey, tmp_path / "copy", first.name, first.id)
        try:
            second.start()
            assert first.process is not None
            assert first.process.wait(10) == 3
            assert "Another agent connected with this device's key; this one ends." in first.log.read_text()
            caisey.state(session, "active")
            assert caisey.run(session, "echo second")["output"] == "second\r\n"
            assert second.process is not None
            assert second.process.poll() is None
            assert second.log.read_text().count("connected") == 1
            caisey.finish(session)
        finally:
            second.kill()
    assert caisey.verify().returncode == 0


def test_a_home_from_a_backup(caisey: Caisey, tmp_path: Path) -> None:
    """An older copy of the folder, whose numbers the server has seen already, is heard all the same."""
    with endpoint(caisey, tmp_path, "HD-RESTORED") as own:
        assert own.stop() == 0
        shutil.copytree(own.home, tmp_path / "backup")
        for _ in range(3):
            own.start()
            assert own.stop() == 0
        own.start()
        session = caisey.active(own.name)
        caisey.run(session, "true")
        caisey.finish(session)
        assert own.stop() == 0
        shutil.rmtree(own.home)
        (tmp_path / "backup").rename(own.home)
        own.start()
        session = caisey.active(own.name)
        assert caisey.run(session, "echo heard")["output"] == "heard\r\n"
        caisey.finish(session)
    assert caisey.verify().returncode == 0


def test_a_removed_device(caisey: Caisey, tmp_path: Path) -> None:
    """Its agent says so, destroys its key and ends with 4; a copy that was kept ends with 4 as well."""
    with endpoint(caisey, tmp_path, "HD-SOLD") as own:
        shutil.copytree(own.home, tmp_path / "kept")
        caisey.people["admin"].post(f"/devices/{own.id}/remove", {"reason": "sold"})
        assert own.process is not None
        assert own.process.wait(10) == 4
        assert "was removed from Caisey" in own.log.read_text()
        assert not (own.home / "device.key").exists()
        kept = agent("run", "--home", str(tmp_path / "kept"))
        assert kept.returncode == 4
        assert "removed" in kept.stderr
        assert not (tmp_path / "kept" / "device.key").exists()
        again = agent("run", "--home", str(own.home))
        assert again.returncode == 2
        assert "Enrol first" in again.stderr


def test_an_expired_installer(caisey: Caisey, tmp_path: Path) -> None:
    """Two hours later, by the server's clock, an installer for one hour is refused."""
    token, longer = installer(caisey, expires_hours=1)["token"], installer(caisey, expires_hours=24)["token"]
    assert caisey.process is not None
    caisey.process.kill()
    caisey.process.wait()
    caisey.restart_server(shifted("caisey_core.cli", 7200))
    try:
        code, words = enrol(caisey, token, tmp_path / "home")
        assert code == 3
        assert words.startswith(NOT_VALID)
        assert enrol(caisey, longer, tmp_path / "home")[0] == 0
    finally:
        assert caisey.process is not None
        caisey.process.kill()
        caisey.process.wait()
        caisey.restart_server()


def test_an_unknown_device(caisey: Caisey, tmp_path: Path) -> None:
    """An agent that another installation enrolled: 3, and words."""
    token = installer(caisey, uses=1)["token"]
    assert enrol(caisey, token, tmp_path / "home")[0] == 0
    stranger = Endpoint(caisey, tmp_path / "home", "x")
    stranger.config(device="00000000-0000-4000-8000-000000000000")
    done = agent("run", "--home", str(tmp_path / "home"))
    assert done.returncode == 3
    assert "not known here by this key. Enrol it again." in done.stderr


def test_a_flood_of_enrolments(caisey: Caisey, tmp_path: Path) -> None:
    """Whoever guesses is made to wait, in words and with Retry-After; afterwards a valid installer works again."""
    token = installer(caisey, uses=100)["token"]
    wrong = {"token": "x", "public_key": "", "proof": "", "name": "flood"}
    homes = (tmp_path / f"home-{number}" for number in itertools.count())

    def slowed() -> str:
        for _ in range(10):  # the agent takes a moment to start, and each moment lets somebody in
            httpx2.post(caisey.url + "/agent/enrol", json=wrong, timeout=10)
        code, words = enrol(caisey, token, next(homes))
        return words if code == 3 else ""

    codes = [httpx2.post(caisey.url + "/agent/enrol", json=wrong, timeout=10).status_code for _ in range(40)]
    assert codes[0] == 422
    assert codes[-1] == 429
    words = until(slowed, "a refusal")
    assert "Too many devices are being enrolled from your address. Wait" in words
    refused = httpx2.post(caisey.url + "/agent/enrol", json=wrong, timeout=10)
    assert int(refused.headers["retry-after"]) >= 1
    began = time.monotonic()
    until(lambda: enrol(caisey, token, next(homes))[0] == 0, "the valid one to be taken")
    assert time.monotonic() - began < 15
    assert caisey.people["tom"].get("/queue") is not None, "others are not slowed"
