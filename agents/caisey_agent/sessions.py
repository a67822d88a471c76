"""Work in sessions: each act is looked up in the ledger first, then done; what was done is signed into a receipt."""

import asyncio
import contextlib
import hashlib
import os
import pwd
import secrets
import time
from collections.abc import Callable, Coroutine
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from caisey_agent.consent.desk import Desk
from caisey_agent.consent.ledger import Ledger
from caisey_agent.files import Files
from caisey_agent.home import Config
from caisey_agent.protocol import frames as f
from caisey_agent.protocol import receipt
from caisey_agent.protocol.consent import Scope
from caisey_hookspecs import CommandEnd, EndpointShell, Launch, Rejected, Size

FLUSH_SECONDS = 0.005
ANSWERS = 4  # pieces that leave at once after a key: its echo, what it brought about, the prompt
LARGEST_OUTPUT = 10 << 20  # bytes of a command's output that are recorded; the rest by size and hash


def runs_as(account: str) -> str:
    """Return the account that a shell runs as: only root can choose another than its own."""
    return account if account and os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


class _Command:
    """A command that runs: what its receipt will say."""

    def __init__(self, line: bytes, seed: bytes) -> None:
        self.line = line
        self.seed = seed
        self.output = hashlib.sha256(seed)
        self.size = 0
        self.cut = hashlib.sha256()
        self.cut_size = 0
        self.started_at = 0


class Session:
    """One session's shell and its commands; hears what the shell says."""

    def __init__(self, work: "Work", session: UUID) -> None:
        self._work, self.id = work, session
        self.shell: EndpointShell | None = None
        self._former: list[EndpointShell] = []  # ended by themselves; what they left may still be on its way out
        self._starting: asyncio.Task[None] | None = None
        self._commands: dict[UUID, _Command] = {}
        self._queue: list[tuple[UUID, bytes]] = []
        self._typed = bytearray()
        self.size = Size(80, 24)
        self._account = ""  # that the shell runs as
        self._buffer = bytearray()
        self._of: UUID | None = None
        self._flush: asyncio.TimerHandle | None = None
        self._answers = 0
        self._ended: set[UUID] = set()
        self._visible = True
        self.closing = False

    def tell_latest(self) -> None:
        """Say whether the terminal echoes: a server that does not know would record a password."""
        if self.shell is not None:
            self.echo(self._visible)

    # --- the shell ---------------------------------------------------------------------------------------------------

    def open_shell(self) -> None:
        """Start a shell unless there is one."""
        if self.shell is None and self._starting is None and not self.closing:
            self._starting = asyncio.get_running_loop().create_task(self._start())

    async def _start(self) -> None:
        work = self._work
        account = work.account(self.id)
        self._account = runs_as(account)
        shell = work.make_shell(Launch(size=self.size, account=account), self)
        try:
            await shell.start()
        except (Rejected, OSError) as error:
            self._starting = None
            for command, _ in self._queue:
                work.send(f.NotRun(session=self.id, subject=command, reason=str(error)))
            self._queue.clear()
            return
        self._starting = None
        if self.closing:
            await shell.close()
            return
        self.shell = shell
        with contextlib.suppress(OSError):  # a full disk: all that is lost is a word after a restart
            work.ledger.change(self.id, had_shell=True)
        work.send(f.ShellStarted(session=self.id, shell=work.config.shell, account=self._account))
        queued, self._queue = self._queue, []
        for command, line in queued:
            shell.run(command, line)
        if self._typed:
            shell.write(bytes(self._typed))
            self._typed.clear()
        shell.pause(work.paused)

    def run(self, command: UUID, line: bytes, seed: bytes) -> None:
        """Run a command, in this shell or the one to come."""
        self._commands[command] = _Command(line, seed)
        self.open_shell()
        if self.shell is not None:
            self.shell.run(command, line)
        else:
            self._queue.append((command, line))

    def knows(self, command: UUID) -> bool:
        """Say whether a command waits or runs here; what ended in this life was told, and what was told is in the spool."""
        return command in self._commands or command in self._ended

    def keys(self, data: bytes) -> None:
        """Type."""
        self._answers = ANSWERS
        self.open_shell()
        if self.shell is not None:
            self.shell.write(data)
        else:
            self._typed += data

    async def close(self) -> None:
        """End the shell and all of its processes."""
        self.closing = True
        if self._starting is not None:
            await asyncio.wait([self._starting])
        shell, self.shell = self.shell, None
        for one in (*self._former, *([shell] if shell is not None else [])):
            await one.close()
        self._flush_now()

    # --- what the shell says -----------------------------------------------------------------------------------------

    def output(self, data: bytes, command: UUID | None) -> None:
        """Take bytes; they leave merged, within 5 ms or 32 KiB. What answers a key leaves at once: somebody waits for it."""
        if command is not None and (running := self._commands.get(command)) is not None:
            room = LARGEST_OUTPUT - running.size
            if len(data) > room:
                running.cut.update(data[room:])
                running.cut_size += len(data) - room
                data = data[:room]
            running.output.update(data)
            running.size += len(data)
        if not data:
            return
        if self._of != command:
            self._flush_now()
            self._of = command
        self._buffer += data
        if self._answers or len(self._buffer) >= f.CHUNK:
            self._answers = max(0, self._answers - 1)
            self._flush_now()
        elif self._flush is None:
            self._flush = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush_now)

    def _flush_now(self) -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        data, self._buffer = bytes(self._buffer), bytearray()
        for at in range(0, len(data), f.CHUNK):
            self._work.send(f.Output(session=self.id, command=self._of, data=data[at : at + f.CHUNK]))

    def started(self, command: UUID) -> None:
        """A command began."""
        self._flush_now()
        running = self._commands[command]
        running.started_at = time.time_ns() // 1000
        self._work.send(f.Started(session=self.id, command=command, at=running.started_at))
        self._work.show_running(self.id, command, running.line, begun=True)

    def finished(self, end: CommandEnd) -> None:
        """A command ended: sign its receipt and tell."""
        self._flush_now()
        running = self._commands.pop(end.command)
        self._ended.add(end.command)
        if running.cut_size:
            self._work.send(
                f.OutputCut(session=self.id, command=end.command, size=running.cut_size, content=running.cut.digest())
            )
        work = self._work
        data = msgspec.msgpack.encode(
            receipt.CommandReceipt(
                session=self.id,
                command=end.command,
                line=hashlib.sha256(running.seed + running.line).digest(),
                shell=work.config.shell,
                account=self._account,
                started_at=running.started_at,
                duration_ns=end.ended_ns - end.started_ns,
                exit_code=end.exit_code,
                output=running.output.digest(),
                output_size=running.size,
                previous=work.ledger.last_receipt(self.id),
                salt=secrets.token_bytes(16),
            )
        )
        work.send_signed(
            self.id,
            data,
            lambda signature: f.Finished(
                session=self.id, command=end.command, receipt=data, signature=signature, directory=end.directory
            ),
        )
        work.show_running(self.id, end.command, running.line, begun=False)

    def ended(self, reason: str) -> None:
        """The shell is gone: what waited in it was not begun and goes to the next one."""
        self._flush_now()
        if self.shell is not None:
            self._former.append(self.shell)
        self.shell = None
        work = self._work
        with contextlib.suppress(OSError):
            work.ledger.change(self.id, had_shell=False)
        work.send(f.ShellEnded(session=self.id, reason=reason))
        left = [(command, running.line) for command, running in self._commands.items()]
        if left and not self.closing:
            self._queue = left
            self.open_shell()

    def echo(self, visible: bool) -> None:
        """The terminal stopped or resumed echoing."""
        self._visible = visible
        self._work.send_latest(f.Echo(session=self.id, visible=visible))

    async def interrupt(self, command: UUID | None) -> None:
        """End what runs; queued commands are dropped and said to be."""
        dropped = [waiting for waiting, running in self._commands.items() if not running.started_at]
        for waiting in dropped:
            if command is None or waiting == command:
                self._commands.pop(waiting)
                self._queue = [one for one in self._queue if one[0] != waiting]
                self._work.send(f.NotRun(session=self.id, subject=waiting, reason="It was stopped before it began."))
        if self.shell is not None and (command is None or command in self._commands):
            await self.shell.interrupt()


class Work:
    """All sessions of this device."""

    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        desk: Desk,
        key: Ed25519PrivateKey,
        send: Callable[[f.ToServer], None],
        send_latest: Callable[[f.Latest], None],
        sync: Callable[[], None],
    ) -> None:
        self.config, self.ledger, self.desk = config, ledger, desk
        self._key = key
        self.send, self.send_latest, self._sync = send, send_latest, sync
        self.paused = False
        self._sessions: dict[UUID, Session] = {}
        self._files = Files(config, send, send_latest, ledger.last_receipt, self.send_signed, self.account)
        self._shell_plugin: ModuleType | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._told: set[UUID] = set()  # commands and transfers of earlier lives whose ends the server will hear or has heard
        desk.on_withdrawn = lambda session: asyncio.ensure_future(self._stop(session))

    def tell_latest(self) -> None:
        """Say again, on a new link, that of which only the newest counts."""
        self._files.tell_latest()
        for session in self._sessions.values():
            session.tell_latest()

    def recover(self, waiting: list[f.ToServer]) -> None:
        """After a start: shells of the last life are gone, and a Stop that was not told yet is told.

        What was begun then and has no end is lost: the server, which knows what it lacks, asks for it. `waiting` is what the
        spool still holds: ends that need not be told again, and receipts that the ledger may not have noted any more.
        """
        for frame in waiting:
            match frame:
                case f.Finished(command=subject) | f.TransferEnded(transfer=subject):
                    self._told.add(subject)
                    if frame.session in self.ledger.pages:
                        self.ledger.add_receipt(frame.session, hashlib.sha256(frame.receipt).digest())
                case f.TransferFailed(transfer=subject) | f.NotRun(subject=UUID() as subject):
                    self._told.add(subject)
        for page in list(self.ledger.pages.values()):
            if page.had_shell:
                self.ledger.change(page.session, had_shell=False)
                self.send(f.ShellEnded(session=page.session, reason="the agent was restarted"))
            if page.over and page.agreed is not None:
                self.desk.tell_withdrawn(page.session, page.agreed)

    def scopes(self, session: UUID) -> tuple[Scope, ...]:
        """Return what was agreed to."""
        agreed = self.ledger.page(session).agreed
        return agreed.scopes if agreed is not None else ()

    def account(self, session: UUID) -> str:
        """Return the account that this session works as; empty: the agent's own, where administration was agreed to."""
        return "" if Scope.ADMIN in self.scopes(session) else self.config.account

    def make_shell(self, launch: Launch, session: Session) -> EndpointShell:
        """Make a shell by its plugin. The plugin is imported when the first shell is wanted."""
        if self._shell_plugin is None:
            for entry in entry_points(group="caisey.endpoint", name=self.config.shell):
                self._shell_plugin = entry.load()
        if self._shell_plugin is None:
            raise Rejected(f"The shell {self.config.shell} is not installed on this device.")
        made: EndpointShell = self._shell_plugin.caisey_endpoint_shell(launch, session)
        return made

    def send_signed(self, session: UUID, data: bytes, frame: Callable[[bytes], f.ToServer]) -> None:
        """Sign a receipt, send it, and remember it as the next one's predecessor.

        In this order, and each step durable before the next: what the ledger names as told is in the spool, so that the
        chain of receipts has no gap whenever the agent or the machine dies. What the spool has beyond the ledger is added at
        the next start.
        """
        self.send(frame(receipt.sign(self._key, data)))
        self._sync()
        self.ledger.add_receipt(session, hashlib.sha256(data).digest())

    def show_running(self, session: UUID, command: UUID, line: bytes, *, begun: bool) -> None:
        """Show the person what runs."""
        doing = self.desk.doing.get(session)
        if doing is not None:
            text = line.decode(errors="replace")
            if begun:
                doing.now.append((command, text))
                doing.last.appendleft(text)
            else:
                doing.now = [one for one in doing.now if one[0] != command]
            self.desk.tell()

    def pause(self, paused: bool) -> None:
        """Stop or resume reading all shells: the spool is full or has room again."""
        if paused != self.paused:
            self.paused = paused
            for session in self._sessions.values():
                if session.shell is not None:
                    session.shell.pause(paused)

    def _session(self, session: UUID) -> Session:
        found = self._sessions.get(session)
        if found is None:
            found = self._sessions[session] = Session(self, session)
        return found

    def _covered(self, session: UUID, scope: Scope, subject: UUID | None) -> bool:
        reason = self.ledger.why_not(session, scope)
        if reason:
            self.send(f.NotRun(session=session, subject=subject, reason=reason))
        return not reason

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def take(self, frame: f.ToAgent) -> None:
        """Do what the server asks for, if the person's consent covers it and this device can note it."""
        try:
            self._take(frame)
        except OSError as error:
            if isinstance(frame, f.Removed):
                raise
            subject = frame.command if isinstance(frame, f.Run) else getattr(frame, "transfer", None)
            reason = f"This device cannot note it, so it does not do it: {error.strerror}. Free some space there first."
            self.send(f.NotRun(session=frame.session, subject=subject, reason=reason))

    def _take(self, frame: f.ToAgent) -> None:
        match frame:
            case f.AskConsent():
                reason = self.desk.ask(frame)
                if reason:
                    self.send(f.NotRun(session=frame.session, subject=None, reason=reason))
            case f.Nudge():
                self.desk.nudge(frame.session, frame.message[:500])
            case f.CancelAsk():
                self.desk.cancel(frame.session, frame.reason)
            case f.Run():
                self._run(frame)
            case f.Keys():
                if self._covered(frame.session, Scope.RUN, None):
                    self._show_terminal(frame.session)
                    self._session(frame.session).keys(frame.data)
            case f.Resize():
                if self._covered(frame.session, Scope.RUN, None):
                    session = self._session(frame.session)
                    session.size = Size(max(1, min(frame.columns, 1000)), max(1, min(frame.rows, 1000)))
                    session.open_shell()
                    if session.shell is not None:
                        session.shell.resize(session.size)
            case f.Interrupt():
                if (found := self._sessions.get(frame.session)) is not None:
                    self._spawn(found.interrupt(frame.command))
            case f.PutFile():
                if self._covered(frame.session, Scope.FILES, frame.transfer):
                    self._files.put(frame)
            case f.GetFile():
                if self._covered(frame.session, Scope.FILES, frame.transfer):
                    self._spawn(self._files.get(frame))
            case f.FileChunk():
                self._files.chunk(frame)
            case f.CancelTransfer():
                self._files.cancel(frame.transfer)
            case f.StillThere():
                if not self._files.knows(frame.transfer) and frame.transfer not in self._told:
                    self._told.add(frame.transfer)
                    reason = "The agent was restarted meanwhile."
                    self.send(f.TransferFailed(session=frame.session, transfer=frame.transfer, reason=reason))
            case f.NewTechnician():
                if (doing := self.desk.doing.get(frame.session)) is not None:
                    doing.technician = frame.technician
                    self.desk.tell()
            case f.EndSession():
                self._spawn(self._end(frame))

    def _run(self, frame: f.Run) -> None:
        if len(frame.line) > f.LONGEST_LINE:
            self.send(f.NotRun(session=frame.session, subject=frame.command, reason="The command is too long."))
            return
        if not self._covered(frame.session, Scope.RUN, frame.command):
            return
        if not self.ledger.begin(frame.session, frame.command):
            known = self._sessions.get(frame.session)
            if frame.command not in self._told and (known is None or not known.knows(frame.command)):
                self._told.add(frame.command)
                self.send(
                    f.NotRun(
                        session=frame.session,
                        subject=frame.command,
                        lost=True,
                        reason="It was begun before; its end is not known, and it is not run a second time.",
                    )
                )
            return
        self._session(frame.session).run(frame.command, frame.line, frame.seed)

    def _show_terminal(self, session: UUID) -> None:
        doing = self.desk.doing.get(session)
        if doing is not None and not doing.terminal:
            doing.terminal = True
            self.desk.tell()

    async def _stop(self, session: UUID) -> None:
        self._files.end_of(session)
        found = self._sessions.pop(session, None)
        if found is not None:
            await found.close()

    async def _end(self, frame: f.EndSession) -> None:
        await self._stop(frame.session)
        self.desk.close(frame.session, frame.outcome)
        self.send(f.SessionClosed(session=frame.session))

    async def tick(self) -> None:
        """End what runs in sessions whose time is over; called every second."""
        for page in list(self.ledger.pages.values()):
            found = self._sessions.get(page.session)
            over = page.agreed is not None and page.agreed.until.left() <= 0
            if over and found is not None:
                await self._stop(page.session)
                self.send(f.ConsentEnded(session=page.session))
                self.desk.tell()

    async def close(self) -> None:
        """End all shells: the agent stops."""
        for session in list(self._sessions):
            await self._stop(session)
