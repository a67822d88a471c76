"""A recorded command through the browser's socket: from Run to Finished shown, durable before it is sent to the device."""

import json
import time
from pathlib import Path

from devices import live
from doors import running
from figures import Row, quantile
from sockets import Socket

ROUNDS, EACH = 5, 200
MESHCENTRAL_P50, MESHCENTRAL_P99 = 4.2, 48.0  # ms, `runcommands`, not durable


def measure(folder: Path) -> list[Row]:
    """Run commands one after the other in a real agent's kept bash."""
    p50, p99 = [], []
    with running(folder / "data") as caisey:
        socket = live(caisey, caisey.active())
        _run(socket, "echo warm")
        for _ in range(ROUNDS):
            took = [_run(socket, f"echo {number}") for number in range(EACH)]
            p50.append(quantile(took, 0.5))
            p99.append(quantile(took, 0.99))
        socket.close()
    return [
        Row(
            what="recorded command, p50",
            unit="ms",
            ours=p50,
            reference=[MESHCENTRAL_P50],
            must=0.75,
            aim=0.5,
            against="ms, MeshCentral (figure)",
        ),
        Row(
            what="recorded command, p99",
            unit="ms",
            ours=p99,
            reference=[MESHCENTRAL_P99],
            must=0.25,
            aim=0.12,
            against="ms, MeshCentral (figure)",
        ),
    ]


def _run(socket: Socket, line: str) -> float:
    """Run one and return the milliseconds until it is shown as finished."""
    begun = time.perf_counter()
    socket.send(json.dumps({"type": "run", "line": line}))
    while True:
        message = socket.receive()
        if isinstance(message, str) and '"finished"' in message and json.loads(message)["type"] == "command":
            return (time.perf_counter() - begun) * 1000
