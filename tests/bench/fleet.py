"""41 real agents: the server's memory with them, and how soon all are back after kill -9 of the server and its restart."""

import os
import signal
import time
from pathlib import Path

import psutil
from devices import agents, homes, online
from doors import Caisey, running
from figures import Row

AGENTS, ROUNDS = 41, 3
MESHCENTRAL_MB, MESHCENTRAL_BACK = 210.0, 10.2


def measure(folder: Path) -> list[Row]:
    """Start all, weigh the server, kill it a few times."""
    memory, back = [], []
    with running(folder / "data") as caisey:
        assert caisey.process is not None
        with agents(homes(caisey, folder, AGENTS - len(caisey.devices))):
            online(caisey, AGENTS)
            memory.append(psutil.Process(caisey.process.pid).memory_info().rss / 1e6)
            for _ in range(ROUNDS):
                back.append(_kill_and_restart(caisey))
                memory.append(psutil.Process(caisey.process.pid).memory_info().rss / 1e6)
    return [
        Row(
            what="server's memory with 41 agents",
            unit="MB",
            ours=memory,
            reference=[MESHCENTRAL_MB],
            must=0.5,
            aim=0.35,
            against="MB, MeshCentral (figure)",
        ),
        Row(
            what="41 agents back after kill -9",
            unit="s",
            ours=back,
            reference=[MESHCENTRAL_BACK],
            must=0.5,
            aim=0.25,
            against="s, MeshCentral (figure)",
        ),
    ]


def _kill_and_restart(caisey: Caisey) -> float:
    assert caisey.process is not None
    begun = time.perf_counter()
    os.kill(caisey.process.pid, signal.SIGKILL)
    caisey.process.wait()
    caisey.restart_server()
    online(caisey, AGENTS)
    return time.perf_counter() - begun
