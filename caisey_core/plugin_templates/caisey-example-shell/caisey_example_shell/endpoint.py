"""Example shell, on the device: a POSIX `sh` that is kept from command to command.

It is behind pipes and has no terminal: programs that need one do not work in it, and what leaves its process group
outlives it. `caisey-bash` shows what a real one does about both.
"""

import asyncio
import contextlib
import os
import secrets
import shlex
import signal
import time
from collections import deque
from uuid import UUID

from caisey_hookspecs import CommandEnd, EndpointShell, Launch, Rejected, ShellListener, Size, hookimpl

READ = 64 * 1024  # bytes at once
PATIENCE_SECONDS = 0.5  # before the shell goes together with a command that does not listen


class Running:
    """The command that runs now. The nonce marks its end: the output cannot know it."""

    def __init__(self, command: UUID) -> None:
        self.command, self.began_ns = command, time.monotonic_ns()
        self.nonce = secrets.token_hex(16).encode()


class KeptShell(EndpointShell):
    """One `sh` of one session."""

    def __init__(self, launch: Launch, listener: ShellListener) -> None:
        self._launch, self._listener = launch, listener
        self._queue: deque[tuple[UUID, bytes]] = deque()
        self._running: Running | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._held = b""  # output that may be the begin of an end mark
        self._resumed = asyncio.Event()
        self._idle = asyncio.Event()
        self._resumed.set()
        self._idle.set()

    async def start(self) -> None:
        """Start `sh`; it lives through the interrupts that end its commands."""
        try:
            self._process = await asyncio.create_subprocess_exec(
                "/bin/sh",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                cwd=self._launch.home or None,
                env={"PATH": os.defpath, "LANG": "C.UTF-8", **self._launch.environment},
                start_new_session=True,
            )
        except OSError as error:
            raise Rejected(f"sh does not start on this device: {error.strerror}.") from error
        self._write(b"trap : INT\n")
        self._reading = asyncio.create_task(self._read(self._process))

    def run(self, command: UUID, line: bytes) -> None:
        """Queue a command."""
        self._queue.append((command, line))
        self._next()

    def _next(self) -> None:
        if self._running is not None or not self._queue or self._process is None:
            return
        command, line = self._queue.popleft()
        self._running = running = Running(command)
        self._idle.clear()
        self._listener.started(command)
        text = shlex.quote(os.fsdecode(line))
        end = f"""printf '%s %s %s\\n' {running.nonce.decode()} "$?" "$PWD\""""
        self._write(os.fsencode(f"command eval {text} </dev/null; {end}\n"))

    def write(self, data: bytes) -> None:
        """Give the shell what was typed; a recorded command does not get it."""
        self._write(data)

    def _write(self, data: bytes) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(ConnectionError):
                self._process.stdin.write(data)

    def resize(self, size: Size) -> None:
        """There is no terminal whose size could change."""

    async def interrupt(self) -> None:
        """Interrupt the running command; a shell that does not listen within half a second goes with it."""
        self._queue.clear()
        if self._running is None:
            return
        self._signal(signal.SIGINT)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._idle.wait()
        except TimeoutError:
            await self.close()

    async def close(self) -> None:
        """End the shell and its process group."""
        self._queue.clear()
        self._signal(signal.SIGKILL)
        self._resumed.set()
        if self._reading is not None:
            await self._reading

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def pause(self, paused: bool) -> None:
        """Stop or resume reading."""
        if paused:
            self._resumed.clear()
        else:
            self._resumed.set()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Hand over what the shell says, until it ends."""
        while process.stdout is not None:
            await self._resumed.wait()
            data = await process.stdout.read(READ)
            if not data:
                break
            self._cut(data)
        await process.wait()
        self._process = None
        self._hand_over(self._held)
        self._held = b""
        if self._running is not None:
            self._finish(self._running, None, "")
        self._listener.ended("the shell ended")

    def _cut(self, data: bytes) -> None:
        """Give bytes to the command that runs, up to its end mark, and the rest to the terminal."""
        running = self._running
        if running is None:
            self._hand_over(data)
            return
        data = self._held + data
        output, mark, rest = data.partition(running.nonce)
        if not mark:
            keep = _partial(output, running.nonce)
            self._hand_over(output[: len(output) - keep])
            self._held = output[len(output) - keep :]
            return
        report, newline, after = rest.partition(b"\n")
        self._hand_over(output)
        if not newline:
            self._held = mark + rest
            return
        self._held = b""
        code, _, directory = report.strip().partition(b" ")
        self._finish(running, int(code), directory.decode(errors="replace"))
        self._hand_over(after)  # the terminal's: the next command is not begun yet
        self._next()

    def _hand_over(self, data: bytes) -> None:
        if data:
            self._listener.output(data, self._running.command if self._running is not None else None)

    def _finish(self, running: Running, code: int | None, directory: str) -> None:
        self._running = None
        self._idle.set()
        self._listener.finished(
            CommandEnd(
                command=running.command,
                exit_code=code,
                directory=directory,
                started_ns=running.began_ns,
                ended_ns=time.monotonic_ns(),
                shell_ended=code is None,
            )
        )


def _partial(data: bytes, mark: bytes) -> int:
    """Return how many of the last bytes may be the begin of the mark."""
    return next((n for n in range(min(len(mark) - 1, len(data)), 0, -1) if mark.startswith(data[-n:])), 0)


@hookimpl
def caisey_endpoint_shell(launch: Launch, listener: ShellListener) -> EndpointShell:
    """Make a shell for one session."""
    return KeptShell(launch, listener)
