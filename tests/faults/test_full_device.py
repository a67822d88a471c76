"""The device's disk is full: it does nothing that it cannot note, says so in words, stays connected, and goes on by itself."""

import resource
import subprocess
from pathlib import Path

from doors import Caisey, until
from endpoints import endpoint
from terminals import browser


def room(process: "subprocess.Popen[bytes] | None", size: int = resource.RLIM_INFINITY) -> None:
    """Let the agent's files grow so far at most."""
    assert process is not None
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_full_and_free_again(caisey: Caisey, tmp_path: Path) -> None:
    """A command is refused by the device, its shell and its link live, and afterwards the same shell goes on."""
    tom, trace = caisey.people["tom"], tmp_path / "trace"
    with endpoint(caisey, tmp_path) as own:
        session = caisey.active(own.name)
        caisey.run(session, "x=5")
        room(own.process, 0)
        with browser(caisey, session, "tom") as page:
            card = caisey.run(session, f"touch {trace}")
            assert card["state"] == "not run"
            assert "Free some space there first." in card["reason"]
            page.type("echo typ''ed $x\r")
            page.shows("typed 5\r\n")
        assert not trace.exists()
        room(own.process)
        card = caisey.run(session, "echo $x")
        assert (card["output"], card["receipt"]) == ("5\r\n", True)
        assert own.log.read_text().count("connected") == 1
        assert "Traceback" not in own.log.read_text()
        caisey.finish(session)
        room(own.process, 0)
        asked = tom.post(f"/devices/{own.id}/sessions", {"reason": "Look"})["id"]

        def why() -> bool:
            entries = tom.get(f"/sessions/{asked}")["entries"]
            return any("Free some space there first." in entry["title"] + entry["body"] for entry in entries)

        until(why, "the reason why nobody is asked")
        room(own.process)
        tom.post(f"/sessions/{asked}/cancel", {"reason": "Again"})
        again = caisey.active(own.name)
        assert caisey.run(again, "echo on")["output"] == "on\r\n"
        caisey.finish(again)
    verdict = caisey.verify()
    assert verdict.returncode == 0, verdict.stderr
