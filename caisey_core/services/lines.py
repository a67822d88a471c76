"""From a session's events to the lines of the search index: what was disclosed, as text, one line after the other.

Output comes in pieces; a line that has not ended waits in the state, which lies beside the lines in the index. What was typed in
the terminal is found in what the terminal put out.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from caisey_core.domain import events as e
from caisey_core.record.store import Recorded
from caisey_core.search.index import About, Line, LineKind
from caisey_core.services.plain_text import plain

LONGEST_LINE: Final = 4096  # bytes; a longer one is cut
LONGEST_REASON: Final = 300  # characters, as it is shown above the lines
_TAKEN_BACK: Final = re.compile(r"[^\x08]\x08(?: \x08|\x1b\[K)")  # a character and the backspace that took it back
_MOVES: Final = re.compile(r"\x1b\[[0-?]*[A-HJST`adef]|\r")  # what stands elsewhere on the screen is another word


class Held(Struct, frozen=True):
    """A line that has not ended: where it began, and what there is of it."""

    position: int
    data: bytes


class State(Struct):
    """What the next events are read with."""

    about: About | None = None
    agreed: bool = False
    held: dict[str, Held] = {}


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(State)


class Lines:
    """Reads events in order."""

    def __init__(self, pending: bytes) -> None:
        self._state = _decoder.decode(pending) if pending else State()

    @property
    def about(self) -> About | None:
        """What is known of the session; None before its first event."""
        return self._state.about

    def pending(self) -> bytes:
        """Return what must be known to read on."""
        return _encode(self._state)

    def take(self, rows: Sequence[Recorded]) -> list[Line]:
        """Return the lines that ended with these events."""
        lines: list[Line] = []
        for row in rows:
            event = e.decode(row.event)
            texts = row.disclosure.texts if row.disclosure is not None else ()
            self._note(event, texts)
            lines += self._of(event, texts, row.position)
        return lines

    def _of(self, event: e.AnyEvent | e.Unknown, texts: tuple[bytes, ...], position: int) -> Iterator[Line]:
        match event:
            case e.OutputReceived():
                yield from self._output(event.command, texts[0] if texts else b"", position)
            case e.CommandAccepted():
                yield from self._end("", "terminal")
                yield from _said("command", texts, position)
            case e.CommandFinished():
                yield from self._end(event.command.hex, "output")
            case e.ShellEnded():
                yield from self._end("", "terminal")
                yield from _said("note", texts, position)
            case e.Sealed():
                yield from self._end("", "terminal")
            case e.SessionRequested() | e.ConsentAsked():
                yield from _said("reason", texts, position)
            case e.TransferAccepted():
                yield from _said("file", texts, position)
            case e.NotRun() | e.TransferFailed() | e.Nudged() | e.RequestCancelled() | e.Reassigned() | e.SessionCompleted():
                yield from _said("note", texts, position)

    def _output(self, command: UUID | None, data: bytes, position: int) -> Iterator[Line]:
        key = "" if command is None else command.hex
        kind: LineKind = "terminal" if command is None else "output"
        before = self._state.held.pop(key, None)
        began = before.position if before is not None else position
        rest = before.data + data if before is not None else data
        *ended, rest = rest.split(b"\n")
        for one in ended:
            yield from _line(kind, one, began)
            began = position
        while len(rest) > LONGEST_LINE:
            yield from _line(kind, rest[:LONGEST_LINE], began)
            rest, began = rest[LONGEST_LINE:], position
        if rest:
            self._state.held[key] = Held(began, rest)

    def _end(self, key: str, kind: LineKind) -> Iterator[Line]:
        if (held := self._state.held.pop(key, None)) is not None:
            yield from _line(kind, held.data, held.position)

    def _note(self, event: e.AnyEvent | e.Unknown, texts: tuple[bytes, ...]) -> None:
        about = self._state.about
        if isinstance(event, e.SessionRequested):
            self._state.about = About(
                device=event.device,
                device_name=event.device_name,
                client=event.client,
                client_name=event.client_name,
                technicians=(event.technician,),
                technician_name=event.technician_name,
                requested_at=event.at,
                outcome="open",
                reason=texts[0].decode(errors="replace")[:LONGEST_REASON] if texts else "",
            )
        elif about is not None:
            outcome = self._outcome(event)
            if outcome:
                self._state.about = replace(about, outcome=outcome)
            elif isinstance(event, e.Reassigned):
                earlier = tuple(one for one in about.technicians if one != event.to_technician)
                self._state.about = replace(about, technicians=(*earlier, event.to_technician), technician_name=event.to_name)

    def _outcome(self, event: e.AnyEvent | e.Unknown) -> str:
        match event:
            case e.SessionCompleted():
                return event.resolution
            case e.ConsentGranted():
                self._state.agreed = True
            case e.ConsentDenied():
                return "" if self._state.agreed else "denied"
            case e.RequestExpired():
                return "" if self._state.agreed else "expired"
            case e.RequestCancelled():
                return "cancelled"
            case e.ConsentWithdrawn():
                return "revoked"
        return ""


def _said(kind: LineKind, texts: tuple[bytes, ...], position: int) -> Iterator[Line]:
    for text in texts:
        for line in text.split(b"\n"):
            yield from _line(kind, line[:LONGEST_LINE], position)


def _line(kind: LineKind, data: bytes, position: int) -> Iterator[Line]:
    text = data.decode(errors="replace")
    if "\x08" in text:
        before = ""
        while before != text:
            before, text = text, _TAKEN_BACK.sub("", text)
    if text := plain(_MOVES.sub(" ", text)).strip():
        yield Line(position, kind, text)
