"""Acknowledged events that are gone after kill -9 of the server in a burst of commands. One is too many."""

import json
import os
import random
import signal
import threading
import time
from pathlib import Path

import msgspec
from devices import live
from doors import Caisey, running
from figures import Row
from sockets import Closed

ROUNDS = 4
dice = random.Random(11)


def measure(folder: Path) -> list[Row]:
    """Kill in a burst, restart, count."""
    lost, told = [], 0
    with running(folder / "data") as caisey:
        session = caisey.active()
        for _ in range(ROUNDS):
            acknowledged = _burst(caisey, session)
            told += len(acknowledged)
            assert caisey.process is not None
            caisey.process.wait()
            caisey.restart_server()
            caisey.state(session, "active")
            review = caisey.people["tom"].get(f"/sessions/{session}")
            recorded = {entry["command"]["id"] for entry in review["entries"] if entry["command"] is not None}
            lost.append(float(len(acknowledged - recorded)))
        verdict = caisey.verify()
    proved = "the record verifies" if verdict.returncode == 0 else f"THE RECORD DOES NOT VERIFY: {verdict.stderr}"
    return [
        Row(
            what="acknowledged events lost after kill -9",
            unit="",
            ours=lost,
            reference=[0],
            must=0,
            aim=0,
            against="",
            note=f"{told} were acknowledged in {ROUNDS} bursts; {proved}",
        )
    ]


def _burst(caisey: Caisey, session: str) -> set[str]:
    """Run commands as fast as they are taken, kill the server in the middle; returns what was acknowledged until then."""
    socket = live(caisey, session)
    assert caisey.process is not None
    pid, acknowledged = caisey.process.pid, set[str]()
    timer = threading.Timer(dice.uniform(0.3, 1.2), os.kill, (pid, signal.SIGKILL))
    timer.start()
    try:
        while True:
            for number in range(8):
                socket.send(json.dumps({"type": "run", "line": f"echo {number} {time.time_ns()}"}))
            ended = 0
            while ended < 8:
                message = socket.receive()
                if isinstance(message, str):
                    said = msgspec.json.decode(message)
                    if said["type"] == "command":
                        acknowledged.add(said["card"]["id"])
                        ended += said["card"]["state"] == "finished"
    except (Closed, OSError):
        timer.join()
        return acknowledged
