"""The link between agent and server breaks: what came out meanwhile arrives later, in order and once."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from doors import Caisey, until
from endpoints import Cable, Endpoint, endpoint

EXCHANGE = 10  # messages of one short recorded command, both ways, and some to spare
HANDSHAKE = 6  # messages until a new connection works


@pytest.fixture
def cable(caisey: Caisey) -> Iterator[Cable]:
    """A line to the server."""
    with Cable(caisey.url).laid() as laid:
        yield laid


@pytest.fixture
def own(caisey: Caisey, cable: Cable, tmp_path: Path) -> Iterator[Endpoint]:
    """A device whose agent is connected through the line."""
    with endpoint(caisey, tmp_path) as made:
        made.stop()
        made.config(link=f"ws://127.0.0.1:{cable.port}/agent/link")
        made.start()
        yield made


def counting(name: str) -> tuple[str, str]:
    """Return a command whose output comes in several pieces, and that output."""
    return f"for i in 1 2 3; do echo {name}-$i; sleep 0.02; done", "".join(f"{name}-{i}\r\n" for i in (1, 2, 3))


def accepted(caisey: Caisey, session: str, line: str) -> str:
    """Give a command; empty while the device is away."""
    answer = caisey.people["tom"].call("POST", f"/sessions/{session}/commands", json={"line": line})
    assert answer.status_code in (202, 409), answer.text
    return str(answer.json()["id"]) if answer.status_code == 202 else ""


def whole(caisey: Caisey, session: str, sent: dict[str, str]) -> None:
    """Each command has its output, whole, in order and once, from one shell; and the record proves it."""
    for command, output in sent.items():
        card = caisey.ended(session, command)
        assert (card["state"], card["exit_code"], card["output"]) == ("finished", 0, output)
    entries = caisey.people["tom"].get(f"/sessions/{session}")["entries"]
    assert not [entry for entry in entries if "shell ended" in entry["title"].lower()]
    caisey.finish(session)
    verdict = caisey.verify()
    assert verdict.returncode == 0, verdict.stderr


def test_cut_at_each_frame(caisey: Caisey, own: Endpoint, cable: Cable) -> None:
    """After the first message of an exchange, after the second, and so on; and in the handshake of the next connection."""
    sent = {}
    session = caisey.active(own.name)
    caisey.run(session, "true")
    plans = [(n,) for n in range(1, EXCHANGE)] + [(2, n) for n in range(1, HANDSHAKE)]
    for plan in plans:
        caisey.state(session, "active")
        line, output = counting("-".join(map(str, plan)))
        cable.cut_after(*plan)
        command = until(lambda line=line: accepted(caisey, session, line), "the command to be taken")  # type: ignore[misc]
        sent[command] = output
        caisey.ended(session, command)
        cable.cut_after()  # output that came in few pieces leaves a late cut behind
    assert cable.connections > len(plans) // 2
    whole(caisey, session, sent)


def test_output_of_the_time_without_a_link(caisey: Caisey, own: Endpoint, cable: Cable, tmp_path: Path) -> None:
    """The line stands still, then breaks; the command goes on and ends; all of its output is there afterwards."""
    tom, ended = caisey.people["tom"], tmp_path / "ended"
    session = caisey.active(own.name)
    gate = tmp_path / "gate"
    line = f"until [ -e {gate} ]; do sleep 0.01; done; echo begun; for i in $(seq 2000); do echo $i; done; touch {ended}"
    caisey.run(session, "true")
    cable.stall()
    command = tom.post(f"/sessions/{session}/commands", {"line": "sleep 0"})["id"]
    cable.flow()
    long = tom.post(f"/sessions/{session}/commands", {"line": line})["id"]
    until(lambda: "gate" in own.device.page(), "the command on the person's page")
    cable.stall()
    gate.touch()
    until(ended.exists, "the command's end on the device")
    cable.cut()
    caisey.state(session, "interrupted")
    cable.flow()
    caisey.state(session, "active")
    output = "begun\r\n" + "".join(f"{i}\r\n" for i in range(1, 2001))
    whole(caisey, session, {command: "", long: output})


def test_a_server_that_stands_still(caisey: Caisey, own: Endpoint, tmp_path: Path) -> None:
    """SIGSTOP of the server until the command has ended on the device, then SIGCONT: nothing is lost or out of order."""
    tom, process, ended = caisey.people["tom"], caisey.process, tmp_path / "ended"
    assert process is not None
    session = caisey.active(own.name)
    line = f"for i in $(seq 300); do echo $i; sleep 0.003; done; touch {ended}"
    command = tom.post(f"/sessions/{session}/commands", {"line": line})["id"]
    until(lambda: "seq 300" in own.device.page(), "the command on the person's page")
    os.kill(process.pid, signal.SIGSTOP)
    try:
        assert not ended.exists()
        until(ended.exists, "the command's end on the device")
    finally:
        os.kill(process.pid, signal.SIGCONT)
    whole(caisey, session, {command: "".join(f"{i}\r\n" for i in range(1, 301))})


def test_a_file_over_a_line_that_breaks(caisey: Caisey, own: Endpoint, cable: Cable) -> None:
    """A file that is being sent while the line is cut again and again arrives whole."""
    tom = caisey.people["tom"]
    session = caisey.active(own.name)
    content = os.urandom(3 << 20)
    path = str(own.home / "big")
    cable.cut_after(20, 30, 40)
    sent = tom.call("POST", f"/sessions/{session}/files", params={"path": path}, content=content)
    assert sent.status_code == 202, sent.text
    until(lambda: Path(path).exists() and Path(path).read_bytes() == content, "the file")
    assert not cable.cuts_left
    caisey.state(session, "active")
    whole(caisey, session, {})
