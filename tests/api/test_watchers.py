"""Several browsers on one session: each gets everything in order, and one that is slow harms nobody but itself."""

import contextlib
import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from doors import Caisey
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

SIZE = 9_000_000
COMMAND = f"head -c {SIZE} /dev/zero | tr '\\0' x"
RESYNC = 4410


@pytest.fixture
def session(caisey: Caisey) -> Iterator[str]:
    """A session that was agreed to."""
    session = caisey.active()
    yield session
    caisey.finish(session)


@contextlib.contextmanager
def watch(caisey: Caisey, session: str, *, buffer: int | None = None) -> Iterator[ClientConnection]:
    """Open the session as a browser does; with a small buffer it is a slow one as long as it does not read."""
    parts = urlsplit(caisey.url)
    raw = socket.socket()
    if buffer is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    raw.connect((parts.hostname, parts.port))
    with connect(
        f"ws://{parts.netloc}/t/brightwater-it/sessions/{session}/live",
        sock=raw,
        additional_headers={"authorization": f"Bearer {caisey.people['tom'].token}"},
        compression=None,
        max_size=None,
        max_queue=1 if buffer is not None else 1000,
    ) as made:
        assert json.loads(until_text(made))["type"] == "hello"
        yield made


def until_text(browser: ClientConnection) -> str:
    """Skip output up to the next message."""
    while not isinstance(message := browser.recv(30), str):
        pass
    return message


def output_of(browser: ClientConnection, command: str) -> tuple[int, list[int]]:
    """Read until the command has ended; returns the size of its output and the positions of its pieces."""
    size, positions = 0, []
    while True:
        message = browser.recv(30)
        if isinstance(message, bytes):
            if message[4]:  # a command's, not the terminal's
                size += len(message) - 21
                positions.append(int.from_bytes(message[:4], "big"))
        elif (said := json.loads(message))["type"] == "command" and said["card"]["state"] == "finished":
            assert said["card"]["line"] == command
            return size, positions


def rest_of(browser: ClientConnection) -> tuple[str | bytes, int]:
    """Read to the end; returns the last message and the close code."""
    last: str | bytes = ""
    with contextlib.suppress(ConnectionClosed):
        while True:
            last = browser.recv(30)
    return last, browser.close_code or 0


def test_each_browser_gets_everything_in_order(caisey: Caisey, session: str) -> None:
    """Two browsers read the same 9 MB, in the order of the record."""
    with watch(caisey, session) as one, watch(caisey, session) as two:
        one.send(json.dumps({"type": "run", "line": COMMAND}))
        for browser in (one, two):
            size, positions = output_of(browser, COMMAND)
            assert size == SIZE
            assert positions == sorted(set(positions))


def test_a_slow_browser_is_told_to_load_again(caisey: Caisey, session: str) -> None:
    """One that does not read misses what is too much to keep for it, and is told; the other one misses nothing."""
    with watch(caisey, session, buffer=32768) as slow, watch(caisey, session) as quick:
        for _ in range(2):
            quick.send(json.dumps({"type": "run", "line": COMMAND}))
            assert output_of(quick, COMMAND)[0] == SIZE
        last, code = rest_of(slow)
        assert json.loads(last)["type"] == "resync"
        assert code == RESYNC
