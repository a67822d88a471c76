"""A line typed into the terminal until its answer is back, recorded, against a kept shell over ssh.

"Unrecorded" is the same typed line on the agent's link alone: the product has no way to the device that is not recorded, so a
plain loop stands where the server is, and the real agent with its real bash answers it.
"""

import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from devices import live
from doors import running
from figures import Row
from kept_shell import KeptShell, kept_shell
from linked import linked
from sockets import Socket

ROUNDS, EACH = 6, 100
_numbers = itertools.count(1)


def _line() -> tuple[bytes, bytes]:
    """Return a line, and the answer that its echo does not contain."""
    number = next(_numbers)
    return f"echo a''{number}\r".encode(), f"a{number}\r\n".encode()


def measure(folder: Path) -> list[Row]:
    """Take turns, round by round."""
    recorded: list[float] = []
    unrecorded: list[float] = []
    reference: list[float] = []
    with running(folder / "data") as caisey, kept_shell(folder) as (shell, name), linked(folder / "linked") as link:
        socket = live(caisey, caisey.active())
        socket.send(json.dumps({"type": "resize", "columns": 120, "rows": 40}))
        ways: tuple[tuple[list[float], Callable[[], None]], ...] = (
            (reference, lambda: _kept(shell)),
            (recorded, lambda: _browser(socket)),
            (unrecorded, lambda: link.line(*_line())),
        )
        for _, way in ways:
            way()
        for _ in range(ROUNDS):
            for took, way in ways:
                took.append(median(_timed(way) for _ in range(EACH)))
        socket.close()
    return [
        Row(
            what="terminal line, recorded, p50",
            unit="ms",
            ours=recorded,
            reference=reference,
            must=10,
            aim=4,
            against=f"ms, {name}",
        ),
        Row(
            what="terminal line, unrecorded, p50",
            unit="ms",
            ours=unrecorded,
            reference=reference,
            must=4,
            aim=2,
            against=f"ms, {name}",
            note="agent's link, real agent and bash, behind a plain loop instead of the server: the product records every line",
        ),
    ]


def _timed(way: Callable[[], None]) -> float:
    begun = time.perf_counter()
    way()
    return (time.perf_counter() - begun) * 1000


def _kept(shell: KeptShell) -> None:
    line, answer = _line()
    shell.type(line, answer)


def _browser(socket: Socket) -> None:
    line, answer = _line()
    socket.send(json.dumps({"type": "type", "data": line.decode()}))
    seen = b""
    while answer not in seen:
        message = socket.receive()
        if isinstance(message, bytes):
            seen += message[21:]
