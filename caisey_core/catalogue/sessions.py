"""Session rows: a projection of the record, for lists and look-ups."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from msgspec import Struct
from piccolo.columns.combination import And, Where

from caisey_core.catalogue.engine import CatalogueEngine, system_scope
from caisey_core.catalogue.outcomes import scoped
from caisey_core.catalogue.rows import many, one
from caisey_core.catalogue.tables import SessionTable

_AT_ONCE = 200  # rows of one statement


class SessionRow(Struct, frozen=True, kw_only=True):
    id: UUID
    device: UUID
    device_name: str
    client: UUID
    client_name: str
    technician: UUID
    technician_name: str
    state: str
    reason: str
    scopes: str  # joined by commas
    duration_seconds: int
    requested_at: int
    shown_at: int | None
    granted_at: int | None
    who: str
    until: int | None
    ended_at: int | None
    resolution: str
    commands: int
    events: int
    sealed: bool


def _search(row: SessionRow) -> str:
    return f"{row.device_name} {row.client_name} {row.technician_name} {row.who} {row.reason}".lower()


def columns_of(tenant: UUID, row: SessionRow) -> dict[str, Any]:
    """Return every column of a row as it is kept."""
    return {"tenant": tenant, "search": _search(row), **{name: getattr(row, name) for name in row.__struct_fields__}}


def _within(wanted: And | Where, clients: frozenset[UUID] | None) -> And | Where:
    return wanted if clients is None else wanted & SessionTable.client.is_in(list(clients))


class Sessions:
    """Queries over session rows."""

    def __init__(self, engine: CatalogueEngine) -> None:
        self._engine = engine

    @scoped
    async def upsert(self, tenant: UUID, row: SessionRow) -> None:
        """Write a session's row, new or changed."""
        await self._upsert(tenant, [row])

    async def _upsert(self, tenant: UUID, rows: Sequence[SessionRow]) -> None:
        t = SessionTable
        changing = [column for column in t.all_columns() if column._meta.name not in ("id", "tenant")]
        made = [t(**columns_of(tenant, row)) for row in rows]
        await t.insert(*made).on_conflict(target=t.id, action="DO UPDATE", values=changing).run()

    @scoped
    async def all(self, tenant: UUID) -> list[tuple[SessionRow, bool]]:
        """Return all session rows, and whether each can be found by what it says. Raises ValueError for one that is damaged."""
        t = SessionTable
        rows = await t.select().where(t.tenant == tenant)
        return [(row, _search(row) == kept["search"]) for row, kept in zip(many(SessionRow, rows), rows, strict=True)]

    @scoped
    async def replace(self, tenant: UUID, rows: Sequence[SessionRow]) -> None:
        """Put these rows in the place of all that there are, in one transaction."""
        t = SessionTable
        async with self._engine.transaction():
            await t.delete().where(t.tenant == tenant).run()
            for at in range(0, len(rows), _AT_ONCE):
                await self._upsert(tenant, rows[at : at + _AT_ONCE])

    async def drop_strays(self) -> int:
        """Delete rows of no tenant; returns how many there were."""
        with system_scope():
            rows = await SessionTable.raw("DELETE FROM session WHERE tenant NOT IN (SELECT id FROM tenant) RETURNING 1 AS gone")
        return len(rows)

    @scoped
    async def by_id(self, tenant: UUID, session: UUID) -> SessionRow | None:
        """Return a session's row."""
        t = SessionTable
        return one(SessionRow, await t.select().where((t.tenant == tenant) & (t.id == session)).limit(1))

    @scoped
    async def ended(
        self,
        tenant: UUID,
        limit: int,
        *,
        before: tuple[int, UUID] | None = None,
        clients: frozenset[UUID] | None = None,
        technician: UUID | None = None,
    ) -> list[SessionRow]:
        """Return sessions that are over, newest first, from before an end and id on; of these clients and this technician."""
        t = SessionTable
        wanted: And | Where = (t.tenant == tenant) & t.ended_at.is_not_null()
        if clients is not None and not clients:
            return []
        if before is not None:
            at, session = before
            wanted &= (t.ended_at < at) | ((t.ended_at == at) & (t.id < session))
        if technician is not None:
            wanted &= t.technician == technician
        wanted = _within(wanted, clients)
        return many(SessionRow, await t.select().where(wanted).order_by(t.ended_at, t.id, ascending=False).limit(limit))

    @scoped
    async def by_device(self, tenant: UUID, device: UUID) -> list[SessionRow]:
        """Return a device's newest sessions."""
        t = SessionTable
        rows = (
            await t.select()
            .where((t.tenant == tenant) & (t.device == device))
            .order_by(t.requested_at, ascending=False)
            .limit(50)
        )
        return many(SessionRow, rows)

    @scoped
    async def search(
        self, tenant: UUID, words: Sequence[str], limit: int, clients: frozenset[UUID] | None = None
    ) -> list[SessionRow]:
        """Return the newest sessions in which every word (lower case) is found, of all clients or of these."""
        t = SessionTable
        if clients is not None and not clients:
            return []
        wanted = _within(t.tenant == tenant, clients)
        for word in words:
            escaped = word.replace("%", "").replace("_", "")
            wanted = wanted & t.search.like(f"%{escaped}%")
        return many(SessionRow, await t.select().where(wanted).order_by(t.requested_at, ascending=False).limit(limit))
