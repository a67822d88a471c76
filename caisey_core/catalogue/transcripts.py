"""Transcripts: frozen copies of sessions, with what their reviewers decided."""

from uuid import UUID

from msgspec import Struct

from caisey_core.catalogue.outcomes import scoped
from caisey_core.catalogue.rows import insert, many, one
from caisey_core.catalogue.tables import TranscriptTable


class TranscriptRow(Struct, frozen=True, kw_only=True):
    """`version` counts saves: who saves says which one they saw."""

    id: UUID
    session: UUID
    events: int
    version: int
    decisions: bytes
    created_at: int
    created_by_name: str
    changed_at: int
    changed_by_name: str
    lines: int
    withheld: int
    hidden: int
    published_at: int | None


class Transcripts:
    """Queries over transcripts."""

    @scoped
    async def create(self, tenant: UUID, row: TranscriptRow) -> None:
        """Add a transcript."""
        await insert(TranscriptTable, tenant, row)

    @scoped
    async def by_id(self, tenant: UUID, transcript: UUID) -> TranscriptRow | None:
        """Return one transcript."""
        t = TranscriptTable
        return one(TranscriptRow, await t.select().where((t.tenant == tenant) & (t.id == transcript)).limit(1))

    @scoped
    async def of_session(self, tenant: UUID, session: UUID) -> list[TranscriptRow]:
        """Return a session's transcripts, newest first."""
        t = TranscriptTable
        wanted = (t.tenant == tenant) & (t.session == session)
        return many(TranscriptRow, await t.select().where(wanted).order_by(t.created_at, ascending=False))

    @scoped
    async def save(self, tenant: UUID, row: TranscriptRow, seen: int) -> bool:
        """Save decisions over the version that was seen, in one statement; False if somebody else was first, or it is published."""
        t = TranscriptTable
        rows = await (
            t.update(
                {
                    t.version: row.version,
                    t.decisions: row.decisions,
                    t.changed_at: row.changed_at,
                    t.changed_by_name: row.changed_by_name,
                    t.withheld: row.withheld,
                    t.hidden: row.hidden,
                }
            )
            .where((t.tenant == tenant) & (t.id == row.id) & (t.version == seen) & t.published_at.is_null())
            .returning(t.id)
        )
        return bool(rows)

    @scoped
    async def publish(self, tenant: UUID, transcript: UUID, seen: int, now: int) -> bool:
        """Freeze the decisions of the version that was seen; False if they changed, or are published already."""
        t = TranscriptTable
        rows = await (
            t.update({t.published_at: now})
            .where((t.tenant == tenant) & (t.id == transcript) & (t.version == seen) & t.published_at.is_null())
            .returning(t.id)
        )
        return bool(rows)

    @scoped
    async def unpublish(self, tenant: UUID, transcript: UUID) -> None:
        """Take a publication back that did not come about."""
        t = TranscriptTable
        await t.update({t.published_at: None}).where((t.tenant == tenant) & (t.id == transcript)).run()

    @scoped
    async def delete_of_session(self, tenant: UUID, session: UUID) -> None:
        """Remove a session's transcripts, with their reviewers' texts."""
        t = TranscriptTable
        await t.delete().where((t.tenant == tenant) & (t.session == session)).run()
