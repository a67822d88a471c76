"""Two servers on one data folder would fork its history: the second one is refused."""

import os
import signal
from pathlib import Path

import pytest
from doors import Caisey
from doors import caisey as command_line


def everything(folder: Path) -> dict[str, bytes]:
    """Return the record's files: what a second server must not touch."""
    return {path.name: path.read_bytes() for path in folder.glob("record.db*") if path.suffix != ".db-shm"}


@pytest.mark.parametrize("command", ["serve", "demo"])
def test_refused_in_words(caisey: Caisey, command: str) -> None:
    """It says who has the folder, writes nothing, and the first one and its sessions go on."""
    assert caisey.process is not None
    session = caisey.active()
    caisey.run(session, "x=5")
    before = everything(caisey.data)
    refused = command_line(command, "--data", str(caisey.data), "--port", "0")
    assert refused.returncode == 1
    assert "is in use by another Caisey server" in refused.stderr
    assert str(caisey.process.pid) in refused.stderr
    assert "Traceback" not in refused.stderr
    assert everything(caisey.data) == before
    assert caisey.run(session, "echo $x")["output"] == "5\r\n"
    caisey.finish(session)
    assert caisey.verify().returncode == 0


def test_free_again_after_kill_9(caisey: Caisey) -> None:
    """A server that was killed holds nothing."""
    assert caisey.process is not None
    session = caisey.active()
    os.kill(caisey.process.pid, signal.SIGKILL)
    caisey.process.wait()
    caisey.restart_server()
    caisey.state(session, "active")
    assert caisey.run(session, "echo on")["output"] == "on\r\n"
    caisey.finish(session)
    assert caisey.verify().returncode == 0
