"""Shell: the server half judges a command before it is accepted, the endpoint half runs it on the device."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol
from uuid import UUID

from msgspec import Struct

from caisey_hookspecs.plugin import Context, TenantObject, hookspec


class CommandView(Struct, frozen=True, kw_only=True):
    """A command as a person should see it before it runs."""

    canonical: str  # the complete text; control, bidirectional and zero-width characters made visible
    complaint: str = ""  # why the shell cannot take it, and what to do; empty if it can


class Shell(TenantObject, ABC):
    """The server half: looks at a command and does no I/O.

    Thread: the plugin's own.
    Example:
        class Plain(Shell):
            async def view(self, line: str) -> CommandView:
                seen = "".join(char if char.isprintable() or char == "\\n" else f"<U+{ord(char):04X}>" for char in line)
                return CommandView(canonical=seen, complaint="This shell cannot take NUL." if "\\0" in line else "")

        shell = Plain()
    """

    @abstractmethod
    async def view(self, line: str) -> CommandView:
        """Look at a command without running it: nothing of it may be hidden, left out or shown as something else.

        Called: before each command is accepted into the record; the canonical text is what people see and approve.
        Limit: 0.5 seconds.
        Raises: nothing; what this shell cannot take is a `complaint`.
        Example:
            assert (await shell.view("ls")).canonical == "ls"
            assert (await shell.view("rm a\\u202etxt.exe")).canonical == "rm a<U+202E>txt.exe"
            assert (await shell.view("\\0")).complaint != ""
        """


@hookspec(firstresult=True)
def caisey_shell(context: Context[Any]) -> Shell:
    """Make a tenant's shell object, the server half; do no I/O.

    Called: when the object is first needed after the tenant enabled the plugin or changed a setting.
    Thread: the plugin's own.
    Limit: 1 second.
    Raises: nothing; a setting that cannot be right is told by `check`.
    Example:
        @hookimpl
        def caisey_shell(context: Context[NoSettings]) -> Shell:
            return shell

        assert caisey_shell(context) is shell
    """
    raise NotImplementedError  # a specification is never run


class Size(Struct, frozen=True):
    """A terminal's size in character cells."""

    columns: int = 80  # characters
    rows: int = 24  # lines


class Launch(Struct, frozen=True, kw_only=True):
    """How to start a shell on the device."""

    size: Size
    account: str = ""  # operating-system account to run as; empty: the agent's own
    home: str = ""  # starting directory; empty: the account's home
    environment: Mapping[str, str] = {}  # added to the clean environment


class CommandEnd(Struct, frozen=True, kw_only=True):
    """How a recorded command ended."""

    command: UUID
    exit_code: int | None  # None: the shell ended before it could say
    directory: str  # working directory afterwards; empty if not known
    started_ns: int  # monotonic clock of the endpoint, nanoseconds
    ended_ns: int
    shell_ended: bool = False


class ShellListener(Protocol):
    """Where the endpoint half tells what happens, in the order of the bytes. It is given to you; do not wait for it.

    Thread: the agent's event loop; call it from nowhere else.
    Raises: nothing.
    """

    def output(self, data: bytes, command: UUID | None) -> None:
        """Take bytes from the shell: of a recorded command, or of the terminal (None).

        Example:
            listener.output(b"hello\\r\\n", None)
            assert heard.typed == b"hello\\r\\n"
        """

    def started(self, command: UUID) -> None:
        """Take note that a recorded command began; what it prints comes after.

        Example:
            listener.started(command)
            listener.output(b"Linux\\r\\n", command)
            assert heard.outputs[command] == b"Linux\\r\\n"
        """

    def finished(self, end: CommandEnd) -> None:
        """Take note that a recorded command ended; all its output was handed over before.

        Example:
            end = CommandEnd(command=command, exit_code=0, directory="/root", started_ns=1_000, ended_ns=5_000)
            listener.finished(end)
            assert heard.ends == [end]
        """

    def ended(self, reason: str) -> None:
        """Take note that the shell is gone, with words for the technician: variables and directory are lost.

        The command that ran, if any, was reported as finished before. The agent may make a new shell.

        Example:
            listener.ended("the shell ended")
            assert heard.gone == "the shell ended"
        """

    def echo(self, visible: bool) -> None:
        """Take note that the terminal stopped or resumed echoing what is typed: False while a password is asked for.

        What is typed meanwhile is not recorded.

        Example:
            listener.echo(False)
            assert heard.echoes == [False]
        """


class EndpointShell(ABC):
    """The endpoint half: one kept shell of one session on the device.

    The shell is kept from command to command: directory and variables stay. The agent checked consent before it calls.

    Thread: the agent's own event loop, from which nothing may block: the device's link lives there too.
    Raises: only `start` may raise. What another method raises is a fault of the plugin that nobody repairs.

    The examples are of the plugin that `caisey plugins new NAME --kind shell` writes: it keeps a POSIX `sh`.
    """

    @abstractmethod
    async def start(self) -> None:
        """Start the shell.

        Called: once, before everything else.
        Limit: 10 seconds.
        Raises: Rejected, in words for the technician, if this device cannot.
        Example:
            shell = caisey_endpoint_shell(Launch(size=Size(80, 24), home="/"), listener)
            await shell.start()
        """

    @abstractmethod
    def run(self, command: UUID, line: bytes) -> None:
        """Queue a recorded command: exactly these bytes, in the kept shell, one after the other.

        Called: after the command is durable in the record and consent was checked.
        Limit: returns at once; the command may run as long as it likes.
        Raises: nothing; a command that cannot run ends with an exit code or with the shell.
        Example:
            shell.run(command, b"cd /tmp; echo hello; (exit 3)")
            end = await heard.end_of(command)
            assert (heard.outputs[command], end.exit_code, end.directory) == (b"hello\\n", 3, "/tmp")
        """

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Type into the terminal, or into the running command.

        Called: with what a technician types, as it comes.
        Limit: returns at once.
        Raises: nothing; without a shell it does nothing.
        Example:
            shell.write(b"echo typed\\n")
            await heard.until(lambda: b"typed" in heard.typed)
        """

    @abstractmethod
    def resize(self, size: Size) -> None:
        """Change the terminal's size.

        Called: when the technician's window changes.
        Limit: returns at once.
        Raises: nothing; without a shell it does nothing.
        Example:
            shell.resize(Size(columns=120, rows=40))
        """

    @abstractmethod
    async def interrupt(self) -> None:
        """End the running command and forget the queued ones: politely first, surely within one second.

        The shell is kept if it can be.

        Called: by *Interrupt*, and when the person at the device stops the session.
        Limit: 1 second.
        Raises: nothing; where nothing runs it does nothing.
        Example:
            shell.run(command, b"sleep 600")
            await heard.until(lambda: command in heard.begun)
            await shell.interrupt()
            assert (await heard.end_of(command)).exit_code != 0
        """

    @abstractmethod
    async def close(self) -> None:
        """End the shell and every process that it started; also those that tried to get away.

        Called: once, when the session ends or consent is withdrawn; also while a command runs.
        Limit: 1 second.
        Raises: nothing.
        Example:
            await shell.close()
            assert heard.gone != ""
        """

    @abstractmethod
    def pause(self, paused: bool) -> None:
        """Stop or resume reading the shell's output, when whoever listens cannot take more.

        Called: from within `ShellListener.output` too.
        Limit: returns at once. While paused nothing is read: the operating system holds the shell's output back.
        Raises: nothing.
        Example:
            shell.pause(True)
            shell.pause(False)
        """


@hookspec(firstresult=True)
def caisey_endpoint_shell(launch: Launch, listener: ShellListener) -> EndpointShell:
    """Make a shell for one session; start nothing yet. It belongs to the entry-point group `caisey.endpoint`.

    Called: on the device, when the first command or the terminal of a session is wanted.
    Thread: the agent's event loop.
    Limit: returns at once.
    Raises: nothing; a device that cannot is told by `start`.
    Example:
        @hookimpl
        def caisey_endpoint_shell(launch: Launch, listener: ShellListener) -> EndpointShell:
            return KeptShell(launch, listener)
    """
    raise NotImplementedError  # a specification is never run
