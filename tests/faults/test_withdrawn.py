"""The person presses Stop: within a second nothing of the session is left on the device, whatever it did to be left alone."""

import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from doors import Caisey, until
from endpoints import Endpoint, endpoint, processes_with

DOUBLE_FORK = (
    "import os,sys,time\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork() == 0:\n"
    "        os.execvpe('sleep', ['sleep', sys.argv[1]], os.environ if len(sys.argv) < 3 else {'PATH': '/usr/bin:/bin'})\n"
    "    os._exit(0)\n"
)


@pytest.fixture
def own(caisey: Caisey, tmp_path: Path) -> Iterator[Endpoint]:
    """A device of the test's own."""
    with endpoint(caisey, tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    "start",
    [
        "sleep {mark}",
        "trap '' INT TERM HUP; sleep {mark}",
        "sleep {mark} & wait",
        "setsid sleep {mark} & wait",
        "nohup sleep {mark} >/dev/null 2>&1 & wait",
        "setsid -f sleep {mark}; sleep {mark}",
        "python3 {script} {mark}; sleep {mark}",
        "python3 {script} {mark} clean; sleep {mark}",
        "exec sleep {mark}",
        "stty raw -isig; sleep {mark}",
    ],
)
def test_nothing_is_left(caisey: Caisey, own: Endpoint, tmp_path: Path, start: str) -> None:
    """In the foreground, with signals ignored, in the background, in a session of its own, twice forked, without our mark."""
    tom, script = caisey.people["tom"], tmp_path / "fork.py"
    script.write_text(DOUBLE_FORK)
    mark = f"{3600 + secrets.randbelow(3600)}.{secrets.randbelow(10**9)}"
    session = caisey.active(own.name)
    tom.post(f"/sessions/{session}/commands", {"line": start.format(mark=mark, script=script)})
    until(lambda: processes_with(f"sleep\0{mark}"), "the process")
    began = time.monotonic()
    assert own.device.stop(session) == 200
    assert time.monotonic() - began < 1
    assert processes_with(mark) == set()
    card = caisey.state(session, "revoked")
    assert time.monotonic() - began < 2
    refused = tom.call("POST", f"/sessions/{session}/commands", json={"line": "id"})
    assert refused.status_code == 409
    assert "is over" in refused.json()["detail"]
    assert card["ended_at"] is not None


def test_what_earlier_shells_left(caisey: Caisey, own: Endpoint) -> None:
    """A process that outlived its shell is still the session's; the end of another session does not touch it."""
    mark = f"{3600 + secrets.randbelow(3600)}.{secrets.randbelow(10**9)}"
    session = caisey.active(own.name)
    caisey.run(session, f"setsid -f sleep {mark}; setsid -f env -i /bin/sleep {mark}; exit")
    assert caisey.run(session, "echo next")["output"] == "next\r\n"
    assert own.device.stop(session) == 200
    assert processes_with(mark) == set()
    caisey.state(session, "revoked")


def test_the_technician_is_told_and_it_is_proved(caisey: Caisey, own: Endpoint) -> None:
    """The review says who stopped it and what became of the command; the record holds."""
    tom = caisey.people["tom"]
    session = caisey.active(own.name)
    command = tom.post(f"/sessions/{session}/commands", {"line": "echo begun; sleep 300"})["id"]
    until(lambda: "sleep 300" in own.device.page(), "the command on the person's page")
    assert own.device.stop(session) == 200
    caisey.state(session, "revoked")
    ended = caisey.ended(session, command)
    assert ended["state"] == "finished"
    assert ended["output"] == "begun\r\n"
    assert ended["receipt"]
    until(lambda: tom.get(f"/sessions/{session}/card")["sealed"], "the seal")
    review = tom.get(f"/sessions/{session}")
    assert review["proof"]["ok"], review["proof"]
    assert any("stopped" in (entry["title"] + entry["body"]).lower() for entry in review["entries"])
    verdict = caisey.verify()
    assert verdict.returncode == 0, verdict.stderr
