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
    """The server half. Lives for one tenant; methods are quick, do no I/O and run on the plugin's own thread (0.5 s limit)."""

    @abstractmethod
    async def view(self, line: str) -> CommandView:
        """Look at a command without running it."""


@hookspec(firstresult=True)
def caisey_shell(context: Context[Any]) -> Shell:
    """Make a tenant's shell object. Called for one plugin at a time, on its own thread, within 1 second; does no I/O."""
    raise NotImplementedError  # a specification is never run


class Size(Struct, frozen=True):
    """A terminal's size in character cells."""

    columns: int = 80
    rows: int = 24


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
    """Where the endpoint half tells what happens. Called on the agent's event loop, in the order of the bytes."""

    def output(self, data: bytes, command: UUID | None) -> None:
        """Bytes from the shell: of a recorded command, or of the terminal (None)."""

    def started(self, command: UUID) -> None:
        """A recorded command began."""

    def finished(self, end: CommandEnd) -> None:
        """A recorded command ended; all its output was handed over before."""

    def ended(self, reason: str) -> None:
        """The shell is gone: variables and directory are lost. A new one may be started."""

    def echo(self, visible: bool) -> None:
        """The terminal stopped or resumed echoing what is typed: False while a password is asked for."""


class EndpointShell(ABC):
    """The endpoint half: one kept shell of one session, used from the agent's event loop only."""

    @abstractmethod
    async def start(self) -> None:
        """Start the shell. Raises Rejected, in words for the technician, if this device cannot."""

    @abstractmethod
    def run(self, command: UUID, line: bytes) -> None:
        """Queue a recorded command: exactly these bytes, in the kept shell, one after the other."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Type into the terminal, or into the running command."""

    @abstractmethod
    def resize(self, size: Size) -> None:
        """Change the terminal's size."""

    @abstractmethod
    async def interrupt(self) -> None:
        """End the running command (queued ones too): politely first, surely within one second.

        The shell is kept if it can be.
        """

    @abstractmethod
    async def close(self) -> None:
        """End the shell and every process that it started, within one second; also those that tried to get away."""

    @abstractmethod
    def pause(self, paused: bool) -> None:
        """Stop or resume reading the shell's output, when whoever listens cannot take more."""


@hookspec(firstresult=True)
def caisey_endpoint_shell(launch: Launch, listener: ShellListener) -> EndpointShell:
    """Make a shell for one session; starts nothing yet.

    Entry-point group `caisey.endpoint`; called on the agent's event loop.
    """
    raise NotImplementedError  # a specification is never run
