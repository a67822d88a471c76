"""A session's record as people read it: events and their disclosures become entries, commands and transfers."""

from array import array
from collections.abc import Iterable
from functools import cache
from typing import get_type_hints
from uuid import UUID

from msgspec.structs import replace

from caisey_core.domain import events as e
from caisey_core.record.store import Recorded
from caisey_core.services.views import CommandCard, Entry, EntryGroup, Participant, TransferCard

PAUSE_US = 60_000_000  # between two keys: what follows it is another entry
SHOWN_OUTPUT = 64 * 1024  # bytes of a command's output in a page; the rest has an address of its own
WITHHELD = "(no longer kept)"


class Timeline:
    """Folds a session's events into what pages show. Without `output` it knows that something came out, not what."""

    def __init__(self, *, output: bool = True) -> None:
        self._keep = output
        self.owners = array("I")  # for each event: the index of the entry that shows it
        self.ends = array("I")  # for each entry: the position of its last event
        self._by_subject: dict[UUID, int] = {}  # the entries of commands and transfers
        self.entries: list[Entry] = []
        self.commands: dict[UUID, CommandCard] = {}
        self.transfers: dict[UUID, TransferCard] = {}
        self.people: dict[str, Participant] = {}
        self.notes = ""
        self.checked = ""
        self.unknown = 0
        self._outputs: dict[UUID, bytearray] = {}
        self._terminal: Entry | None = None  # the exchange in the terminal that goes on
        self._terminal_at = 0

    def finish(self) -> "Timeline":
        """Put outputs and final states into the entries."""
        for command, output in self._outputs.items():
            if (card := self.commands.get(command)) is not None:
                self.commands[command] = replace(card, output=output.decode(errors="replace"))
        self.entries = [self.settled(entry) for entry in self.entries]
        return self

    def settled(self, entry: Entry) -> Entry:
        """Return an entry with its command or transfer as it stands now."""
        if entry.command is not None:
            return replace(entry, command=self.commands[entry.command.id])
        if entry.transfer is not None:
            return replace(entry, transfer=self.transfers[entry.transfer.id])
        return entry

    def take(self, row: Recorded) -> None:
        """Take the next event."""
        event, before = e.decode(row.event), len(self.entries)
        self._take(row, event)
        owner = None
        if len(self.entries) == before:
            subject: UUID | None = getattr(event, "command", None) or getattr(event, "transfer", None)
            owner = self._by_subject.get(subject) if subject is not None else None
        owner = owner if owner is not None else max(0, len(self.entries) - 1)
        self.owners.append(owner)
        if len(self.ends) < len(self.entries):
            self.ends.append(row.position)
        elif self.ends:
            self.ends[owner] = row.position

    def _take(self, row: Recorded, event: e.AnyEvent | e.Unknown) -> None:
        texts = list(row.disclosure.texts) if row.disclosure is not None else None
        if type(event) is e.OutputReceived:  # most events are output, and begin and end of commands: first and short
            self._output(row, event, texts[0] if texts else None)
            return
        if type(event) is e.CommandStarted:
            self._change(event.command, state="running")
            return
        if isinstance(event, e.Unknown):
            self.unknown += 1
            self._add(row, event, "state", event.kind, f"An event that this version does not know: {event.kind}")
            return
        said = _said(event, texts)
        if not isinstance(event, e.TerminalTyped):
            self._terminal = None
        if isinstance(event, e.CommandFinished):
            self._change(
                event.command,
                state="finished",
                exit_code=event.exit_code,
                duration_ns=event.duration_ns,
                directory=said[0],
                receipt=True,
            )
            return
        match event:
            case e.SessionRequested():
                self._person(event.technician_name, "technician", event.at)
                scopes = ", ".join(event.scopes)
                self._add(
                    row, event, "consent", "requested", f"{event.technician_name} asked for a session ({scopes})", said[0]
                )
            case e.ConsentAsked():
                if len(self.entries) > 1:
                    self._add(row, event, "consent", "asked", f"{event.actor.name} asked again, for more", said[0])
            case e.PromptShown():
                self._add(row, event, "consent", "shown", "The prompt was shown on the device")
            case e.Nudged():
                self._person(event.actor.name, "dispatcher", event.at)
                self._add(row, event, "consent", "nudged", f"{event.actor.name} nudged", said[0])
            case e.ConsentGranted():
                self._person(event.who, "end user", event.at)
                minutes = (event.until - event.at) // 60_000_000
                skew = abs(event.skew_us) // 1_000_000
                clock = f" The device's clock was {skew} s off." if skew > 5 else ""
                self._add(
                    row,
                    event,
                    "consent",
                    "granted",
                    f"{event.who} agreed for {minutes} minutes: {', '.join(event.scopes)}.{clock}",
                )
            case e.ConsentDenied():
                self._person(event.who, "end user", event.at)
                self._add(row, event, "consent", "denied", f"{event.who} said no")
            case e.ConsentPostponed():
                self._person(event.who, "end user", event.at)
                self._add(row, event, "consent", "postponed", f"{event.who} asked to be asked later")
            case e.RequestExpired():
                self._add(row, event, "consent", "expired", "Nobody answered in time")
            case e.RequestCancelled():
                self._add(row, event, "consent", "cancelled", f"{event.actor.name} took the request back", said[0])
            case e.ConsentWithdrawn():
                self._person(event.who, "end user", event.at)
                self._add(row, event, "consent", "withdrawn", f"{event.who} stopped the session")
            case e.ConsentEnded():
                self._add(row, event, "consent", "ended", "The agreed time was over")
            case e.CommandAccepted():
                self._person(event.actor.name, "technician", event.at)
                card = CommandCard(
                    id=event.command, position=row.position, line=said[0], by=event.actor.name, at=event.at, state="accepted"
                )
                self.commands[event.command] = card
                self._add(row, event, "commands", "command", said[0], command=card)
            case e.OutputCut():
                self._change(event.command, cut=event.size)
            case e.CommandInterrupted():
                self._add(row, event, "commands", "interrupted", f"{event.actor.name} stopped what was running")
            case e.NotRun():
                if event.subject is not None and event.subject in self.commands:
                    self._change(event.subject, state="lost" if event.lost else "not run", reason=said[0])
                elif event.subject is not None and event.subject in self.transfers:
                    self._move(event.subject, state="failed", reason=said[0])
                self._add(row, event, "state", "not run", f"The device did not do it: {said[0]}")
            case e.TerminalTyped():
                self._person(event.actor.name, "technician", event.at)
                self._typed(
                    row, event, f"({event.count} characters, not kept: the terminal did not echo)" if event.hidden else said[0]
                )
            case e.TransferAccepted():
                self._person(event.actor.name, "technician", event.at)
                transfer = TransferCard(
                    id=event.transfer,
                    position=row.position,
                    direction=event.direction,
                    path=said[0],
                    by=event.actor.name,
                    at=event.at,
                    size=event.size,
                    content=event.content.hex(),
                    state="running",
                )
                self.transfers[event.transfer] = transfer
                way = "to" if event.direction == "upload" else "from"
                self._add(row, event, "files", event.direction, f"File {way} the device: {said[0]}", transfer=transfer)
            case e.TransferFinished():
                self._move(event.transfer, state="finished", size=event.size, done=event.size, content=event.content.hex())
            case e.TransferFailed():
                self._move(event.transfer, state="failed", reason=said[0])
            case e.TransferCancelled():
                self._move(event.transfer, state="cancelled", reason=event.reason)
            case e.Reassigned():
                self._person(event.actor.name, "dispatcher", event.at)
                self._person(event.to_name, "technician", event.at)
                self._add(row, event, "people", "reassigned", f"From {event.from_name} to {event.to_name}", said[0])
            case e.ShellStarted():
                self._add(row, event, "state", "shell", f"{event.shell} started as {event.account}")
            case e.ShellEnded():
                self._add(row, event, "state", "shell ended", f"The shell ended: {said[0]}")
            case e.SessionInterrupted():
                self._add(row, event, "state", "interrupted", f"Interrupted: {event.reason}")
            case e.SessionResumed():
                self._add(row, event, "state", "resumed", f"Resumed: {event.reason}")
            case e.SessionCompleted():
                self.notes, self.checked = said[0], said[1]
                self._person(event.actor.name, "technician", event.at)
                self._add(row, event, "state", "completed", f"{event.actor.name} finished: {event.resolution}", said[0])
            case e.Sealed():
                self._add(row, event, "state", "sealed", f"The record was sealed after {event.events} events")
            case e.TerminalResized():
                pass

    def _output(self, row: Recorded, event: e.OutputReceived, data: bytes | None) -> None:
        if event.command is not None:
            if (card := self.commands.get(event.command)) is not None:
                if self._keep:
                    kept = self._outputs.setdefault(event.command, bytearray())
                    if data is not None and len(kept) < SHOWN_OUTPUT:
                        kept += data[: SHOWN_OUTPUT - len(kept)]
                self.commands[event.command] = replace(card, output_size=card.output_size + event.output.size)
            return
        text = ""
        if self._keep:
            text = data.decode(errors="replace") if data is not None else WITHHELD
        last = self.entries[-1] if self.entries else None
        if last is not None and last is self._terminal and last.body_size < SHOWN_OUTPUT:
            self.entries[-1] = replace(last, body=last.body + text, body_size=last.body_size + event.output.size)
        else:
            self._add(row, event, "terminal", "output", "Terminal output", text, size=event.output.size)
        self._terminal, self._terminal_at = self.entries[-1], event.at

    def _typed(self, row: Recorded, event: e.TerminalTyped, text: str) -> None:
        """Keys and their echo are one exchange: an entry for each person and stretch of time, not for each key."""
        text = text if self._keep else ""
        last = self.entries[-1] if self.entries else None
        if (
            last is not None
            and last is self._terminal
            and (last.kind == "output" or last.actor == event.actor.name)
            and last.body_size < SHOWN_OUTPUT
            and event.at - self._terminal_at < PAUSE_US
        ):
            title = f"{event.actor.name} in the terminal"
            self.entries[-1] = replace(last, kind="typed", actor=event.actor.name, title=title, typed=last.typed + text)
        else:
            self._add(row, event, "terminal", "typed", f"{event.actor.name} in the terminal")
            self.entries[-1] = replace(self.entries[-1], typed=text)
        self._terminal, self._terminal_at = self.entries[-1], event.at

    def _add(
        self,
        row: Recorded,
        event: e.AnyEvent | e.Unknown,
        group: EntryGroup,
        kind: str,
        title: str,
        body: str = "",
        *,
        size: int = 0,
        command: CommandCard | None = None,
        transfer: TransferCard | None = None,
    ) -> None:
        subject = command or transfer
        if subject is not None:
            self._by_subject[subject.id] = len(self.entries)
        self.entries.append(
            Entry(
                position=row.position,
                at=event.at,
                group=group,
                kind=kind,
                actor=event.actor.name,
                title=title,
                body=body,
                body_size=size or len(body.encode()),
                command=command,
                transfer=transfer,
            )
        )

    def _change(self, command: UUID, **changes: object) -> None:
        if (card := self.commands.get(command)) is not None:
            self.commands[command] = replace(card, **changes)

    def _move(self, transfer: UUID, **changes: object) -> None:
        if (card := self.transfers.get(transfer)) is not None:
            self.transfers[transfer] = replace(card, **changes)

    def _person(self, name: str, role: str, at: int) -> None:
        before = self.people.get(name)
        self.people[name] = (
            replace(before, last_at=at) if before is not None else Participant(name=name, role=role, first_at=at, last_at=at)
        )


@cache
def _content_fields(kind: type[e.AnyEvent]) -> tuple[str, ...]:
    hints = get_type_hints(kind)
    return tuple(name for name in kind.__struct_fields__ if hints[name] is e.Content)


def _said(event: e.AnyEvent, texts: list[bytes] | None) -> list[str]:
    """Return the texts of an event's content fields in order; what is no longer kept is said to be so."""
    found = iter(texts or ())
    said = []
    for name in _content_fields(type(event)):
        if not getattr(event, name).root:
            said.append("")
        elif texts is None:
            said.append(WITHHELD)
        else:
            said.append(next(found).decode(errors="replace"))
    return said


def fold(rows: Iterable[Recorded]) -> Timeline:
    """Return the timeline of a whole session."""
    timeline = Timeline()
    for row in rows:
        timeline.take(row)
    return timeline.finish()
