"""A line typed into the terminal until its answer is back, recorded, against a kept shell over ssh.

"Unrecorded" is the same typed line on the agent's link alone: the product has no way to the device that is not recorded, so a
plain loop stands where the server is, and the real agent with its real bash answers it.
"""

import asyncio
import itertools
import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from uuid import UUID

from devices import live
from doors import running
from figures import Row
from kept_shell import KeptShell, kept_shell
from lying import Lying, lying_server
from sockets import Socket

from caisey_agent.protocol import frames as f

ROUNDS, EACH = 6, 100
_numbers = itertools.count(1)


def _line() -> tuple[bytes, bytes]:
    """Return a line, and the answer that its echo does not contain."""
    number = next(_numbers)
    return f"echo a''{number}\r".encode(), f"a{number}\r\n".encode()


def measure(folder: Path) -> list[Row]:
    """Take turns, round by round."""
    recorded: list[float] = []
    linked: list[float] = []
    reference: list[float] = []
    with running(folder / "data") as caisey, kept_shell(folder) as (shell, name), Linked(folder) as link:
        socket = live(caisey, caisey.active())
        socket.send(json.dumps({"type": "resize", "columns": 120, "rows": 40}))
        ways: tuple[tuple[list[float], Callable[[], None]], ...] = (
            (reference, lambda: _kept(shell)),
            (recorded, lambda: _browser(socket)),
            (linked, link.line),
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
            ours=linked,
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


class Linked:
    """A real agent whose server is a plain loop, on a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "linked"
        self._folder.mkdir()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._context = lying_server(self._folder)
        self._server: Lying
        self._session: UUID

    def __enter__(self) -> "Linked":
        self._thread.start()
        self._server = self._wait(self._context.__aenter__())
        self._session = self._wait(self._server.agreed())
        return self

    def __exit__(self, *error: object) -> None:
        logging.disable(logging.ERROR)  # the agent is killed: its server says so
        self._wait(self._context.__aexit__(None, None, None))
        logging.disable(logging.NOTSET)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, work: object) -> object:  # type: ignore[misc]
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)  # type: ignore[arg-type]

    def line(self) -> None:
        """Type a line and wait for its answer."""
        self._wait(self._line())

    async def _line(self) -> None:
        line, answer = _line()
        server = self._server
        server.said.clear()

        def back() -> bool:
            return answer in b"".join(frame.data for frame in server.said if isinstance(frame, f.Output))

        await server.say(f.Keys(session=self._session, data=line))
        async with server.news:
            await server.news.wait_for(back)
