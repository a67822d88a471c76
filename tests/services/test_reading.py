"""A record as lines: what a person sees as one line is one, whatever pieces it came in."""

import secrets
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from caisey_core.domain import events as e
from caisey_core.record.commitment import commit, lines_of
from caisey_core.record.store import Recorded
from caisey_core.services.reading import Reading, read, visible, words_in

DEVICE = e.Actor("device", "", "DESK")
COMMAND = uuid4()


def rows(*pieces: bytes, command: UUID | None = COMMAND) -> list[Recorded]:
    """Return events with these pieces of output."""
    made = []
    for position, piece in enumerate(pieces):
        committed, disclosure = commit([piece])
        content = e.Content(committed[0].root, committed[0].lines, committed[0].size)
        event = e.OutputReceived(actor=DEVICE, at=1, frame=position + 1, command=command, output=content)
        made.append(Recorded(position, e.encode(event), disclosure))
    return made


def lines(*pieces: bytes, command: UUID | None = COMMAND) -> Reading:
    """Read them."""
    return read(rows(*pieces, command=command), len(pieces))


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=12))
def test_every_piece_is_in_one_line(pieces: list[bytes]) -> None:
    """No byte is left out of the review, and none is in two lines."""
    found = [piece for line in lines(*pieces).lines for piece in line.pieces]
    wanted = [(event, at) for event, data in enumerate(pieces) for at, _ in enumerate(lines_of(data))]
    assert sorted(found) == wanted


@given(st.lists(st.integers(1, 7), max_size=12))
def test_a_password_in_pieces_is_marked(cuts: list[int]) -> None:
    """Echoed key by key, in any pieces, in colours: it is one line with one mark."""
    text = b"$ mysql -u shop -p\x1b[1mHunter22\x1b[0m shop\r\nok\r\n"
    pieces, at = list[bytes](), 0
    for cut in cuts:
        pieces.append(text[at : at + cut])
        at += cut
    found = lines(*(piece for piece in [*pieces, text[at:]] if piece), command=None)
    (first, _) = found.lines
    assert first.label == "Terminal"
    assert [first.text[mark.start : mark.end] for mark in first.marks] == ["Hunter22"]


def test_a_private_key_over_several_lines() -> None:
    """From BEGIN to END all of it is marked, and nothing after it."""
    text = b"before\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabcd\n-----END RSA PRIVATE KEY-----\nafter\n"
    marked = [line.text for line in lines(text).lines if line.marks]
    assert marked == ["-----BEGIN RSA PRIVATE KEY-----", "MIIE", "abcd", "-----END RSA PRIVATE KEY-----"]
    endless = lines(b"-----BEGIN PRIVATE KEY-----\n" + b"x\n" * 1000)
    assert sum(bool(line.marks) for line in endless.lines) == 201


def test_what_a_terminal_hides_is_shown() -> None:
    """Titles and links carry words that no screen shows but every reader of the bundle has."""
    assert visible("a\x1b]0;secret title\x07b\x1b[31mc\x1b[0m") == "a⟨secret title⟩bc"
    assert visible("\x1b]8;;http://x/token\x1b\\link\x1b]8;;\x1b\\") == "⟨;http://x/token⟩link"
    assert visible("\x1b]0;cut off") == "⟨cut off⟩"


def test_words_inside_signed_statements() -> None:
    """They are found however deep: these are in bytes inside an event."""
    inner = e.encode(e.SessionResumed(actor=DEVICE, at=1, reason="the inner words", salt=secrets.token_bytes(16)))
    event = e.ConsentAsked(actor=DEVICE, at=1, request=inner, reason=e.NOTHING, expires_at=2)
    assert {"the inner words", "DESK", "device"} <= words_in(e.encode(event))
    assert "consent-asked" not in words_in(e.encode(event))


def test_what_was_erased_is_not_reviewed() -> None:
    """It is in its place and has nothing to look at."""
    erased = [Recorded(row.position, row.event, None) for row in rows(b"words\n")]
    (line,) = read(erased, 1).lines
    assert line.gone
    assert line.text == ""
