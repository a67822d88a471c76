"""Salted commitments to text, line by line (after RFC 9901): a line can later be shown or withheld, never changed.

The lines of all texts of one event are numbered on; line i gets salt i, the i-th 16 bytes of SHAKE-256 over the event's seed.
A line's leaf is SHA-256(0x00 ‖ salt ‖ line); a text's commitment is the RFC 6962 root over its leaves.
"""

import secrets
from collections.abc import Sequence
from hashlib import sha256, shake_256
from operator import attrgetter
from typing import Protocol

from msgspec import Struct

from caisey_core.record.merkle import root_of

LONGEST_PIECE = 4096  # bytes; a longer line is cut into pieces
SALT = 16
SEED = 32


class Commitment(Protocol):
    """What an event keeps of a text: the root over its salted lines, how many lines, how many bytes."""

    @property
    def root(self) -> bytes: ...
    @property
    def lines(self) -> int: ...
    @property
    def size(self) -> int: ...


class Committed(Struct, frozen=True):
    """A commitment that was made here."""

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


_told = attrgetter("root", "lines", "size")


def _roots(texts: Sequence[bytes], seed: bytes) -> list[tuple[bytes, int, int]]:
    """Return root, lines and size of each text."""
    if len(texts) == 1 and 0 < len(text := texts[0]) <= LONGEST_PIECE and text.find(b"\n", 0, -1) < 0:
        leaf = sha256(b"\x00" + shake_256(seed).digest(SALT) + text).digest()  # one line, as most events have it: the root
        return [(leaf, 1, len(text))]
    split = [lines_of(text) for text in texts]
    salts, at, made = shake_256(seed).digest(SALT * sum(map(len, split))), 0, []
    for text, lines in zip(texts, split, strict=True):
        leaves = []
        for line in lines:
            leaves.append(sha256(b"\x00" + salts[at : at + SALT] + line).digest())
            at += SALT
        made.append((root_of(leaves), len(lines), len(text)))
    return made


def commit(texts: Sequence[bytes], seed: bytes | None = None) -> tuple[tuple[Committed, ...], Disclosure]:
    """Commit to the texts of one event, in the order of its fields, with a fresh seed unless one is given."""
    seed = secrets.token_bytes(SEED) if seed is None else seed
    return tuple(Committed(*made) for made in _roots(texts, seed)), Disclosure(seed, tuple(texts))


def holds(seed: bytes, texts: Sequence[bytes], committed: Sequence[Commitment]) -> bool:
    """Say whether seed and texts are what was committed to, text by text, in order."""
    if len(texts) != len(committed) or len(seed) != SEED:
        return False
    return _roots(texts, seed) == list(map(_told, committed))
