"""Agents of a test's own, and the cable between an agent and its server: both can be broken at will."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from doors import Caisey, Device, agent, until


def shifted(module: str, seconds: int) -> tuple[str, ...]:
    """Return how to start a program whose wall clock is wrong by so much."""
    lines = (
        "import runpy, time",
        "seconds, nanoseconds = time.time, time.time_ns",
        f"time.time = lambda: seconds() + {seconds}",
        f"time.time_ns = lambda: nanoseconds() + {seconds} * 10**9",
        f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)",
    )
    return ("-c", "\n".join(lines))


@dataclass
class Endpoint:
    """A device that a test enrols, starts and kills as it likes."""

    caisey: Caisey
    home: Path
    name: str
    id: str = ""
    program: tuple[str, ...] = ("-m", "caisey_agent.cli")
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What the agent says."""
        return self.home.with_name(self.home.name + ".log")

    def config(self, **changes: str) -> dict[str, Any]:
        """Return the agent's settings, changed where wanted."""
        path = self.home / "config.json"
        config: dict[str, Any] = {**json.loads(path.read_bytes()), **changes}
        path.write_text(json.dumps(config))
        return config

    def start(self) -> None:
        """Start the agent and wait until the server sees it; its consent page may have moved."""
        (self.home / "consent_page").unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.program, "run", "--home", str(self.home)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        page = self.home / "consent_page"
        until(lambda: page.exists() and page.read_text(), "the consent page")
        self.caisey.devices[self.name] = Device(self.id, self.name, "Harbor Dental", page.read_text())
        self.online()

    @property
    def device(self) -> Device:
        """The device, as its person sees it."""
        return self.caisey.devices[self.name]

    def online(self, wanted: bool = True) -> None:
        """Wait until the server sees the device come or go."""
        ada = self.caisey.people["admin"]
        until(lambda: ada.get(f"/devices/{self.id}")["row"]["online"] is wanted, f"the device to be online: {wanted}")

    def kill(self) -> None:
        """kill -9 of the agent."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ask the agent to end and return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def installer(caisey: Caisey, **limits: Any) -> Any:
    """Make an installer for the client Harbor Dental."""
    ada = caisey.people["admin"]
    clients = {client["name"]: client["id"] for client in ada.get("/devices")["clients"]}
    return ada.post("/installers", {"client": clients["Harbor Dental"], **limits})


@contextlib.contextmanager
def endpoint(caisey: Caisey, folder: Path, name: str = "HD-OWN", **changes: Any) -> Iterator[Endpoint]:
    """Enrol a further device and run its agent for a while."""
    made = Endpoint(caisey, folder / name, name, **changes)
    token = installer(caisey, device_name=name)["token"]
    enrolled = agent("enrol", caisey.url, "--token", token, "--home", str(made.home), "--prompt", "page", "--name", name)
    assert enrolled.returncode == 0, enrolled.stderr
    made.id = made.config()["device"]
    try:
        made.start()
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.kill()


class Cable:
    """A TCP line to the server that knows where WebSocket messages end: it can be cut between two, and it can stand still."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 0
        self.port = 0
        self.passed = 0  # messages in both directions
        self._cuts: list[int] = []  # after so many further messages each
        self._flows = asyncio.Event()
        self._writers: list[asyncio.StreamWriter] = []
        self.connections = 0

    def cut_after(self, *messages: int) -> None:
        """Cut once so many more messages have passed; with several numbers again after so many further ones."""
        self.passed, self._cuts = 0, list(messages)

    @property
    def cuts_left(self) -> int:
        """How many cuts are still to come."""
        return len(self._cuts)

    def cut(self) -> None:
        """Cut now."""
        self._loop.call_soon_threadsafe(self._cut)

    def stall(self) -> None:
        """Let nothing through, without a word to either side."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def flow(self) -> None:
        """Let it through again."""
        self._loop.call_soon_threadsafe(self._flows.set)

    def _cut(self) -> None:
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            there, back = await asyncio.open_connection(self._host, self._port)
        except OSError:
            writer.close()
            return
        self._writers += [writer, back]
        await asyncio.gather(self._pump(reader, back), self._pump(there, writer), return_exceptions=True)
        for one in (writer, back):
            one.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            await self._pass(writer, await reader.readuntil(b"\r\n\r\n"))
            while True:
                await self._pass(writer, await _message(reader))
                self.passed += 1
                if self._cuts and self.passed >= self._cuts[0]:
                    self._cuts.pop(0)
                    self.passed = 0
                    self._cut()
        writer.close()

    async def _pass(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        await self._flows.wait()
        writer.write(data)
        await writer.drain()

    async def _serve(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._flows.set()
        self._over = asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._over.wait()
        server.close()
        self._flows.set()
        self._cut()
        await asyncio.sleep(0)

    @contextlib.contextmanager
    def laid(self) -> Iterator["Cable"]:
        """Be there for a while."""
        ready = threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True)
        thread.start()
        ready.wait()
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._over.set)
            thread.join()


async def _message(reader: asyncio.StreamReader) -> bytes:
    """Read one WebSocket frame as it is (RFC 6455, 5.2)."""
    head = await reader.readexactly(2)
    size, masked = head[1] & 0x7F, head[1] & 0x80
    more = await reader.readexactly({126: 2, 127: 8}.get(size, 0) + (4 if masked else 0))
    if size >= 126:
        size = int.from_bytes(more[: 2 if size == 126 else 8], "big")
    return head + more + await reader.readexactly(size)


def processes_with(mark: str) -> set[int]:
    """Return the processes that carry a mark in their command line."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if mark.encode() in (entry / "cmdline").read_bytes():
                    found.add(int(entry.name))
    return found
