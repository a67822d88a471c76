"""When the last of 100 watchers of a session has what the device said, against a plain loop over the same kind of sockets."""

import contextlib
import os
import select
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from uuid import UUID

import bare
from devices import live, online, spoken
from doors import running
from figures import Row
from sockets import Socket

from caisey_agent.protocol import frames as f

WATCHERS, ROUNDS, EACH = 100, 6, 40
DATA = b"Jan 12 10:42:31 pc-0001 cups[812]: printer office-2 is stopped\r\n"


def measure(folder: Path) -> list[Row]:
    """Take turns, round by round."""
    ours, reference = [], []
    with running(folder / "data") as caisey, bare.serving(folder) as (url, _), contextlib.ExitStack() as stack:
        (device,) = spoken(caisey, 1)
        device.connect()
        online(caisey, len(caisey.devices) + 1)
        asked = caisey.people["tom"].post(f"/devices/{device.place.device}/sessions", {"reason": "Bench", "scopes": ["run"]})
        session = UUID(asked["id"])
        assert device.grant() == session
        caisey.state(str(session), "active")
        output = f.Output(session=session, command=None, data=DATA)
        seen = stack.enter_context(_poll(live(caisey, str(session), "senior technician") for _ in range(WATCHERS)))
        plain = stack.enter_context(_poll(Socket(f"{url}/watch") for _ in range(WATCHERS)))
        mouth = Socket(f"{url}/say")
        for _ in range(ROUNDS):
            reference.append(median(_last(plain, lambda: mouth.send(DATA)) for _ in range(EACH)))
            ours.append(median(_last(seen, lambda: device.say(output)) for _ in range(EACH)))
        mouth.close()
    return [
        Row(
            what="last of 100 watchers",
            unit="ms",
            ours=ours,
            reference=reference,
            must=1.5,
            aim=1.1,
            against="ms, direct sends by bare ASGI",
        )
    ]


class Crowd:
    """Sockets that all wait for the same."""

    def __init__(self, sockets: list[Socket]) -> None:
        self.sockets = {socket.raw.fileno(): socket for socket in sockets}
        self.poll = select.epoll()
        for number in self.sockets:
            self.poll.register(number, select.EPOLLIN)

    def drain(self) -> None:
        """Take what is left of before."""
        while ready := self.poll.poll(0):
            for number, _ in ready:
                os.read(number, 1 << 18)


@contextlib.contextmanager
def _poll(sockets: Iterator[Socket]) -> Iterator[Crowd]:
    crowd = Crowd(list(sockets))
    try:
        yield crowd
    finally:
        crowd.poll.close()
        for socket in crowd.sockets.values():
            socket.close()


def _last(crowd: Crowd, say: Callable[[], None]) -> float:
    """Return the milliseconds until everyone got it."""
    crowd.drain()
    missing = set(crowd.sockets)
    begun = time.perf_counter()
    say()
    while missing:
        for number, _ in crowd.poll.poll(10):
            if DATA in os.read(number, 1 << 16):
                missing.discard(number)
    return (time.perf_counter() - begun) * 1000
