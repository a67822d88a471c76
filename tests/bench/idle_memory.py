"""The server's memory for each idle agent against a bare ASGI application on the same uvicorn.

Devices enrolled at the real door; their agents are sockets of this program that prove their keys, tell their facts and stay.
The first ones only warm the server up: what is counted is what each further one takes.
"""

from pathlib import Path
from statistics import mean

import bare
import psutil
from devices import online, spoken
from doors import running
from figures import Row
from sockets import Socket

WARM, COUNT, ROUNDS = 60, 100, 4


def _private(pid: int) -> int:
    return int(psutil.Process(pid).memory_full_info().uss)


def measure(folder: Path) -> list[Row]:
    """Connect in rounds, both in turn."""
    ours, reference, kept = [], [], []
    with running(folder / "data") as caisey, bare.serving(folder) as (url, pid):
        assert caisey.process is not None
        server = caisey.process.pid
        devices = spoken(caisey, WARM + ROUNDS * COUNT)
        there = len(caisey.devices)

        def connect(count: int) -> None:
            nonlocal there
            for _ in range(count):
                devices[there - len(caisey.devices)].connect()
                there += 1
            online(caisey, there)

        connect(WARM)
        kept += [Socket(f"{url}/idle") for _ in range(WARM)]
        for _ in range(ROUNDS):
            before = _private(server)
            connect(COUNT)
            ours.append((_private(server) - before) / COUNT / 1000)
            before = _private(pid)
            kept += [Socket(f"{url}/idle") for _ in range(COUNT)]
            reference.append((_private(pid) - before) / COUNT / 1000)
        for socket in (*kept, *(device.socket for device in devices)):
            if socket is not None:
                socket.close()
    return [
        Row(
            what="server's memory for an idle agent",
            unit="kB",
            ours=[mean(ours)],  # memory grows in steps: only the whole climb says something
            reference=[mean(reference)],
            must=1.5,
            aim=1.2,
            against="kB, bare ASGI",
            note="rounds of ours: " + ", ".join(f"{value:.1f}" for value in ours),
        )
    ]
