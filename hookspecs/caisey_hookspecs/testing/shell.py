"""What every shell keeps: its view of a command, and its half on the device."""

import asyncio
import time
import unicodedata
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import entry_points
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest

from caisey_hookspecs.declaration import ENDPOINT_GROUP
from caisey_hookspecs.shell import CommandEnd, CommandView, EndpointShell, Launch, Shell, Size
from caisey_hookspecs.testing.conformance import HOSTILE_TEXTS, Declared, PluginConformance
from caisey_hookspecs.testing.context import FakeContext

VIEW_SECONDS = 0.5
START_SECONDS = 10.0
SURELY_SECONDS = 1.5  # interrupt and close have one; the rest is for a busy machine
PATIENCE_SECONDS = 10.0
UNSEEN = ("Cc", "Cf", "Zl", "Zp", "Cs", "Co")  # categories of characters that a person does not see
LINES = (*HOSTILE_TEXTS, "ls -l | wc", "cat <<EOF\n\tone\nEOF", "rm -rf a\u202etxt.exe", "\x1b]0;title\x07", "a\u2028b", "a\rb")


class ShellConformance(PluginConformance):
    """Two lines: `class TestConformance(ShellConformance):` and `plugin = "…"`. This is the half on the server."""

    kind = "shell"

    async def _view(self, shell: Shell, context: FakeContext[Any], line: str) -> CommandView:
        said = await self.ask(context, shell.view(line), CommandView, VIEW_SECONDS)
        assert isinstance(said, CommandView), f"view raised {said}; what a shell cannot take is a complaint"
        return said

    @pytest.mark.asyncio
    @pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
    async def test_shows_everything(self, declared: Declared, context: FakeContext[Any], line: str) -> None:
        """Nothing of a command is hidden or left out, and the same command always looks the same."""
        shell = await self.make(declared, context)
        view = await self._view(shell, context, line)
        unseen = [char for char in view.canonical if char not in "\n\t" and unicodedata.category(char) in UNSEEN]
        assert not unseen, f"the canonical text holds characters that nobody sees: {unseen!r}"
        assert view == await self._view(shell, context, line), "one command was shown in two ways"
        visible = [char for char in line if char in "\n\t" or unicodedata.category(char) not in UNSEEN]
        rest = iter(view.canonical)
        assert all(char in rest for char in visible), "a part of the command is left out of the canonical text"
        if len(visible) < len(line):
            other = await self._view(shell, context, "".join(visible))
            assert view.canonical != other.canonical or view.complaint, "characters that nobody sees leave no trace"

    @pytest.mark.asyncio
    async def test_does_no_io(self, declared: Declared, context: FakeContext[Any]) -> None:
        """Looking at a command sends, stores and reports nothing."""
        await self._view(await self.make(declared, context), context, "reboot")
        assert not [*context.http.sent, *context.store.entries, *context.report.changes], "view does I/O"


class Heard:
    """A ShellListener that keeps what it was told."""

    def __init__(self) -> None:
        self.begun: list[UUID] = []
        self.outputs: dict[UUID, bytes] = {}
        self.typed = b""  # output of the terminal
        self.ends: list[CommandEnd] = []
        self.echoes: list[bool] = []
        self.gone = ""
        self._news = asyncio.Event()

    def output(self, data: bytes, command: UUID | None) -> None:
        """Keep bytes."""
        if command is None:
            self.typed += data
        else:
            assert command in self.begun, "output of a command that was not reported as started"
            assert command not in [end.command for end in self.ends], "output of a command that was reported as finished"
            self.outputs[command] = self.outputs.get(command, b"") + data
        self._news.set()

    def started(self, command: UUID) -> None:
        """Keep it."""
        self.begun.append(command)
        self._news.set()

    def finished(self, end: CommandEnd) -> None:
        """Keep it."""
        self.ends.append(end)
        self._news.set()

    def ended(self, reason: str) -> None:
        """Keep why."""
        self.gone = reason
        self._news.set()

    def echo(self, visible: bool) -> None:
        """Keep it."""
        self.echoes.append(visible)
        self._news.set()

    async def until(self, true: Callable[[], bool], what: str = "what was expected of the shell") -> None:
        """Wait until something is true of what was heard; 10 seconds at most."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not true():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"waited {PATIENCE_SECONDS:g} s in vain for {what}") from None

    async def end_of(self, command: UUID) -> CommandEnd:
        """Wait until a command has ended."""
        await self.until(lambda: command in [end.command for end in self.ends], "the end of a command")
        return next(end for end in self.ends if end.command == command)


class EndpointShellConformance:
    """Two lines: `class TestOnTheDevice(EndpointShellConformance):` and `plugin = "…"`. It runs real commands on this machine.

    The commands are those of a POSIX shell; over-ride them for another.
    """

    plugin: ClassVar[str]
    hello: ClassVar[bytes] = b"echo hello"
    fails: ClassVar[bytes] = b"(exit 3)"  # with exit code 3
    sets: ClassVar[bytes] = b"kept=remembered; cd /"
    asks: ClassVar[bytes] = b"echo $kept"
    waits: ClassVar[bytes] = b"sleep 600"
    nonsense: ClassVar[bytes] = b"'"  # cannot be parsed
    floods: ClassVar[bytes] = b"head -c 3000000 /dev/zero | tr '\\0' x"

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[tuple[EndpointShell, Heard]]:
        found = list(entry_points(group=ENDPOINT_GROUP, name=self.plugin))
        assert len(found) == 1, f"{len(found)} entry points “{self.plugin}” are installed in the group “{ENDPOINT_GROUP}”"
        heard = Heard()
        shell: EndpointShell = found[0].load().caisey_endpoint_shell(Launch(size=Size()), heard)
        assert isinstance(shell, EndpointShell), f"caisey_endpoint_shell returned {type(shell).__name__}"
        async with asyncio.timeout(START_SECONDS):
            await shell.start()
        try:
            yield shell, heard
        finally:
            await _within(SURELY_SECONDS, "close", shell.close())

    @pytest.mark.asyncio
    async def test_commands_in_order(self) -> None:
        """Commands run one after the other in one kept shell, each with its own output, exit code and times."""
        async with self._running() as (shell, heard):
            hello, fails, sets, asks = uuid4(), uuid4(), uuid4(), uuid4()
            for command, line in ((hello, self.hello), (fails, self.fails), (sets, self.sets), (asks, self.asks)):
                shell.run(command, line)
            last = await heard.end_of(asks)
            assert heard.begun == [hello, fails, sets, asks], "commands did not begin in the order in which they were given"
            assert heard.outputs[hello].split() == [b"hello"], f"the output is {heard.outputs[hello]!r}"
            codes = [end.exit_code for end in heard.ends]
            assert codes == [0, 3, 0, 0], f"the exit codes are {codes}"
            assert heard.outputs[asks].split() == [b"remembered"], "the shell was not kept: a variable is gone"
            assert last.directory == "/", f"the directory afterwards is “{last.directory}”"
            for end in heard.ends:
                assert 0 < end.started_ns <= end.ended_ns <= time.monotonic_ns(), "times are of the monotonic clock"

    @pytest.mark.asyncio
    async def test_nonsense_ends_too(self) -> None:
        """A command that cannot be parsed ends, and the next one runs."""
        async with self._running() as (shell, heard):
            wrong, hello = uuid4(), uuid4()
            shell.run(wrong, self.nonsense)
            assert (await heard.end_of(wrong)).exit_code != 0, "nonsense ended with exit code 0"
            if not heard.gone:
                shell.run(hello, self.hello)
                assert (await heard.end_of(hello)).exit_code == 0

    @pytest.mark.asyncio
    async def test_interrupt(self) -> None:
        """The running command ends within a second and the queued ones never begin; the shell works on, or is reported gone."""
        async with self._running() as (shell, heard):
            waits, queued, hello = uuid4(), uuid4(), uuid4()
            shell.run(waits, self.waits)
            shell.run(queued, self.hello)
            await heard.until(lambda: waits in heard.begun)
            await _within(SURELY_SECONDS, "interrupt", shell.interrupt())
            assert (await heard.end_of(waits)).exit_code != 0, "an interrupted command ended with exit code 0"
            if not heard.gone:
                shell.run(hello, self.hello)
                await heard.end_of(hello)
            assert queued not in heard.begun, "a queued command began although everything was interrupted"

    @pytest.mark.asyncio
    async def test_close_while_a_command_runs(self) -> None:
        """The command is reported as ended before the shell is."""
        async with self._running() as (shell, heard):
            waits = uuid4()
            shell.run(waits, self.waits)
            await heard.until(lambda: waits in heard.begun)
            await _within(SURELY_SECONDS, "close", shell.close())
            assert [end.command for end in heard.ends] == [waits], "the running command was not reported as finished"
            assert heard.ends[0].shell_ended, "CommandEnd.shell_ended is not set"
            assert heard.gone, "the end of the shell was not reported"
            shell.run(uuid4(), self.hello)
            shell.write(b"x")
            shell.resize(Size(100, 30))
            await shell.interrupt()

    @pytest.mark.asyncio
    async def test_much_output_paused_and_resumed(self) -> None:
        """All bytes arrive, also when whoever listens takes a rest."""
        async with self._running() as (shell, heard):
            floods = uuid4()
            shell.run(floods, self.floods)
            await heard.until(lambda: len(heard.outputs.get(floods, b"")) > 0)
            shell.pause(True)
            shell.pause(True)
            await asyncio.sleep(0)
            held = len(heard.outputs[floods])
            await asyncio.sleep(0.2)  # nothing is to happen, and nothing can tell
            assert len(heard.outputs[floods]) - held < 1 << 20, "a paused shell is read on"
            shell.pause(False)
            await heard.end_of(floods)
            assert len(heard.outputs[floods]) == 3_000_000, "bytes are missing"

    @pytest.mark.asyncio
    async def test_the_terminal(self) -> None:
        """What is typed into the terminal runs, and its output belongs to no command."""
        async with self._running() as (shell, heard):
            shell.resize(Size(120, 40))
            shell.write(self.hello + b"\n")
            await heard.until(lambda: b"hello" in heard.typed)
            assert not heard.outputs, "output of the terminal was given to a command"


async def _within(seconds: float, what: str, work: Any) -> None:
    began = time.monotonic()
    await work
    assert time.monotonic() - began < seconds, f"{what} took {time.monotonic() - began:.1f} s; the limit is one second"
