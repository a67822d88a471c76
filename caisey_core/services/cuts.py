"""What a reviewer decided, and what follows from it: which lines and events go, and where withheld words still stand."""

import base64
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from caisey_core.domain.refused import Refused
from caisey_core.record.bundle import Edit
from caisey_core.services.export import Transcript
from caisey_core.services.marks import Mark
from caisey_core.services.outcomes import bad_input
from caisey_core.services.reading import Line, Reading

INSTEAD: Final = "[withheld]"  # what stands for a withheld part of a line, until the reviewer writes something else
LONGEST_TEXT: Final = 4000  # characters of a reviewer's text
MOST_SPANS: Final = 200
SHORTEST: Final = 4  # characters of a withheld line that are looked for elsewhere; a part that was chosen: one less
MOST_LEAKS: Final = 50  # that are told
ENROLMENT: Final = "enrolment"


class Cut(Struct, frozen=True, forbid_unknown_fields=True):
    """A line that is withheld: all of it, or some parts of it with the reviewer's text in its place."""

    spans: tuple[tuple[int, int], ...] = ()
    text: str | None = None


class Decisions(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All that a reviewer decided. `kept` names marks that may stay, `device` says whether the enrolment is shown."""

    cuts: dict[str, Cut] = {}
    kept: tuple[str, ...] = ()
    device: bool = True


class Leak(Struct, frozen=True, kw_only=True):
    """Words that are withheld in one line stand where they would be read."""

    source: str  # the line that withholds them
    where: str  # the line that shows them, an event's number, or "enrolment"
    event: int | None
    whole: bool  # it can go only as a whole
    said: str
    loss: str = ""  # what a reader can no longer check without it


class Plan(Struct, frozen=True, kw_only=True):
    """What the decisions come to."""

    transcript: Transcript
    lines: int
    withheld: int  # lines of which something or all is withheld
    edited: int
    open_marks: int
    receipts: int  # events that go because their hashes would let a reader guess what is withheld
    leaks: tuple[Leak, ...]


def mark_id(line: Line, mark: Mark) -> str:
    """Return the name of a mark."""
    return f"{line.id}:{mark.start}-{mark.end}"


def edited(line: Line, cut: Cut) -> str | None:
    """Return the text that stands for a line; None where only the place is shown."""
    if cut.text is not None:
        return cut.text
    if not cut.spans:
        return None
    made, at = [], 0
    for start, end in sorted(cut.spans):
        made += [line.text[at : max(at, start)], INSTEAD]
        at = max(at, end)
    return "".join([*made, line.text[at:]]).replace(INSTEAD * 2, INSTEAD)


def check(reading: Reading, decisions: Decisions) -> Refused | None:
    """Refuse decisions about what is not there, and texts that still say what they stand for."""
    lines = {line.id: line for line in reading.lines}
    for name, cut in decisions.cuts.items():
        line = lines.get(name)
        if line is None and _event(name) in range(reading.events) and cut == Cut():
            continue  # an event without words of its own, which goes as a whole
        if line is None or line.gone:
            return bad_input("cuts", "One of the lines is not in this transcript.", "Load the page again.")
        if line.whole and (cut.spans or cut.text is not None):
            return bad_input("cuts", "An event can be withheld only as a whole.", "Withhold it, or show it.")
        if len(cut.spans) > MOST_SPANS or any(not 0 <= a < b <= len(line.text) for a, b in cut.spans):
            return bad_input("cuts", "A part of a line is not where it should be.", "Load the page again.")
        if cut.text is None:
            continue
        if len(cut.text) > LONGEST_TEXT or any(ord(c) < 32 or 127 <= ord(c) < 160 for c in cut.text):
            return bad_input(
                "cuts", f"A text of yours is longer than {LONGEST_TEXT} characters or has a line break.", "Shorten it."
            )
        if any(b - a >= SHORTEST - 1 and line.text[a:b] in cut.text for a, b in cut.spans):
            return bad_input("cuts", "A text of yours still has what you withheld in its line.", "Take the words out of it.")
    return None


def plan(reading: Reading, decisions: Decisions, given: Mapping[str, str]) -> Plan:
    """Return what follows. `given` are words that every bundle has besides the events, with their names."""
    cuts = decisions.cuts
    hidden, receipts = _hidden(reading, decisions)
    withheld: dict[int, set[int]] = {}
    edits: list[Edit] = []
    going, changed, open_marks, lines = 0, 0, 0, 0
    visible: list[tuple[Line, str, str]] = []
    kept = set(decisions.kept)
    for line in reading.lines:
        if line.gone:
            continue
        lines += 1
        cut, shown = cuts.get(line.id), line.text
        if line.event in hidden or (cut is not None and line.whole):
            going += 1
            continue
        if cut is None:
            open_marks += sum(mark_id(line, mark) not in kept for mark in line.marks)
            visible.append((line, shown, line.raw))
            continue
        going += 1
        for event, at in line.pieces:
            withheld.setdefault(event, set()).add(at)
        if (text := edited(line, cut)) is not None:
            changed += 1
            edits.append(Edit(event=line.pieces[0][0], line=line.pieces[0][1], text=text))
            visible.append((line, text, ""))
            covered = [mark for mark in line.marks if not any(a <= mark.start and mark.end <= b for a, b in cut.spans)]
            left = [mark for mark in covered if line.text[mark.start : mark.end] in text]
            open_marks += sum(mark_id(line, mark) not in kept for mark in left)
    transcript = Transcript(
        events=reading.events,
        withheld={event: frozenset(at) for event, at in withheld.items() if event not in hidden},
        edits=tuple(edit for edit in edits if edit.event not in hidden),
        hidden=frozenset(hidden),
        device=decisions.device,
    )
    return Plan(
        transcript=transcript,
        lines=lines,
        withheld=going,
        edited=changed,
        open_marks=open_marks,
        receipts=len(receipts),
        leaks=_leaks(reading, decisions, visible, hidden, given),
    )


def _hidden(reading: Reading, decisions: Decisions) -> tuple[set[int], set[int]]:
    """Return the events that go as a whole, and which of them because they have hashes over what is withheld, without salt."""
    hidden = {event for name in decisions.cuts if (event := _event(name)) >= 0}
    receipts: set[int] = set()
    for line in reading.lines:
        if line.id not in decisions.cuts:
            continue
        if line.whole and line.transfer is not None:
            hidden.update(reading.transfers.get(line.transfer, ()))
        subject = line.command if line.label in ("Command", "Output") else line.transfer
        if subject is not None:
            receipts.update(reading.receipts.get(subject, ()))
    return hidden | receipts, receipts - hidden


def _event(name: str) -> int:
    """Return which event a name stands for; -1 for a line's."""
    return int(name) if name.isascii() and name.isdigit() and len(name) < 10 else -1


def needles(line: Line, cut: Cut) -> Iterator[str]:
    """Yield the words that are withheld with a line and must not be read anywhere else."""
    if cut.spans:
        yield from (line.text[a:b].strip() for a, b in cut.spans if len(line.text[a:b].strip()) >= SHORTEST - 1)
        return
    for text in line.free if line.whole else (line.text,):
        if len(text.strip()) >= SHORTEST:
            yield text.strip()
    for mark in line.marks:
        if mark.kind == "secret" and mark.end - mark.start >= SHORTEST:
            yield line.text[mark.start : mark.end]


def _forms(needle: str) -> Iterator[str]:
    """Yield a needle as it is, and as programs like to write it down."""
    yield needle
    data = needle.encode()
    if len(data) < 6:
        return
    yield data.hex()
    for lead in range(3):
        skipped = (lead * 8 + 5) // 6  # characters that hold bits of what comes before
        text = base64.b64encode(b"\0" * lead + data).decode()
        whole = (lead + len(data)) * 8 // 6
        yield text[skipped:whole]


class _Text:
    """Many texts, searched at once."""

    def __init__(self, parts: list[tuple[str, str]]) -> None:
        self._names = [name for name, _ in parts]
        self._starts, at = [], 0
        for _, text in parts:
            self._starts.append(at)
            at += len(text) + 1
        self._all = "\0".join(text for _, text in parts)

    def found(self, needle: str) -> Iterator[str]:
        """Yield the names of the texts that have it."""
        at = self._all.find(needle)
        while at >= 0:
            index = bisect_right(self._starts, at) - 1
            yield self._names[index]
            at = self._all.find(needle, self._starts[index + 1]) if index + 1 < len(self._starts) else -1


def _leaks(
    reading: Reading,
    decisions: Decisions,
    visible: list[tuple[Line, str, str]],
    hidden: set[int],
    given: Mapping[str, str],
) -> tuple[Leak, ...]:
    shown = {line.id: line for line, _, _ in visible}
    in_lines = _Text([(line.id, text) for line, shown, raw in visible for text in (shown, raw) if text])
    words = {word: [event for event in events if event not in hidden] for word, events in reading.words.items()}
    in_events = _Text([(word, word) for word, events in words.items() if events])
    own = {line.event: line for line in reading.lines if line.whole and not line.gone}
    outside = _Text(list(given.items()))
    leaks: dict[tuple[str, str], Leak] = {}
    for line in reading.lines:
        cut = decisions.cuts.get(line.id)
        if cut is None:
            continue
        for form in dict.fromkeys(form for needle in needles(line, cut) for form in _forms(needle)):
            for name in in_lines.found(form):
                at = shown[name]
                leaks.setdefault(
                    (line.id, name),
                    Leak(source=line.id, where=name, event=at.event, whole=at.whole, said=at.text[:200], loss=_loss(at)),
                )
            for word in in_events.found(form):
                for event in words[word]:
                    said = own[event].text if event in own else word
                    leaks.setdefault(
                        (line.id, str(event)),
                        Leak(
                            source=line.id,
                            where=str(event),
                            event=event,
                            whole=True,
                            said=said[:200],
                            loss=_loss(own.get(event)),
                        ),
                    )
                    if len(leaks) >= MOST_LEAKS:
                        return tuple(leaks.values())
            for name in outside.found(form):
                leaks.setdefault(
                    (line.id, name), Leak(source=line.id, where=name, event=None, whole=True, said=given[name][:200])
                )
            if len(leaks) >= MOST_LEAKS:
                return tuple(leaks.values())
    return tuple(leaks.values())


def _loss(line: Line | None) -> str:
    """Say what a reader can no longer check without an event."""
    if line is None:
        return ""
    if line.kind in ("session-requested", "consent-asked", "consent-granted"):
        return "Without it a reader cannot check that there was consent before the work."
    if line.kind in ("consent-denied", "consent-withdrawn"):
        return "Without it a reader cannot check what the person at the device said."
    return ""
