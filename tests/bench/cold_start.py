"""A cold start: from the start of `caisey serve` to its first answer."""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from doors import caisey
from figures import Row

ROUNDS = 6
MESHCENTRAL = 2.45  # s


def measure(folder: Path) -> list[Row]:
    """Start and stop."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    made = caisey("init", "--data", str(folder / "data"), "--port", str(port))
    assert made.returncode == 0, made.stderr
    ours = [_start(folder / "data", port) for _ in range(ROUNDS)]
    return [
        Row(
            what="cold start to first answer",
            unit="s",
            ours=ours,
            reference=[MESHCENTRAL],
            must=1,
            aim=0.5,
            against="s, MeshCentral (figure)",
        )
    ]


def _start(data: Path, port: int) -> float:
    begun = time.perf_counter()
    command = [sys.executable, "-m", "caisey_core.cli", "serve", "--data", str(data)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not _answers(port):
            assert process.poll() is None
            time.sleep(0.005)
        return time.perf_counter() - begun
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(b"GET /t/my-company/sign-in HTTP/1.1\r\nhost: localhost\r\naccept: text/html\r\n\r\n")
        return connection.recv(64).startswith(b"HTTP/1.1 200")
    return False
