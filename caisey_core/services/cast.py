"""A session's terminal as an asciicast v2: what was on the screen, when, with marks for what people did.

Commands of the command box stand in it as the session's page showed them in the terminal. What the terminal did not echo was
never recorded, so it cannot be here. Sequences that a terminal acts on beyond its screen (titles, clipboard, links, answers) are
left out: a recording is played in terminals of people who trust it.
"""

import codecs
import re
from collections.abc import Iterator
from typing import Final
from uuid import UUID

import msgspec

from caisey_core.domain import events as e
from caisey_core.record.store import Recorded
from caisey_core.services.timeline import WITHHELD

COLUMNS, ROWS = 80, 24  # until the record says more
LONGEST_HELD: Final = 4096  # characters of a sequence that has not ended yet
_encode = msgspec.json.Encoder().encode
# strings (OSC, DCS, SOS, PM, APC), queries for the terminal's state, window operations, ENQ
_HOSTILE: Final = re.compile(
    r"\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\|(?=\x1b))|\x1b\[[0-?]*[ -/]*[cntx]|\x1b\[[0-?]*\$[p]|\x1bZ|[\x05\x90\x98\x9d-\x9f]"
)
_UNENDED: Final = re.compile(r"\x1b(?:[\]PX^_][^\x07\x1b]*\x1b?|\[[0-?]*[ -/]*)?$")
_BARE_FEED: Final = re.compile(r"(?<!\r)\n")


class Screen:
    """Decodes one flow of bytes for a screen: incrementally, invalid UTF-8 as U+FFFD, without what reaches beyond the screen."""

    def __init__(self, *, returns: bool) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._returns = returns  # a boxed command's lines end with plain line feeds
        self._held = ""
        self._last = ""

    def take(self, data: bytes, *, final: bool = False) -> str:
        """Return what is to be shown now; what is not complete waits for more."""
        text = self._held + self._decoder.decode(data, final)
        self._held = ""
        text = _HOSTILE.sub("", text)
        if not final and (unended := _UNENDED.search(text)) is not None:
            text, held = text[: unended.start()], unended.group()
            self._held = held if len(held) < LONGEST_HELD else ""
        elif final:
            text = _UNENDED.sub("", text)
        if self._returns and text:
            text = _BARE_FEED.sub("\r\n", self._last + text)[len(self._last) :]
            self._last = text[-1:] or self._last
        return text


class Cast:
    """Turns events into the lines of an asciicast, one event after the other."""

    def __init__(self) -> None:
        self._start: int | None = None
        self._header: dict[str, object] = {}
        self._begun = False
        self._waiting: list[tuple[float, str, str]] = []  # marks before the header, which waits for the first size
        self._terminal = Screen(returns=False)
        self._commands: dict[UUID, Screen] = {}

    def take(self, row: Recorded) -> Iterator[bytes]:
        """Yield the lines that follow from the next event."""
        event = e.decode(row.event)
        texts = row.disclosure.texts if row.disclosure is not None else None
        if self._start is None:
            self._start = event.mono
            title = event.device_name if isinstance(event, e.SessionRequested) else ""
            self._header = {"version": 2, "width": COLUMNS, "height": ROWS, "timestamp": event.at // 1_000_000, "title": title}
        at = max(0, event.mono - self._start) / 1e9
        for code, text in self._codes(event, texts):
            yield from self._line(at, code, text)

    def _codes(self, event: e.AnyEvent | e.Unknown, texts: tuple[bytes, ...] | None) -> Iterator[tuple[str, str]]:
        match event:
            case e.TerminalResized():
                yield "r", f"{event.columns}x{event.rows}"
            case e.OutputReceived():
                screen = self._terminal if event.command is None else self._commands.get(event.command)
                if screen is not None:
                    yield "o", screen.take(texts[0]) if texts else f"\x1b[2m{WITHHELD}\x1b[22m\r\n"
            case e.CommandAccepted():
                said = _shown(texts)
                self._commands[event.command] = Screen(returns=True)
                yield "m", said
                yield "o", f"\r\n\x1b[1m❯ {said}\x1b[0m\r\n"
            case e.CommandFinished():
                if (screen := self._commands.pop(event.command, None)) is not None:
                    yield "o", screen.take(b"", final=True)
            case e.ShellEnded():
                yield "o", self._terminal.take(b"", final=True)
                self._terminal = Screen(returns=False)
            case e.ConsentGranted():
                yield "m", f"{event.who} agreed"
            case e.ConsentWithdrawn():
                yield "m", f"{event.who} stopped the session"
            case e.ConsentDenied():
                yield "m", f"{event.who} said no"
            case e.ConsentEnded():
                yield "m", "The agreed time was over"
            case e.Reassigned():
                yield "m", f"From {event.from_name} to {event.to_name}"

    def _line(self, at: float, code: str, text: str) -> Iterator[bytes]:
        if not text:
            return
        if not self._begun:
            if code == "m":
                self._waiting.append((at, code, text))
                return
            yield from self._begin(text if code == "r" else "")
            if code == "r":
                return
        yield _encode((round(at, 6), code, text)) + b"\n"

    def _begin(self, size: str = "") -> Iterator[bytes]:
        self._begun = True
        if size:
            self._header["width"], self._header["height"] = map(int, size.split("x"))
        yield _encode(self._header) + b"\n"
        for at, code, text in self._waiting:
            yield _encode((round(at, 6), code, text)) + b"\n"

    def end(self) -> Iterator[bytes]:
        """Yield what is left."""
        if not self._begun:
            self._header = self._header or {"version": 2, "width": COLUMNS, "height": ROWS}
            yield from self._begin()


def _shown(texts: tuple[bytes, ...] | None) -> str:
    """Return a command's line as the terminal says it: on one line, nothing in it moves the cursor."""
    text = texts[0].decode(errors="replace") if texts else WITHHELD
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", text)
