"""How events and leaves lie in rows, which is the same in either database."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from caisey_core.record.commitment import Disclosure
from caisey_core.record.store import LogLeaf, Recorded, StreamWrite, Unreadable

ERASE_AT_ONCE: Final = 1000  # events of one transaction

Row = tuple[int, bytes, bytes | None, bytes | None]  # id, event, seed, texts

_texts = msgspec.msgpack.Decoder(tuple[bytes, ...])
_pack = msgspec.msgpack.Encoder().encode


def rows_of(stream: StreamWrite, base: int) -> Iterator[Row]:
    """Yield the rows of a stream's new events; `base` is the id that its first event of all has."""
    for number, (event, said) in enumerate(stream.events, base + stream.first):
        yield (number, event, said.seed, _pack(said.texts)) if said is not None else (number, event, None, None)


def recorded(stream: str, base: int, rows: Iterable[Row]) -> list[Recorded]:
    """Return events from their rows. Raises Unreadable."""
    found = []
    for identity, event, seed, texts in rows:
        try:
            disclosure = Disclosure(seed, _texts.decode(texts)) if seed is not None else None  # type: ignore[arg-type]
        except (msgspec.DecodeError, TypeError) as error:
            raise Unreadable(stream, identity - base) from error
        found.append(Recorded(identity - base, event, disclosure))
    return found


def unbroken(start: int, rows: Iterable[tuple[int, str, int, bytes]]) -> list[LogLeaf]:
    """Return leaves from rows in the order of their positions; at a gap the log ends for whoever checks it."""
    found = []
    for expected, (position, stream, size, root) in enumerate(rows, start):
        if position != expected:
            break
        found.append(LogLeaf(stream, size, root))
    return found


def erased_by(step: Callable[[], int]) -> int:
    """Repeat a step that erases at most ERASE_AT_ONCE events, until all are; return how many there were."""
    erased = 0
    while (changed := step()) == ERASE_AT_ONCE:
        erased += changed
    return erased + changed
