"""Memory of an idle, connected agent against a bare Python with asyncio."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
from devices import agents, homes, online
from doors import running
from figures import Row

ROUNDS = 3
BARE = "import asyncio; asyncio.run(asyncio.sleep(60))"
SETTLED_SECONDS = 1.5


def measure(folder: Path) -> list[Row]:
    """Start both, look at their resident memory once they are idle."""
    ours, reference = [], []
    with running(folder / "data") as caisey:
        (home,) = homes(caisey, folder, 1)
        online(caisey, len(caisey.devices))
        for _ in range(ROUNDS):
            plain = subprocess.Popen([sys.executable, "-c", BARE])
            with agents([home]) as (agent,):
                online(caisey, len(caisey.devices) + 1)
                time.sleep(SETTLED_SECONDS)
                ours.append(psutil.Process(agent.pid).memory_info().rss / 1e6)
                reference.append(psutil.Process(plain.pid).memory_info().rss / 1e6)
            plain.kill()
            plain.wait()
    return [
        Row(
            what="agent's memory",
            unit="MB",
            ours=ours,
            reference=reference,
            must=1.8,
            aim=1.4,
            against="MB, bare Python with asyncio",
        )
    ]
