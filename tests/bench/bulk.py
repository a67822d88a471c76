"""Bulk output of the terminal, recorded and shown: from the typed line until all of it is at the browser."""

import json
import time
from pathlib import Path

from devices import live
from doors import running
from figures import Row
from kept_shell import KeptShell, kept_pty
from sockets import Socket

ROUNDS = 4
LINES = 300_000
WIDTH = 80  # bytes of a line as the terminal shows it, with carriage return and line feed
MESHCENTRAL = 13.0  # MB/s, recorded
COMMAND = f"yes {'x' * (WIDTH - 2)} | head -n {LINES}; echo e''nd\r"


def measure(folder: Path) -> list[Row]:
    """Take turns with a plain pty, which is the most that this machine can do."""
    ours, plain = [], []
    with running(folder / "data") as caisey, kept_pty() as shell:
        session = caisey.active()
        socket = live(caisey, session)
        for _ in range(ROUNDS):
            plain.append(_plain(shell))
            ours.append(_ours(socket))
        socket.close()
        verdict = caisey.verify()
    size = ROUNDS * LINES * WIDTH / 1e6
    proved = "the record verifies" if verdict.returncode == 0 else f"THE RECORD DOES NOT VERIFY: {verdict.stderr}"
    note = f"{size:.0f} MB in {ROUNDS} rounds, {proved}"
    return [
        Row(
            what="bulk output, recorded",
            unit="MB/s",
            ours=ours,
            reference=[MESHCENTRAL],
            must=1.5,
            aim=3,
            against="MB/s, MeshCentral (figure)",
            more=True,
            note=note,
        ),
        Row(
            what="bulk output, recorded, of a plain pty's",
            unit="MB/s",
            ours=ours,
            reference=plain,
            against="MB/s, plain pty",
            more=True,
        ),
    ]


def _plain(shell: KeptShell) -> float:
    begun = time.perf_counter()
    shell.type(COMMAND.encode(), b"end\r\n")
    return LINES * WIDTH / 1e6 / (time.perf_counter() - begun)


def _ours(socket: Socket) -> float:
    begun = time.perf_counter()
    socket.send(json.dumps({"type": "type", "data": COMMAND}))
    tail, got = b"", 0
    while b"end\r\n" not in tail:
        message = socket.receive()
        if isinstance(message, bytes):
            got += len(message) - 21
            tail = (tail + message[21:])[-64:]
    assert got > LINES * WIDTH
    return LINES * WIDTH / 1e6 / (time.perf_counter() - begun)
