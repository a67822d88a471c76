"""Where a page of a list ended: the keys of its last entry, as an opaque text that only this server reads.

Keys, not counts: whoever walks a list meets each entry once that was there all the time, whatever comes and goes meanwhile.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from caisey_core.domain.refused import Refused
from caisey_core.services.outcomes import bad_input

T = TypeVar("T")
K = TypeVar("K")
LONGEST: Final = 2000
NO_PLACE: Final = bad_input("after", "This is no place in the list.", "Send what the last page gave as “next”.")


class Page(Struct, Generic[T], frozen=True):
    """A part of a list. `next` goes into `after` for the part that follows; empty: there is none."""

    items: tuple[T, ...]
    next: str


def write(keys: object) -> str:
    """Return the text for the keys of the last entry."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(keys)).rstrip(b"=").decode()


def read(after: str, kind: type[K]) -> K | Refused:
    """Return the keys; `kind` is their type. A text that no page gave is refused."""
    if len(after) > LONGEST:
        return NO_PLACE
    try:
        return msgspec.msgpack.decode(base64.b64decode(after + "=" * (-len(after) % 4), b"-_", validate=True), type=kind)
    except (binascii.Error, msgspec.DecodeError, ValueError):
        return NO_PLACE


def cut(
    rows: Sequence[T], keys: Callable[[T], K], kind: type[K], after: str, limit: int, *, falling: bool = False
) -> Page[T] | Refused:
    """Return the part of a whole list that follows `after`. The list is in the order of its keys: rising, or falling."""
    if after:
        place = read(after, kind)
        if isinstance(place, Refused):
            return place
        rows = [row for row in rows if (keys(row) < place if falling else keys(row) > place)]  # type: ignore[operator]  # tuples of one kind
    shown = tuple(rows[:limit])
    return Page(shown, write(keys(shown[-1])) if len(rows) > limit else "")
