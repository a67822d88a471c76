"""Shares: links to published transcripts, and the files that they serve. Only hashes of tokens and passcodes are kept.

The files are in the catalogue, so that every server of one installation serves them, and backups and erasures take them along.
"""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

from msgspec import Struct

from caisey_core.catalogue.engine import system_scope
from caisey_core.catalogue.outcomes import scoped
from caisey_core.catalogue.rows import insert, many, one
from caisey_core.catalogue.tables import ShareFileTable, ShareTable

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
    title: str  # as the reader's page has it
    edited: int  # lines with a reviewer's words in their place
    terminal: bool  # there is a recording of it
    sealed: bool


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
        """Remove a share with its files; the files first, so that a crash leaves nothing to read."""
        t, f = ShareTable, ShareFileTable
        await f.delete().where((f.tenant == tenant) & (f.share == share)).run()
        await t.delete().where((t.tenant == tenant) & (t.id == share)).run()

    @scoped
    async def add_part(self, tenant: UUID, share: UUID, name: str, part: int, data: bytes) -> None:
        """Keep the next part of a file."""
        f = ShareFileTable
        await f.insert(f(id=uuid4(), tenant=tenant, share=share, name=name, part=part, data=data)).run()

    @scoped
    async def part(self, tenant: UUID, share: UUID, name: str, part: int) -> bytes | None:
        """Return a part of a file; None after the last."""
        f = ShareFileTable
        wanted = (f.tenant == tenant) & (f.share == share) & (f.name == name) & (f.part == part)
        rows = await f.select(f.data).where(wanted).limit(1)
        return bytes(rows[0]["data"]) if rows else None

    async def file(self, tenant: UUID, share: UUID, name: str) -> AsyncIterator[bytes]:
        """Yield a file part by part; nothing, if it is not there."""
        part = 0
        while (data := await self.part(tenant, share, name, part)) is not None:
            yield data
            part += 1
