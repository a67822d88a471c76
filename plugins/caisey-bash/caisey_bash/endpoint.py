"""The bash shell, endpoint half: one kept shell on a pty for the terminal and for recorded commands with exact boundaries.

A recorded command is not typed: its bytes go to a file that the shell evaluates, between two marks with a random nonce that
output cannot know. A side pipe reports exit code and directory whenever the prompt is back, however that came about.
The marks are OSC 133 C and D (https://gitlab.freedesktop.org/Per_Bothner/specifications, "semantic prompts").
"""

import asyncio
import contextlib
import fcntl
import os
import pwd
import secrets
import shutil
import signal
import struct
import tempfile
import termios
import time
from collections import deque
from importlib.resources import files
from pathlib import Path
from typing import Final
from uuid import UUID

from caisey_bash import processes
from caisey_hookspecs import CommandEnd, EndpointShell, Launch, Rejected, ShellListener, Size, hookimpl

READ: Final = 256 * 1024
PROMPT_MARK: Final = b"\x1b]133;A\x07"  # what our PS1 begins with
CLEAR_LINE: Final = b"\x1b[133~"  # keys that no keyboard has, bound in our bashrc: take a half-typed line away …
GIVE_LINE_BACK: Final = b"\x1b[134~"  # … and give it back when the recorded command is over
SIDE_FD: Final = 198
START_SECONDS: Final = 10.0
PATIENCE: Final = ((signal.SIGINT, 0.3), (signal.SIGTERM, 0.3), (signal.SIGKILL, 0.2))  # all within one second
END_MARK_SECONDS: Final = 0.05  # the side pipe may be ahead of the pty


class Running:
    """The recorded command that the shell evaluates now."""

    def __init__(self, command: UUID) -> None:
        self.command = command
        self.nonce = secrets.token_hex(8)
        self.begun = False  # the start mark was seen
        self.started_ns = time.monotonic_ns()

    def mark(self, letter: str) -> bytes:
        """Return the mark of its begin (C) or end (D)."""
        return f"\x1b]133;{letter};{self.nonce}\x07".encode()


class KeptBash(EndpointShell):
    """See EndpointShell."""

    def __init__(self, launch: Launch, listener: ShellListener) -> None:
        self._launch, self._listener = launch, listener
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[UUID, bytes]] = deque()
        self._running: Running | None = None
        self._prompt = asyncio.Event()
        self._ready = False  # at a prompt: a command can be given
        self._reported: tuple[int, str] | None = None
        self._held = b""  # bytes that may be the begin of a mark
        self._side = b""
        self._echo = True
        self._paused = False
        self._pid = 0
        self._pty = self._pipe = self._life = -1
        self._ending: asyncio.Task[None] | None = None  # of what the shell left when it ended by itself
        self._folder = ""
        self._interrupting = False
        self._half_typed = False  # the terminal holds a line without its Enter

    # --- life --------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start bash and wait for its first prompt."""
        bash = shutil.which("bash")
        if bash is None:
            raise Rejected("There is no bash on this device.")
        account = self._account()
        processes.become_subreaper()
        self._folder = tempfile.mkdtemp(prefix="caisey-")
        rc = Path(self._folder, "rc")
        rc.write_text(files("caisey_bash").joinpath("bashrc").read_text())
        if account is not None:
            for path in (self._folder, rc):
                os.chown(path, account.pw_uid, account.pw_gid)
        self._pipe, other = os.pipe()
        self._pty, theirs = os.openpty()
        self._set_size(self._launch.size)
        who = account or pwd.getpwuid(os.geteuid())
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": who.pw_dir,
            "USER": who.pw_name,
            "LOGNAME": who.pw_name,
            "SHELL": bash,
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            **self._launch.environment,
            "CAISEY_DIR": self._folder,
            "CAISEY_FD": str(SIDE_FD),
        }
        home = self._launch.home or who.pw_dir
        self._pid = processes.spawn(
            [bash, "--noprofile", "--rcfile", str(rc), "-i"], environment, theirs, other, SIDE_FD, home, account
        )
        os.close(theirs)
        os.close(other)
        os.set_blocking(self._pty, False)
        os.set_blocking(self._pipe, False)
        self._loop.add_reader(self._pty, self._read_pty)
        self._loop.add_reader(self._pipe, self._read_pipe)
        with contextlib.suppress(AttributeError, OSError):  # Linux 5.3; elsewhere the end of the terminal has to tell
            self._life = os.pidfd_open(self._pid)
            self._loop.add_reader(self._life, self._died)
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._prompt.wait()
        except TimeoutError:
            await self.close()
            raise Rejected("bash did not come to its prompt.") from None
        if self._pid == 0:
            raise Rejected("bash ended at its start.")

    def _account(self) -> pwd.struct_passwd | None:
        if not self._launch.account or os.geteuid() != 0:
            return None
        try:
            found = pwd.getpwnam(self._launch.account)
        except KeyError:
            raise Rejected(f"This device has no account {self._launch.account}.") from None
        return None if found.pw_uid == os.geteuid() else found

    async def close(self) -> None:
        """End the shell and everything that it started."""
        if self._ending is not None:
            await asyncio.wait([self._ending])
        if self._pid:
            pid = self._pid
            self._stop_reading()
            await processes.end_all(pid, self._folder, within_seconds=0.8)
            self._forget("the session ended")

    def _stop_reading(self) -> None:
        for fd in (self._pty, self._pipe, self._life):
            if fd >= 0:
                self._loop.remove_reader(fd)

    def _died(self) -> None:
        """bash itself ended; what it started may hold the terminal open for as long as it likes."""
        self._drain_pty()
        self._gone("the shell ended")

    def _gone(self, reason: str) -> None:
        """The shell ended by itself or was killed."""
        if not self._pid:
            return
        self._stop_reading()
        if self._held:
            self._emit(self._held)
            self._held = b""
        pid, mark = self._pid, self._folder
        self._forget(reason)
        self._ending = self._loop.create_task(processes.end_all(pid, mark, within_seconds=0.8))

    def _forget(self, reason: str) -> None:
        self._pid = 0
        for fd in (self._pty, self._pipe, self._life):
            if fd >= 0:
                os.close(fd)
        self._pty = self._pipe = self._life = -1
        shutil.rmtree(self._folder, ignore_errors=True)
        now = time.monotonic_ns()
        running, self._running = self._running, None
        if running is not None:
            self._listener.finished(
                CommandEnd(
                    command=running.command,
                    exit_code=None,
                    directory="",
                    started_ns=running.started_ns,
                    ended_ns=now,
                    shell_ended=True,
                )
            )
        self._ready = False
        self._prompt.set()
        self._listener.ended(reason)

    # --- work --------------------------------------------------------------------------------------------------------

    def run(self, command: UUID, line: bytes) -> None:
        """Queue a recorded command."""
        self._queue.append((command, line))
        self._give_next()

    @property
    def waiting(self) -> list[tuple[UUID, bytes]]:
        """Commands that were not begun: they can go to the next shell."""
        return list(self._queue)

    def _give_next(self) -> None:
        if self._running is not None or not self._queue or not self._ready or not self._pid:
            return
        if processes.foreground(self._pty) != self._pid:  # a key other than Enter began something: its end is reported
            self._ready = False
            return
        command, line = self._queue.popleft()
        running = self._running = Running(command)
        path = Path(self._folder, running.nonce)
        path.write_bytes(line)
        path.chmod(0o644)
        self._ready = False
        self._reported = None
        running.started_ns = time.monotonic_ns()
        self._listener.started(command)
        nonce = running.nonce.encode()
        self._write(CLEAR_LINE + b" __caisey_b " + nonce + b';eval "$__caisey_line";__caisey_e ' + nonce + b"\r")

    def write(self, data: bytes) -> None:
        """Type."""
        if self._pid:
            if self._running is None:
                line_ended = b"\r" in data or b"\n" in data
                self._half_typed = not line_ended and bool(data)
                if line_ended:
                    self._ready = False  # the prompt comes back with the next report
            self._write(data)

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            while data:
                try:
                    data = data[os.write(self._pty, data) :]
                except BlockingIOError:
                    self._loop.call_later(0.01, self._write, data)
                    return

    def resize(self, size: Size) -> None:
        """Change the size."""
        if self._pty >= 0:
            self._set_size(size)

    def _set_size(self, size: Size) -> None:
        fcntl.ioctl(self._pty, termios.TIOCSWINSZ, struct.pack("HHHH", size.rows, size.columns, 0, 0))

    def _sane(self) -> None:
        """Undo what an earlier command did to the terminal (`stty raw`): readline gives it back as it found it."""
        with contextlib.suppress(termios.error):
            mode = termios.tcgetattr(self._pty)
            if mode[3] & termios.ICANON and mode[0] & termios.ICRNL and mode[3] & termios.ECHO:
                return
            mode[0] |= termios.ICRNL | termios.IXON
            mode[1] |= termios.OPOST | termios.ONLCR
            mode[3] |= termios.ICANON | termios.ECHO | termios.ECHOE | termios.ECHOK | termios.ISIG | termios.IEXTEN
            termios.tcsetattr(self._pty, termios.TCSANOW, mode)

    async def interrupt(self) -> None:
        """End what runs."""
        self._queue.clear()
        if not self._pid or self._interrupting:
            return
        self._interrupting = True
        try:
            for number, patience in PATIENCE:
                if self._ready or not self._pid:
                    return
                self._prompt.clear()
                processes.signal_foreground(self._pty, self._pid, number)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(patience):
                        await self._prompt.wait()
                        return
            if self._pid and not self._ready:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._pid, signal.SIGKILL)  # a builtin that does not listen: the shell itself goes
        finally:
            self._interrupting = False

    def pause(self, paused: bool) -> None:
        """Stop or resume reading."""
        if paused != self._paused and self._pty >= 0:
            self._paused = paused
            if paused:
                self._loop.remove_reader(self._pty)
            else:
                self._loop.add_reader(self._pty, self._read_pty)

    # --- what comes back ---------------------------------------------------------------------------------------------

    def _read_pty(self) -> None:
        try:
            data = os.read(self._pty, READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._gone("the shell ended")
            return
        self._watch_echo()
        self._cut(data)
        self._settle()

    def _read_pipe(self) -> None:
        try:
            data = os.read(self._pipe, 65536)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self._pipe)
            self._drain_pty()
            self._end_without_prompt()
            return
        *reports, self._side = (self._side + data).split(b"\0")
        for report in reports:
            kind, _, rest = report.partition(b" ")
            code, _, directory = rest.partition(b" ")
            if kind == b"P" and code.isdigit():
                self._reported = (int(code), directory.decode(errors="replace"))
        if reports:
            self._drain_pty()
            self._settle()

    def _end_without_prompt(self) -> None:
        """The side pipe was closed by `exec` or by hand: this shell cannot say any more when a command ends."""
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGHUP)
            self._loop.call_later(0.2, self._gone, "it was replaced or closed its side channel")

    def _drain_pty(self) -> None:
        """Take what the pty has by now: the report may be ahead of the output."""
        while self._pty >= 0:
            try:
                data = os.read(self._pty, READ)
            except OSError:
                return
            if not data:
                return
            self._cut(data)

    def _cut(self, data: bytes) -> None:
        """Give bytes to the command or the terminal; marks cut, the typed call of a recorded command is left out."""
        running = self._running
        if running is None:
            self._emit(self._held + data if self._held else data)
            self._held = b""
            return
        data = self._held + data
        self._held = b""
        if not running.begun:
            _, mark, after = data.partition(running.mark("C"))
            if not mark:
                self._held = data[-4096:]  # the echo of our own call: nobody's output
                return
            running.begun = True
            self._sane()
            data = after
        out, mark, after = data.partition(running.mark("D"))
        if mark:
            if out:
                self._listener.output(out, running.command)
            running.begun = False
            self._ended_mark = True
            self._held = b""
            self._finish_when_reported(after)
            return
        out, mark, after = out.partition(PROMPT_MARK)
        if mark:  # the prompt came without an end mark: the command was interrupted
            if out:
                self._listener.output(out, running.command)
            running.begun = False
            self._ended_mark = True
            self._finish_when_reported(mark + after)
            return
        keep = max(_partial(out, running.mark("D")), _partial(out, PROMPT_MARK))
        if keep:
            self._held, out = out[-keep:], out[:-keep]
        if out:
            self._listener.output(out, running.command)

    def _finish_when_reported(self, after: bytes) -> None:
        """The end mark was seen; the prompt's report gives code and directory, what follows belongs to the terminal."""
        self._after_mark = after
        self._settle()

    _ended_mark = False
    _after_mark = b""

    def _settle(self) -> None:
        """Bring mark and report together; a report without a mark is a command that never came to its end mark."""
        if self._reported is None:
            if self._ended_mark and self._running is not None:
                return
            return
        if self._running is not None and not self._ended_mark:
            self._loop.call_later(END_MARK_SECONDS, self._without_mark, self._running)
            return
        self._complete()

    def _without_mark(self, running: Running) -> None:
        if self._running is running and self._reported is not None and not self._ended_mark:
            self._drain_pty()
            if self._running is running:
                self._complete()

    def _complete(self) -> None:
        assert self._reported is not None
        code, directory = self._reported
        self._reported = None
        running, self._running = self._running, None
        after, self._after_mark, self._ended_mark = self._after_mark, b"", False
        if running is not None:
            with contextlib.suppress(FileNotFoundError):
                Path(self._folder, running.nonce).unlink()
            self._listener.finished(
                CommandEnd(
                    command=running.command,
                    exit_code=code,
                    directory=directory,
                    started_ns=running.started_ns,
                    ended_ns=time.monotonic_ns(),
                )
            )
        if after:
            self._emit(after)
        if running is not None and self._half_typed:
            self._write(GIVE_LINE_BACK)
        self._ready = True
        self._prompt.set()
        self._give_next()

    def _emit(self, data: bytes) -> None:
        if data:
            self._listener.output(data, None)

    def _watch_echo(self) -> None:
        """Tell when the terminal stops echoing while it still takes lines: a password is asked for."""
        try:
            flags = termios.tcgetattr(self._pty)[3]
        except termios.error:
            return
        visible = bool(flags & termios.ECHO) or not flags & termios.ICANON
        if visible != self._echo:
            self._echo = visible
            self._listener.echo(visible)


def _partial(data: bytes, mark: bytes) -> int:
    """Return how many of the last bytes may be the begin of the mark."""
    start = data.rfind(b"\x1b", max(0, len(data) - len(mark) + 1))
    return len(data) - start if start >= 0 and mark.startswith(data[start:]) else 0


@hookimpl
def caisey_endpoint_shell(launch: Launch, listener: ShellListener) -> EndpointShell:
    """Make a kept bash."""
    return KeptBash(launch, listener)
