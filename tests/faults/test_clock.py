"""The device's clock is an hour off, either way: consent, duration and record are right all the same, and the difference is shown."""

import time
from pathlib import Path

import pytest
from doors import Caisey
from endpoints import endpoint, shifted

HOUR = 3600


@pytest.mark.parametrize("off", [-HOUR, HOUR])
def test_an_hour_off(caisey: Caisey, tmp_path: Path, off: int) -> None:
    """The agreed time counts from the answer by the server's clock, ends as agreed, and the review says that the clock is off."""
    tom = caisey.people["tom"]
    with endpoint(caisey, tmp_path, f"HD-CLOCK{off}", program=shifted("caisey_agent.cli", off)) as own:
        before = time.time()
        session = caisey.active(own.name)
        after = time.time()
        card = tom.get(f"/sessions/{session}/card")
        assert before < card["granted_at"] / 1e6 < after
        assert card["until"] - card["granted_at"] == HOUR * 1_000_000
        ran = caisey.run(session, "sleep 0.3")
        assert ran["state"] == "finished"
        assert ran["exit_code"] == 0
        assert 0.2e9 < ran["duration_ns"] < 5e9
        assert before < ran["at"] / 1e6 < time.time()
        own.kill()
        caisey.state(session, "interrupted")
        own.start()
        caisey.state(session, "active")
        assert caisey.run(session, "echo on")["output"] == "on\r\n", "the consent holds over a restart"
        entries = tom.get(f"/sessions/{session}")["entries"]
        said = [entry["title"] + entry["body"] for entry in entries if "clock was" in entry["title"] + entry["body"]]
        assert len(said) == 1
        seconds = int(said[0].partition("clock was ")[2].partition(" s")[0])
        assert abs(seconds - HOUR) <= 2
        assert [entry["at"] for entry in entries] == sorted(entry["at"] for entry in entries)
        caisey.finish(session)
    verdict = caisey.verify()
    assert verdict.returncode == 0, verdict.stderr


def test_a_clock_that_is_set_during_the_session(caisey: Caisey, tmp_path: Path) -> None:
    """The clock jumps two hours ahead between two lives of the agent: the agreed hour is not over because of it, nor longer."""
    with endpoint(caisey, tmp_path, "HD-JUMP") as own:
        session = caisey.active(own.name)
        own.kill()
        caisey.state(session, "interrupted")
        own.program = shifted("caisey_agent.cli", 2 * HOUR)
        own.start()
        caisey.state(session, "active")
        assert caisey.run(session, "echo on")["output"] == "on\r\n"
        caisey.finish(session)
    verdict = caisey.verify()
    assert verdict.returncode == 0, verdict.stderr
