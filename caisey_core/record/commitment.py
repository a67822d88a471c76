"""Salted commitments to text, line by line (after RFC 9901): a line can later be shown or withheld, never changed.

The lines of all texts of one event are numbered on; line i gets salt i, the i-th 16 bytes of SHAKE-256 over the event's seed.
A line's leaf is SHA-256(0x00 ‖ salt ‖ line); a text's commitment is the RFC 6962 root over its leaves.
"""

import hashlib
import secrets
from collections.abc import Sequence

from msgspec import Struct

from caisey_core.record.merkle import EMPTY, Frontier

LONGEST_PIECE = 4096  # bytes; a longer line is cut into pieces
SALT = 16
SEED = 32


class Committed(Struct, frozen=True):
    """What an event keeps of a text."""

    root: bytes
    lines: int
    size: int


class Disclosure(Struct, frozen=True):
    """What lies beside the event: the seed of the salts and the texts, in the order of the event's fields."""

    seed: bytes
    texts: tuple[bytes, ...]


def lines_of(text: bytes) -> list[bytes]:
    """Return the lines with their line feeds, none longer than LONGEST_PIECE; an empty text has none."""
    lines: list[bytes] = []
    start, size = 0, len(text)
    while start < size:
        at = text.find(b"\n", start, start + LONGEST_PIECE)
        end = min(start + LONGEST_PIECE, size) if at < 0 else at + 1
        lines.append(text[start:end])
        start = end
    return lines


def _roots(texts: Sequence[bytes], seed: bytes) -> tuple[Committed, ...]:
    split = [lines_of(text) for text in texts]
    salts = hashlib.shake_256(seed).digest(SALT * sum(map(len, split)))
    sha256, at, made = hashlib.sha256, 0, []
    for text, lines in zip(texts, split, strict=True):
        if len(lines) == 1:
            made.append(Committed(sha256(b"\x00" + salts[at : at + SALT] + lines[0]).digest(), 1, len(text)))
            at += SALT
            continue
        frontier = Frontier()
        for line in lines:
            frontier.append(sha256(b"\x00" + salts[at : at + SALT] + line).digest())
            at += SALT
        made.append(Committed(frontier.root if lines else EMPTY, len(lines), len(text)))
    return tuple(made)


def commit(texts: Sequence[bytes], seed: bytes | None = None) -> tuple[tuple[Committed, ...], Disclosure]:
    """Commit to the texts of one event, in the order of its fields, with a fresh seed unless one is given."""
    seed = secrets.token_bytes(SEED) if seed is None else seed
    return _roots(texts, seed), Disclosure(seed, tuple(texts))


def holds(disclosure: Disclosure, committed: Sequence[tuple[bytes, int, int]]) -> bool:
    """Say whether the disclosure is what was committed to: (root, lines, size) for each text, in order."""
    if len(disclosure.texts) != len(committed) or len(disclosure.seed) != SEED:
        return False
    made = _roots(disclosure.texts, disclosure.seed)
    return all((one.root, one.lines, one.size) == tuple(other) for one, other in zip(made, committed, strict=True))
