"""The catalogue's session rows from the record alone: to compare them, and to make them anew."""

from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from caisey_core.catalogue.catalogue import Catalogue
from caisey_core.catalogue.sessions import SessionRow
from caisey_core.domain import events as e
from caisey_core.domain.session import evolve
from caisey_core.record.store import Store
from caisey_core.record.verify import events_of
from caisey_core.services.cards import row_of_card
from caisey_core.services.journal import Journal, OpenSession

KIND = "session/"


class Difference(Struct, frozen=True):
    """Where the catalogue's session rows are not what the record makes them."""

    missing: tuple[UUID, ...] = ()
    wrong: tuple[UUID, ...] = ()
    foreign: tuple[UUID, ...] = ()  # without a record
    unreadable: bool = False

    def __bool__(self) -> bool:
        return bool(self.missing or self.wrong or self.foreign or self.unreadable)

    def words(self) -> str:
        """Say it in words."""
        parts = [f"{len(self.missing)} missing"] if self.missing else []
        parts += [f"{len(self.wrong)} different"] if self.wrong else []
        parts += [f"{len(self.foreign)} without a record"] if self.foreign else []
        return ", ".join([*parts, *(["some are unreadable"] if self.unreadable else [])])


def row_in(store: Store, tenant: UUID, session: UUID) -> SessionRow | None:
    """Return the row of one session as its events make it; None for one that never began."""
    opened = OpenSession(tenant=tenant, id=session)
    for row in events_of(store, tenant, opened.stream):
        event = e.decode(row.event)
        if isinstance(event, e.SessionEvent):
            Journal.remember(opened, event, row.position, row.disclosure)
            opened.state = evolve(opened.state, event)
    return row_of_card(opened) if opened.state.started is not None else None


def rows_in(store: Store, tenant: UUID) -> dict[UUID, SessionRow]:
    """Return the rows of all sessions of a tenant."""
    found = {}
    for head in store.heads(tenant):
        if head.stream.startswith(KIND):
            row = row_in(store, tenant, UUID(head.stream.removeprefix(KIND)))
            if row is not None:
                found[row.id] = row
    return found


async def difference(catalogue: Catalogue, store: Store, tenant: UUID) -> Difference:
    """Compare a tenant's session rows with its record. An open session's row may lag behind its last output."""
    made = rows_in(store, tenant)
    try:
        kept = {row.id: (row, right) for row, right in await catalogue.sessions.all(tenant)}
    except ValueError:  # msgspec's and the converters': a column holds what it cannot hold
        return Difference(unreadable=True)
    wrong = tuple(session for session, row in made.items() if session in kept and not _same(row, *kept[session]))
    return Difference(
        missing=tuple(session for session in made if session not in kept),
        wrong=wrong,
        foreign=tuple(session for session in kept if session not in made),
    )


def _same(made: SessionRow, kept: SessionRow, found: bool) -> bool:
    if not made.sealed:
        kept = replace(kept, events=made.events)  # the row of an open session is not written for each output
    return found and made == kept


async def rebuild(catalogue: Catalogue, store: Store, tenant: UUID) -> int:
    """Make a tenant's session rows anew, all or none; returns how many there are."""
    made = rows_in(store, tenant)
    await catalogue.sessions.replace(tenant, list(made.values()))
    return len(made)
