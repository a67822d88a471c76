"""What was or is to be erased, and how long contents are kept."""

import builtins
from collections.abc import Sequence
from typing import Literal
from uuid import UUID, uuid4

from msgspec import Struct

from caisey_core.catalogue.engine import CatalogueEngine
from caisey_core.catalogue.outcomes import scoped
from caisey_core.catalogue.rows import many, one
from caisey_core.catalogue.tables import ErasureTable, RetentionTable, SessionTable

Rule = Literal["request", "retention"]


class Erasure(Struct, frozen=True, kw_only=True):
    """A session's contents are to be destroyed (`erased_at` None), or were."""

    session: UUID
    rule: Rule
    reason: str
    actor: bytes  # who asked, as events name actors
    asked_at: int
    erased_at: int | None = None


class Keep(Struct, frozen=True):
    """How many days a client's contents are kept after a session's end; client None: those of all others. 0: for ever."""

    client: UUID | None
    days: int


class Erasures:
    """Queries over erasures and retention."""

    def __init__(self, engine: CatalogueEngine) -> None:
        self._engine = engine

    @scoped
    async def ask(self, tenant: UUID, erasure: Erasure) -> None:
        """Note that a session's contents are to go; once is enough."""
        t = ErasureTable
        fields = {name: getattr(erasure, name) for name in erasure.__struct_fields__}
        await t.insert(t(tenant=tenant, **fields)).on_conflict(target=t.session, action="DO NOTHING").run()

    @scoped
    async def done(self, tenant: UUID, session: UUID, at: int) -> None:
        """Note that they are gone."""
        t = ErasureTable
        await t.update({t.erased_at: at}).where((t.tenant == tenant) & (t.session == session)).run()

    @scoped
    async def of(self, tenant: UUID, session: UUID) -> Erasure | None:
        """Return a session's erasure."""
        t = ErasureTable
        return one(Erasure, await t.select().where((t.tenant == tenant) & (t.session == session)).limit(1))

    @scoped
    async def unfinished(self, tenant: UUID) -> builtins.list[Erasure]:
        """Return what was begun and not finished."""
        t = ErasureTable
        return many(Erasure, await t.select().where((t.tenant == tenant) & t.erased_at.is_null()))

    @scoped
    async def keep(self, tenant: UUID) -> builtins.list[Keep]:
        """Return the rules."""
        t = RetentionTable
        return many(Keep, await t.select(t.client, t.days).where(t.tenant == tenant))

    @scoped
    async def set_keep(self, tenant: UUID, client: UUID | None, days: int | None) -> None:
        """Set a rule; None takes it away."""
        t = RetentionTable
        whose = t.client.is_null() if client is None else t.client == client
        async with self._engine.transaction():
            await t.delete().where((t.tenant == tenant) & whose).run()
            if days is not None:
                await t.insert(t(id=uuid4(), tenant=tenant, client=client, days=days)).run()

    @scoped
    async def due(self, tenant: UUID, client: UUID, ended_before: int, limit: int) -> Sequence[UUID]:
        """Return sealed sessions of a client that ended before a moment and whose contents are still there."""
        s, t = SessionTable, ErasureTable
        rows = await s.raw(
            f"SELECT s.id AS id FROM {s._meta.tablename} s LEFT JOIN {t._meta.tablename} e ON e.session = s.id "  # noqa: S608 - our own names
            "WHERE s.tenant = {} AND s.client = {} AND s.sealed AND s.ended_at < {} AND e.session IS NULL "
            "ORDER BY s.ended_at LIMIT {}",
            tenant,
            client,
            ended_before,
            limit,
        )
        return [UUID(str(row["id"])) for row in rows]

    @scoped
    async def forget_words(self, tenant: UUID, session: UUID) -> None:
        """Take the words of a session out of its row, and out of the database's files."""
        s = SessionTable
        row = await s.select(s.device_name, s.client_name, s.technician_name, s.who).where(
            (s.tenant == tenant) & (s.id == session)
        )
        if row:
            names = " ".join(str(value) for value in row[0].values()).lower()
            await s.update({s.reason: "", s.search: f"{names} "}).where((s.tenant == tenant) & (s.id == session)).run()
            await self._engine.wipe()
