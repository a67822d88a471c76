"""A session's record as lines that a reviewer can withhold one by one: each text's lines, and each event that has words itself.

What a program printed comes in pieces that end anywhere; a line here is what a person sees as one, over as many pieces as it has.
Text inside control sequences (titles, links) is shown: what a reader's terminal hides is in what the reader gets.
"""

import re
from collections.abc import Iterable, Iterator
from html import unescape
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from caisey_agent.protocol import consent
from caisey_core.domain import events as e
from caisey_core.record.commitment import lines_of
from caisey_core.record.store import Recorded
from caisey_core.services.marks import BEGIN_KEY, END_KEY, LONGEST_KEY, Looker, Mark
from caisey_core.services.readable import sentence

LONGEST_LINE: Final = 64 * 1024  # bytes of pieces that are taken for one line
_LABELS: Final = {
    "reason": "Reason",
    "message": "Message",
    "line": "Command",
    "output": "Output",
    "directory": "Folder",
    "path": "File",
    "notes": "Notes",
    "checked": "Checked",
    "typed": "Typed",
}
# events without words of their own: what they say is in their texts, or nothing that anybody wrote
_WORDLESS: Final = (
    *(e.OutputReceived, e.OutputCut, e.CommandStarted, e.CommandFinished, e.CommandAccepted, e.CommandInterrupted),
    *(e.TerminalTyped, e.TerminalResized, e.Sealed, e.PromptShown, e.RequestExpired, e.ConsentEnded, e.TransferFinished),
)
_STRING: Final = re.compile(r"\x1b[\]PX^_](?:[0-9]{1,4};)?([^\x07\x1b]*)(?:\x07|\x1b\\|(?=\x1b)|$)")
_SEQUENCE: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-~]?|[\x00-\x08\x0a-\x1f\x7f-\x9f]")

Piece = tuple[int, int]  # event, and line over all its texts


class Line(Struct, frozen=True, kw_only=True):
    """A line of a text, or (without pieces) an event's own words, which can only go with the event."""

    id: str
    event: int
    at: int
    label: str
    text: str
    kind: str = ""  # of an event's own words: the event's kind
    raw: str = ""  # as it was recorded, where control sequences were taken out of the text
    pieces: tuple[Piece, ...] = ()
    command: UUID | None = None
    transfer: UUID | None = None
    gone: bool = False  # no longer kept: there is nothing to review
    free: tuple[str, ...] = ()  # of an event's own words those that somebody wrote
    marks: tuple[Mark, ...] = ()

    @property
    def whole(self) -> bool:
        """Say whether it goes only with its event."""
        return not self.pieces


class Reading(Struct, frozen=True, kw_only=True):
    """What there is to review; it changes only when something is erased."""

    lines: tuple[Line, ...]
    words: dict[str, tuple[int, ...]]  # each text in the clear -> the events that have it
    receipts: dict[UUID, tuple[int, ...]]  # of a command or transfer: events with hashes of its texts
    transfers: dict[UUID, tuple[int, ...]]  # all events of a transfer
    events: int
    device: UUID | None
    device_name: str


def visible(text: str) -> str:
    """Return a text with nothing in it that steers a terminal, and with all that such sequences carry."""
    shown = _STRING.sub(lambda found: f"⟨{found.group(1)}⟩" if len(found.group(1).strip()) > 1 else "", text)
    return _SEQUENCE.sub("", shown)


class _Flow:
    """Pieces of one flow on their way to a line."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.pieces: list[Piece] = []
        self.first: tuple[int, int] = (0, 0)  # event, time


class _Reader:
    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.words: dict[str, list[int]] = {}
        self.receipts: dict[UUID, list[int]] = {}
        self.transfers: dict[UUID, list[int]] = {}
        self.device: UUID | None = None
        self.device_name = ""
        self.events = 0
        self.users: set[str] = set()
        self._flows: dict[tuple[str, UUID | None], _Flow] = {}

    def take(self, row: Recorded) -> None:
        """Read the next event."""
        event = e.decode(row.event)
        self.events = row.position + 1
        for word in words_in(row.event):
            self.words.setdefault(word, []).append(row.position)
        self._notice(row.position, event)
        if not isinstance(event, _WORDLESS) and not isinstance(event, e.AuditEvent):
            said, free = _own_words(event)
            transfer = event.transfer if isinstance(event, e.TransferAccepted) else None
            self.lines.append(
                Line(
                    id=str(row.position),
                    event=row.position,
                    at=event.at,
                    label="",
                    text=said,
                    kind=_kind(event),
                    free=free,
                    transfer=transfer,
                )
            )
        self._texts(row, event)

    def _notice(self, position: int, event: e.AnyEvent | e.Unknown) -> None:
        match event:
            case e.SessionRequested():
                self.device, self.device_name = event.device, event.device_name
            case e.ShellStarted():
                self.users.add(event.account)
            case e.ConsentGranted() | e.ConsentDenied() | e.ConsentPostponed() | e.ConsentWithdrawn():
                self.users.add(event.who)
            case e.CommandFinished() | e.OutputCut():
                self.receipts.setdefault(event.command, []).append(position)
            case e.TransferAccepted() | e.TransferFailed() | e.TransferCancelled() | e.TransferFinished():
                self.transfers.setdefault(event.transfer, []).append(position)
                if isinstance(event, e.TransferFinished):
                    self.receipts.setdefault(event.transfer, []).append(position)
            case e.NotRun() if event.subject in self.transfers:
                self.transfers[event.subject].append(position)

    def _texts(self, row: Recorded, event: e.AnyEvent | e.Unknown) -> None:
        contents = list(_named(event))
        command: UUID | None = getattr(event, "command", None)
        transfer: UUID | None = getattr(event, "transfer", None)
        if row.disclosure is None:
            if contents:
                label = contents[0][0]
                self.lines.append(
                    Line(id=f"{row.position}.0", event=row.position, at=event.at, label=label, text="", gone=True, pieces=())
                )
            return
        at = 0
        for (label, _), text in zip(contents, row.disclosure.texts, strict=True):
            flows = isinstance(event, e.OutputReceived | e.TerminalTyped)
            key = (label, command) if flows else ("", None)
            for piece in lines_of(text):
                self._piece(key, label, (row.position, at), event.at, piece, command, transfer)
                at += 1
            if not flows:
                self._close(key, label, command, transfer)

    def _piece(self, key: tuple[str, UUID | None], label: str, piece: Piece, at: int, data: bytes, *owner: UUID | None) -> None:
        flow = self._flows.setdefault(key, _Flow())
        if not flow.pieces:
            flow.first = (piece[0], at)
        flow.pieces.append(piece)
        flow.data += data
        if data.endswith(b"\n" if label != "Typed" else (b"\n", b"\r")) or len(flow.data) >= LONGEST_LINE:
            self._close(key, label, *owner)

    def _close(self, key: tuple[str, UUID | None], label: str, command: UUID | None, transfer: UUID | None) -> None:
        flow = self._flows.pop(key, None)
        if flow is None:
            return
        raw = flow.data.decode(errors="replace")
        text, (event, at) = visible(raw), flow.first
        bare = raw.rstrip("\r\n")
        self.lines.append(
            Line(
                id=f"{flow.pieces[0][0]}.{flow.pieces[0][1]}",
                event=event,
                at=at,
                label="Terminal" if label == "Output" and command is None else label,
                text=text,
                raw=raw if text != bare else "",
                pieces=tuple(flow.pieces),
                command=command,
                transfer=transfer,
            )
        )

    def finish(self) -> Reading:
        """Close what is open, put the lines in order, and mark them."""
        for label, command in list(self._flows):
            self._close((label, command), label, command, None)
        self.lines.sort(key=lambda line: (line.event, line.pieces[0][1] if line.pieces else -1))
        looker = Looker(tuple(self.users))
        return Reading(
            lines=tuple(_marked(self.lines, looker)),
            words={word: tuple(found) for word, found in self.words.items()},
            receipts={subject: tuple(found) for subject, found in self.receipts.items()},
            transfers={subject: tuple(found) for subject, found in self.transfers.items()},
            events=self.events,
            device=self.device,
            device_name=self.device_name,
        )


def read(rows: Iterable[Recorded], size: int) -> Reading:
    """Return the first `size` events of a session as lines."""
    reader = _Reader()
    for row in rows:
        if row.position == size:
            break
        reader.take(row)
    return reader.finish()


def _marked(lines: list[Line], looker: Looker) -> Iterator[Line]:
    """Mark each line; a private key goes over several."""
    inside = dict[tuple[str, UUID | None], int]()  # flows within a key, and since how many lines
    for line in lines:
        flow = (line.label, line.command)
        begins = BEGIN_KEY.search(line.text) if line.pieces else None
        if begins or flow in inside:
            ends = END_KEY.search(line.text)
            inside[flow] = inside.get(flow, 0) + 1
            start = begins.start() if begins else 0
            end = ends.end() if ends else len(line.text)
            if ends or inside[flow] > LONGEST_KEY:
                del inside[flow]
            if line.text.strip():
                yield replace(line, marks=(Mark(start, end, "secret"),))
            else:
                yield line
            continue
        yield replace(line, marks=looker.marks(line.text))


def _named(event: e.AnyEvent | e.Unknown) -> Iterator[tuple[str, e.Content]]:
    """Yield an event's contents with their labels, in the order of their texts."""
    if isinstance(event, e.Unknown):
        yield from (("Text", content) for content in e.contents(event))
        return
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if isinstance(value, e.Content) and value.root:
            yield _LABELS.get(name, "Text"), value


def _own_words(event: e.SessionEvent | e.Unknown) -> tuple[str, tuple[str, ...]]:
    """Return an event's own words as a line, and those of them that somebody wrote."""
    said = unescape(re.sub(r"<[^>]*>", "", sentence(event))).rstrip(":")
    if isinstance(event, e.ConsentAsked):
        try:
            request = consent.decode_request(event.request)
        except msgspec.DecodeError:
            return said, ()
        return f"{said} ({request.technician}, {request.tenant})", ()
    reason = getattr(event, "reason", None)
    return said, (reason,) if isinstance(reason, str) and reason else ()


def _kind(event: e.AnyEvent | e.Unknown) -> str:
    return event.kind if isinstance(event, e.Unknown) else str(event.__struct_config__.tag)


def words_in(data: bytes) -> set[str]:
    """Return every text in the clear within an event's bytes, also inside the signed statements that it carries."""
    found: set[str] = set()
    _collect(msgspec.msgpack.decode(data), found, top=True)
    return found


def _collect(value: object, found: set[str], *, top: bool = False) -> None:
    if isinstance(value, str):
        found.add(value)
    elif isinstance(value, dict):
        for name, one in value.items():
            if not (top and name == "kind"):
                _collect(one, found)
    elif isinstance(value, list):
        for one in value:
            _collect(one, found)
    elif isinstance(value, bytes) and value and (value[0] & 0xF0 == 0x80 or value[0] in (0xDE, 0xDF)):
        try:
            _collect(msgspec.msgpack.decode(value), found)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
