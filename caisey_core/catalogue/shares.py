"""Shares: links to published transcripts. Only hashes of tokens and passcodes are kept."""

from uuid import UUID

from msgspec import Struct

from caisey_core.catalogue.engine import system_scope
from caisey_core.catalogue.outcomes import scoped
from caisey_core.catalogue.rows import insert, many, one
from caisey_core.catalogue.tables import ShareTable

LATEST = 2**62  # later than any time


class ShareRow(Struct, frozen=True, kw_only=True):
    """`passcode` is an argon2id hash; empty: none is asked for."""

    id: UUID
    transcript: UUID
    session: UUID
    token_hash: bytes
    passcode: str
    created_at: int
    created_by_name: str
    refreshed_at: int | None
    expires_at: int | None
    revoked_at: int | None
    revoked_by_name: str
    openings: int
    last_opened_at: int | None


class Shares:
    """Queries over shares. Finding by a token's hash runs in the system's scope and says whose it is."""

    @scoped
    async def create(self, tenant: UUID, row: ShareRow) -> None:
        """Add a share."""
        await insert(ShareTable, tenant, row)

    async def by_hash(self, token_hash: bytes) -> tuple[UUID, ShareRow] | None:
        """Return tenant and share of a link's token."""
        t = ShareTable
        with system_scope():
            rows = await t.select().where(t.token_hash == token_hash).limit(1)
        found = one(ShareRow, rows)
        return (rows[0]["tenant"], found) if found is not None else None

    @scoped
    async def by_id(self, tenant: UUID, share: UUID) -> ShareRow | None:
        """Return one share."""
        t = ShareTable
        return one(ShareRow, await t.select().where((t.tenant == tenant) & (t.id == share)).limit(1))

    @scoped
    async def of_transcript(self, tenant: UUID, transcript: UUID) -> ShareRow | None:
        """Return a transcript's share."""
        t = ShareTable
        return one(ShareRow, await t.select().where((t.tenant == tenant) & (t.transcript == transcript)).limit(1))

    @scoped
    async def of_session(self, tenant: UUID, session: UUID) -> list[ShareRow]:
        """Return a session's shares."""
        t = ShareTable
        return many(ShareRow, await t.select().where((t.tenant == tenant) & (t.session == session)))

    @scoped
    async def newest(self, tenant: UUID, before: int | None, limit: int) -> list[ShareRow]:
        """Return shares, newest first, from before a time on."""
        t = ShareTable
        wanted = (t.tenant == tenant) & (t.created_at < (before if before is not None else LATEST))
        return many(ShareRow, await t.select().where(wanted).order_by(t.created_at, ascending=False).limit(limit))

    @scoped
    async def opened(self, tenant: UUID, share: UUID, now: int) -> None:
        """Count an opening."""
        t = ShareTable
        await t.update({t.openings: t.openings + 1, t.last_opened_at: now}).where((t.tenant == tenant) & (t.id == share)).run()

    @scoped
    async def refresh(
        self, tenant: UUID, share: UUID, token_hash: bytes, passcode: str, expires_at: int | None, now: int
    ) -> None:
        """Put another token in the place of the one before; a revoked share opens again under it."""
        t = ShareTable
        await (
            t.update(
                {
                    t.token_hash: token_hash,
                    t.passcode: passcode,
                    t.expires_at: expires_at,
                    t.refreshed_at: now,
                    t.revoked_at: None,
                    t.revoked_by_name: "",
                }
            )
            .where((t.tenant == tenant) & (t.id == share))
            .run()
        )

    @scoped
    async def revoke(self, tenant: UUID, share: UUID, by: str, now: int) -> bool:
        """Stop a share; False if it had stopped before."""
        t = ShareTable
        rows = await (
            t.update({t.revoked_at: now, t.revoked_by_name: by})
            .where((t.tenant == tenant) & (t.id == share) & t.revoked_at.is_null())
            .returning(t.id)
        )
        return bool(rows)

    @scoped
    async def delete(self, tenant: UUID, share: UUID) -> None:
        """Remove a share that did not come about."""
        t = ShareTable
        await t.delete().where((t.tenant == tenant) & (t.id == share)).run()
