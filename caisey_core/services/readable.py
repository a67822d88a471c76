"""A bundle's files for reading: a page without scripts, JSON lines, and an asciicast of the terminal. Written event by event.

What a reviewer wrote in the place of a withheld line is shown as theirs, wherever it stands.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape, unescape
from itertools import groupby
from typing import IO, Final

import msgspec
from msgspec import UNSET

from caisey_core.domain import events as e
from caisey_core.record.bundle import Shown, lines_shown
from caisey_core.record.commitment import Disclosure
from caisey_core.record.store import Recorded
from caisey_core.services.cast import Cast
from caisey_core.services.checker_page import source_hash
from caisey_core.services.plain_text import plain

MOST_OUTPUT: Final = 64 * 1024  # bytes of one output in the page; the rest is in the JSON lines
Text = list[tuple[bytes | None, str]]  # a text's lines: what was recorded, or None and what a reviewer wrote instead
WITHHELD: Final = "withheld"
BEGIN: Final = "<ol>"  # between these two stand the events, in a page of whatever frame
END: Final = "</ol>"
_STYLE: Final = (
    ":root{color-scheme:light dark;font:15px/1.5 system-ui,sans-serif}body{max-width:60rem;margin:0 auto;padding:1rem}"
    "h1{font-size:1.4rem;margin:.5rem 0}ol{list-style:none;padding:0}li{border-top:1px solid #8884;padding:.5rem 0}"
    "time{font-variant-numeric:tabular-nums;opacity:.75;margin-right:.6rem}.n{opacity:.75;float:right;font-size:.85rem}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:.4rem 0 0;padding:.5rem;background:#8881;border-radius:6px;"
    "font:13px/1.45 ui-monospace,monospace}.w{background:#8883;border-radius:3px;padding:0 .3em}.e{outline:1px dashed}"
    "body{overflow-wrap:anywhere}footer{margin:1.5rem 0}@media print{body{max-width:none;padding:0}li{break-inside:avoid}}"
)


def page_head(title: str) -> str:
    """Return the beginning of the page for reading; its policy lets nothing but its own style in."""
    policy = f"default-src 'none'; style-src '{source_hash(_STYLE)}'; base-uri 'none'; form-action 'none'"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" '
        f'content="{policy}"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="robots" content="noindex"><title>{escape(title)}</title><style>{_STYLE}</style></head><body>'
    )


def entries_of(page: bytes) -> bytes:
    """Return the events of a page that was written here, as markup for a page with another frame."""
    return BEGIN.encode() + page.partition(BEGIN.encode())[2].rpartition(END.encode())[0] + END.encode()


def title_of(page: bytes) -> str:
    """Return the title of a page that was written here."""
    return unescape(page.partition(b"<title>")[2].partition(b"</title>")[0].decode())


def moment(at: int) -> str:
    """Return a time (UTC microseconds) for people."""
    return f"{datetime.fromtimestamp(at / 1e6, UTC):%Y-%m-%d %H:%M:%S}"


def sentence(event: e.AnyEvent | e.Unknown) -> str:
    """Say what happened; the event's texts follow in a box of their own."""
    who = escape(event.actor.name or event.actor.kind)
    match event:
        case e.SessionRequested():
            scopes = ", ".join(event.scopes)
            return f"{escape(event.technician_name)} asked for a session on {escape(event.device_name)} ({escape(scopes)}):"
        case e.ConsentAsked():
            return f"{who} asks the person at the device:"
        case e.PromptShown():
            return "The prompt was shown on the device"
        case e.Nudged():
            return f"{who} had the prompt shown again:"
        case e.ConsentGranted():
            minutes = (event.until - event.at) // 60_000_000
            return f"<b>{escape(event.who)} agreed</b> for {minutes} minutes: {escape(', '.join(event.scopes))}"
        case e.ConsentDenied():
            return f"<b>{escape(event.who)} said no</b>"
        case e.ConsentPostponed():
            return f"{escape(event.who)} asked to be asked later"
        case e.RequestExpired():
            return "Nobody answered in time"
        case e.RequestCancelled():
            return f"{who} took the request back:"
        case e.ConsentWithdrawn():
            return f"<b>{escape(event.who)} stopped the session</b>"
        case e.ConsentEnded():
            return "The agreed time was over"
        case e.ShellStarted():
            return f"{escape(event.shell)} started as {escape(event.account)}"
        case e.ShellEnded():
            return "The shell ended:"
        case e.CommandAccepted():
            return f"{who} runs:"
        case e.CommandStarted():
            return "The command began on the device"
        case e.OutputReceived():
            return "Terminal:" if event.command is None else "Output:"
        case e.OutputCut():
            return f"{event.size} bytes more came than are kept (SHA-256 {event.content.hex()})"
        case e.CommandFinished():
            code = "without an exit code" if event.exit_code is None else f"with exit code {event.exit_code}"
            return f"Ended {code} after {event.duration_ns / 1e9:.2f} s, signed by the device, in the folder:"
        case e.CommandInterrupted():
            return f"{who} stopped what was running"
        case e.NotRun():
            return "The device did not do it:"
        case e.TerminalTyped():
            return f"{who} typed {event.count} bytes" + (", not recorded: the terminal did not echo" if event.hidden else ":")
        case e.TerminalResized():
            return f"The terminal has {event.columns} columns and {event.rows} rows"
        case e.TransferAccepted():
            return f"{who} {'sends a file to' if event.direction == 'upload' else 'fetches a file from'} the device:"
        case e.TransferFinished():
            return f"The file is there, {event.size} bytes, signed by the device (SHA-256 {event.content.hex()})"
        case e.TransferFailed():
            return "The transfer failed:"
        case e.TransferCancelled():
            return f"The transfer ended: {escape(event.reason)}"
        case e.Reassigned():
            return f"{who} gave the session from {escape(event.from_name)} to {escape(event.to_name)}:"
        case e.SessionInterrupted():
            return f"Interrupted: {escape(event.reason)}"
        case e.SessionResumed():
            return f"Resumed: {escape(event.reason)}"
        case e.SessionCompleted():
            return f"<b>{who} finished: {escape(event.resolution)}</b>"
        case e.Sealed():
            return f"The record was sealed after {event.events} events"
    return f"An event of a kind that this version does not know: {escape(getattr(event, 'kind', ''))}"


class Readable:
    """Writes the three files. `cast_used` says whether there was a terminal at all."""

    def __init__(self, page: IO[bytes], lines: IO[bytes], cast: IO[bytes]) -> None:
        self._page, self._jsonl, self._cast = page, lines, cast
        self.cast_used = self._begun = False
        self._recording = Cast()
        self._command: object = UNSET
        self._room = 0
        self._hole = False  # the last that was written stands for something withheld
        self._dark: object = UNSET  # whose output it was, the same on the terminal

    def take(self, position: int, data: bytes, shown: Shown, edits: Mapping[int, str]) -> None:
        """Write the next event, with a reviewer's texts by the numbers of the withheld lines."""
        event = e.decode(data)
        texts = _texts(data, shown, edits)
        self._write_json(position, data, texts)
        if not isinstance(event, e.AuditEvent):
            self._write_page(position, event, texts)
            self._write_cast(position, data, event, texts)

    def hide(self, position: int, leaf: bytes) -> None:
        """Write that there was an event of which nothing is shown."""
        self._jsonl.write(msgspec.json.encode({"event": position, "withheld": True, "leaf": leaf.hex()}) + b"\n")
        self._begin(None)
        self._end_output()
        self._page.write(
            f'<li id="e{position}"><span class="n">event {position}</span><span class="w">withheld as a whole</span></li>\n'.encode()
        )

    def finish(self, tenant: str, vkey: str) -> None:
        """Write the end of the page."""
        self._end_output()
        self._page.write(
            f"{END}<footer><p>From the record of {escape(tenant)}. What is shown here can be proven: open <b>check.html</b> of "
            "this bundle in a browser and drop the bundle on it; nothing leaves your computer. Compare the key below with the "
            f"one that you got from {escape(tenant)} by another way. Text marked as a reviewer’s was written by a reviewer in "
            "the place of a withheld line and is no part of the proof.</p>"
            f"<p><code>{escape(vkey)}</code></p></footer></body></html>\n".encode()
        )

    def _write_page(self, position: int, event: e.SessionEvent | e.Unknown, texts: list[Text]) -> None:
        self._begin(event)
        if isinstance(event, e.OutputReceived) and event.command == self._command:
            self._page.write(self._output(texts).encode())  # the box of this command is open
            return
        self._end_output()
        head = f'<li id="e{position}"><span class="n">event {position}</span><time>{moment(event.at)}</time>{sentence(event)}'
        if isinstance(event, e.OutputReceived):
            self._command, self._room, self._hole = event.command, MOST_OUTPUT, False
            self._page.write(f"{head}<pre>{self._output(texts)}".encode())
            return
        boxes = ""
        for text in filter(None, texts):
            self._hole = False
            boxes += f"<pre>{self._markup(text)}</pre>"
        self._page.write(f"{head}{boxes}</li>\n".encode())

    def _begin(self, event: e.SessionEvent | e.Unknown | None) -> None:
        """Write the head of the page before the first event."""
        if self._begun:
            return
        self._begun = True
        first = event if isinstance(event, e.SessionRequested) else None
        title = f"Session on {first.device_name}" if first is not None else "A session"
        self._page.write(page_head(title).encode())
        client = f"{escape(first.client_name)} · " if first is not None else ""
        self._page.write(f"<h1>{escape(title)}</h1><p>{client}all times are UTC</p>{BEGIN}".encode())

    def _output(self, texts: list[Text]) -> str:
        if self._room <= 0:
            return ""
        made = "".join(self._markup(text) for text in texts)
        self._room -= len(made)
        return made if self._room > 0 else f"{made}\n(the rest is in events.jsonl)"

    def _markup(self, text: Text) -> str:
        """Return a text as markup. Recorded lines that follow each other are freed of control sequences together, withheld ones
        are one hole: a line that a program printed in pieces is one for the reader."""
        made = list[str]()
        for withheld, run in groupby(text, lambda one: one[0] is None):
            lines = list(run)
            if not withheld:
                self._hole = False
                made.append(escape(plain(b"".join(line or b"" for line, _ in lines).decode(errors="replace"))))
                continue
            edits = [edit for _, edit in lines if edit]
            for edit in edits:
                made.append(f'<span class="w e">{escape(plain(edit))}</span> <span class="w">a reviewer’s words</span>\n')
            if not edits and not self._hole:
                count = f"{len(lines)} lines " if len(lines) > 1 else ""
                made.append(f'<span class="w">{count}{WITHHELD}</span>\n')
            self._hole = True
        return "".join(made)

    def _end_output(self) -> None:
        if self._command is not UNSET:
            self._page.write(b"</pre></li>\n")
        self._command = UNSET

    def _write_json(self, position: int, data: bytes, texts: list[Text]) -> None:
        fields = msgspec.msgpack.decode(data)
        said = iter(texts)
        line = {"event": position, **{name: _plain(value, said) for name, value in fields.items()}}
        if isinstance(line.get("at"), int):
            line["time"] = f"{moment(fields['at']).replace(' ', 'T')}.{fields['at'] % 1_000_000:06}Z"
        self._jsonl.write(msgspec.json.encode(line) + b"\n")

    def _write_cast(self, position: int, data: bytes, event: e.SessionEvent | e.Unknown, texts: list[Text]) -> None:
        """Write what the terminal shows of it: where something is withheld, the recording says so in its place."""
        said = tuple(self._on_terminal(event, text) for text in texts)
        for line in self._recording.take(Recorded(position, data, Disclosure(b"", said) if said else None)):
            self.cast_used = True
            self._cast.write(line)

    def _on_terminal(self, event: e.SessionEvent | e.Unknown, text: Text) -> bytes:
        flow = event.command if isinstance(event, e.OutputReceived) else UNSET
        said = bytearray()
        for line, edit in text:
            if line is not None:
                said += line
            elif edit or flow is UNSET or self._dark != flow:  # a line that came in pieces is one for who watches
                said += f"[{plain(edit) or WITHHELD}]".encode() + (b"" if flow is UNSET else b"\r\n")
            self._dark = flow if line is None else UNSET
        return bytes(said)


def _texts(data: bytes, shown: Shown, edits: Mapping[int, str]) -> list[Text]:
    _, contents = e.read(data)
    if shown is None:
        return [[(None, edits.get(0, "") if i == 0 else "")] for i, _ in enumerate(contents)]
    at, texts = 0, list[Text]()
    for lines in lines_shown(shown):
        texts.append([(line, edits.get(at + i, "") if line is None else "") for i, line in enumerate(lines)])
        at += len(lines)
    return texts


def _plain(value: object, texts: "object") -> object:
    """Return a field for JSON: bytes as hex, a content with what is shown of it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict) and value.keys() == {"root", "lines", "size"}:
        text: Text = next(texts, []) if value["root"] else []  # type: ignore[call-overload]
        lines = [
            {"withheld": True, **({"reviewer": edit} if edit else {})} if line is None else line.decode(errors="replace")
            for line, edit in text
        ]
        return {"root": _plain(value["root"], texts), "lines": value["lines"], "size": value["size"], "text": lines}
    if isinstance(value, dict):
        return {str(name): _plain(one, texts) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one, texts) for one in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
