"""Notices that wait for a member in the web UI."""

import builtins
from uuid import UUID

from msgspec import Struct
from piccolo.columns.combination import And, Where

from caisey_core.catalogue.outcomes import Taken, scoped, unless_taken
from caisey_core.catalogue.rows import insert, many, one
from caisey_core.catalogue.tables import NoticeTable
from caisey_core.domain.events import Priority

NEWEST = 50


class NoticeRow(Struct, frozen=True, kw_only=True):
    """`key` makes a repeated delivery one notice."""

    id: UUID
    member: UUID
    key: str
    title: str
    text: str
    link: str
    urgency: Priority
    created_at: int
    read_at: int | None


class Notices:
    """Queries over notices."""

    @scoped
    async def create(self, tenant: UUID, notice: NoticeRow) -> Taken | None:
        """Add a notice; Taken if it is there already."""
        return await unless_taken(insert(NoticeTable, tenant, notice))

    @scoped
    async def list(self, tenant: UUID, member: UUID, limit: int, before: tuple[int, UUID] | None) -> builtins.list[NoticeRow]:
        """Return a member's notices, newest first, from before a time and id on."""
        t = NoticeTable
        wanted: And | Where = (t.tenant == tenant) & (t.member == member)
        if before is not None:
            at, notice = before
            wanted &= (t.created_at < at) | ((t.created_at == at) & (t.id < notice))
        return many(NoticeRow, await t.select().where(wanted).order_by(t.created_at, t.id, ascending=False).limit(limit))

    @scoped
    async def by_id(self, tenant: UUID, member: UUID, notice: UUID) -> NoticeRow | None:
        """Return one of a member's notices."""
        t = NoticeTable
        wanted = (t.tenant == tenant) & (t.member == member) & (t.id == notice)
        return one(NoticeRow, await t.select().where(wanted).limit(1))

    @scoped
    async def unread(self, tenant: UUID, member: UUID) -> int:
        """Return how many were not read."""
        t = NoticeTable
        return int(await t.count().where((t.tenant == tenant) & (t.member == member) & t.read_at.is_null()))

    @scoped
    async def mark_read(self, tenant: UUID, member: UUID, notice: UUID | None, now: int) -> bool:
        """Mark one notice, or all, as read; False if the member has no such notice."""
        t = NoticeTable
        wanted = (t.tenant == tenant) & (t.member == member)
        if notice is not None:
            wanted &= t.id == notice
            if not await t.exists().where(wanted):
                return False
        await t.update({t.read_at: now}).where(wanted & t.read_at.is_null()).run()
        return True
