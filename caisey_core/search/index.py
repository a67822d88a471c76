"""What a database must do for the index, and the values that go in and come out.

Everything names its tenant, and `find` sees only what its `Scope` allows: no other code decides who finds what.
"""

from collections.abc import Sequence
from typing import Final, Literal, Protocol
from uuid import UUID

from msgspec import Struct

from caisey_core.search.words import Word

PAGE: Final = 20  # sessions
LINES_SHOWN: Final = 3  # of each

LineKind = Literal["command", "output", "terminal", "file", "reason", "note"]


class SearchUnavailable(Exception):
    """The index cannot be read or written now; the record is not concerned."""


class Line(Struct, frozen=True):
    """One line of disclosed text, without control sequences; `position` is the event where it begins."""

    position: int
    kind: LineKind
    text: str


class About(Struct, frozen=True, kw_only=True):
    """What is known of a session beside its lines. Technicians: all who had it, the last one last."""

    device: UUID
    device_name: str
    client: UUID
    client_name: str
    technicians: tuple[UUID, ...]
    technician_name: str
    requested_at: int
    outcome: str  # a resolution, or the state in which it is or ended
    reason: str


class Mark(Struct, frozen=True):
    """How far a session's stream is indexed. `pending` is the indexer's own: lines that have not ended yet.

    `generation` grows when the session is forgotten, so that nobody adds to it what was read before.
    """

    position: int = 0
    pending: bytes = b""
    generation: int = 0


class Scope(Struct, frozen=True):
    """Whose lines may be found: a tenant's, of all its clients or of these."""

    tenant: UUID
    clients: frozenset[UUID] | None = None


class Wanted(Struct, frozen=True, kw_only=True):
    """What is looked for. Without words: the sessions that the filters leave."""

    words: tuple[Word, ...] = ()
    device: UUID | None = None
    client: UUID | None = None
    technician: UUID | None = None
    since: int | None = None  # UTC microseconds, of the session's request
    until: int | None = None  # before this
    outcome: str = ""
    before: int | None = None  # cursor: sessions older than this number


class Found(Struct, frozen=True):
    """A session with the first of its lines that fit. `more`: it has further ones."""

    session: UUID
    about: About
    lines: tuple[Line, ...]
    more: bool


class Page(Struct, frozen=True):
    """Sessions, newest first. `next` continues; `to` says how far back was looked when the page is not full."""

    found: tuple[Found, ...]
    next: int | None
    to: int | None = None  # UTC microseconds


class SearchIndex(Protocol):
    """A database of lines. Methods block; `add`, `forget` and `purge` are called from one thread, the rest from any."""

    def marks(self, tenant: UUID) -> dict[UUID, Mark]:
        """Return how far each session is indexed."""

    def mark(self, tenant: UUID, session: UUID) -> Mark:
        """Return how far one session is indexed."""

    def add(self, tenant: UUID, session: UUID, about: About, lines: Sequence[Line], before: Mark, after: Mark) -> bool:
        """Add lines and move the mark, all or nothing; False where the mark is no longer `before`."""

    def forget(self, tenant: UUID, session: UUID) -> None:
        """Destroy the session's lines, let it be indexed from its start, and note that `purge` has something to do."""

    def purge(self) -> bool:
        """Take out of the files what was forgotten, by this process or one that is gone; False: not all of it yet, try again."""

    def find(self, scope: Scope, wanted: Wanted) -> Page:
        """Return a page of sessions within the scope."""

    def close(self) -> None:
        """Let go of everything."""
