"""From output in pieces to lines: however it was cut, and wherever the server stopped, the same lines."""

import itertools
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from caisey_core.domain import events as e
from caisey_core.record.commitment import commit
from caisey_core.record.store import Recorded
from caisey_core.services.lines import Lines

COMMAND = uuid4()
CONTENT = e.Content(bytes(32), 1, 1)


def rows(pieces: list[bytes]) -> list[Recorded]:
    """Return a session with one command whose output came in these pieces."""
    device = e.Actor("device", "", "PC")
    events: list[tuple[e.AnyEvent, bytes]] = [
        (
            e.SessionRequested(
                actor=device, at=0, session=uuid4(), device=uuid4(), device_name="PC", client=uuid4(), client_name="C",
                technician=uuid4(), technician_name="T", assignment=None, reason=CONTENT, scopes=("run",), duration_seconds=60,
                shell="bash",
            ),
            b"why",
        ),
        (e.CommandAccepted(actor=device, at=0, command=COMMAND, line=CONTENT), b"ls"),
        *((e.OutputReceived(actor=device, at=0, frame=1, command=COMMAND, output=CONTENT), piece) for piece in pieces),
        (
            e.CommandFinished(
                actor=device, at=0, frame=2, command=COMMAND, exit_code=0, duration_ns=1, directory=CONTENT, receipt=b"", signature=b""
            ),
            b"/",
        ),
    ]  # fmt: skip
    return [Recorded(at, e.encode(event), commit([text])[1]) for at, (event, text) in enumerate(events)]


def texts(pieces: list[bytes], restarts: set[int]) -> list[str]:
    """Return the lines of the output; the reader begins anew, with what it left, before these events."""
    pending, found = b"", []
    for row in rows(pieces):
        if row.position in restarts or not pending:
            reading = Lines(pending)
        found += [line.text for line in reading.take([row]) if line.kind == "output"]
        pending = reading.pending()
    return found


@given(st.data())
def test_however_it_was_cut(data: st.DataObject) -> None:
    """Pieces that end anywhere, also within a character, and a restart before any event, make the same lines."""
    whole = "".join(
        data.draw(st.lists(st.sampled_from(["a", "ü", "日本", "\n", "\r\n", "\x1b[31m", " ", "b c"]), max_size=40))
    ).encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=6)))
    edges = [0, *cuts, len(whole)]
    pieces = [whole[start:end] for start, end in itertools.pairwise(edges) if start < end]
    restarts = data.draw(st.sets(st.integers(0, len(pieces) + 3)))
    assert texts(pieces, restarts) == texts([whole] if whole else [], set())


def test_what_a_reader_would_see() -> None:
    """Colours, titles and what a backspace took back are not in a line; what the cursor moved apart are two words."""
    raw = b"\x1b]0;title\x07\x1b[31mred\x1b[0m lss\x08 \x08\x1b[5;1Hfar\rback\n\n  \n\xffbroken"
    assert texts([raw], set()) == ["red ls far back", "\ufffdbroken"]
