"""kill -9 of the server under load: what was acknowledged is there, the record holds, agents come back, sessions go on."""

import contextlib
import os
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import httpx2
from databases import both
from doors import Caisey, until

ROUNDS = 20


def kill_server_only(caisey: Caisey) -> None:
    """Kill the server; its agents live on, as they would on their own machines."""
    assert caisey.process is not None
    os.kill(caisey.process.pid, signal.SIGKILL)
    caisey.process.wait()


@both
def test_nothing_acknowledged_is_lost(tmp_path: Path, new_database: Callable[[], str]) -> None:
    """Twenty times at random moments of a running load."""
    caisey = Caisey(tmp_path / "data", new_database())
    caisey.start()
    dice = random.Random(7)
    session = caisey.active()
    accepted: list[str] = []
    served = 0
    try:
        for _ in range(ROUNDS):
            stop = threading.Event()

            def load(stop: threading.Event = stop) -> None:
                while not stop.is_set():
                    with contextlib.suppress(httpx2.HTTPError, AssertionError):
                        tom = caisey.people["tom"]
                        answer = tom.call("POST", f"/sessions/{session}/commands", json={"line": "echo load"})
                        if answer.status_code == 202:
                            accepted.append(answer.json()["id"])

            worker = threading.Thread(target=load)
            worker.start()
            before = len(accepted)
            until(lambda before=before: len(accepted) > before + dice.randrange(1, 12), "some load")  # type: ignore[misc]
            kill_server_only(caisey)
            stop.set()
            worker.join()
            verdict = caisey.verify()
            assert verdict.returncode == 0, verdict.stderr
            caisey.restart_server()
            caisey.state(session, "active")
            served += 1
        review = caisey.people["tom"].get(f"/sessions/{session}")
        recorded = {entry["command"]["id"]: entry["command"] for entry in review["entries"] if entry["command"] is not None}
        assert set(accepted) <= recorded.keys()
        assert served == ROUNDS
        assert caisey.run(session, "echo still here")["output"] == "still here\r\n"
        finished = [card for card in recorded.values() if card["state"] == "finished"]
        assert all(card["output"] == "load\r\n" for card in finished)
        caisey.finish(session)
        assert caisey.verify().returncode == 0
    finally:
        caisey.kill()
