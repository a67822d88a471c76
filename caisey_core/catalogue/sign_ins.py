"""What keeps somebody signed in or lets them in: browser sessions, sign-in links. Only hashes are kept."""

from uuid import UUID

from msgspec import Struct

from caisey_core.catalogue.engine import system_scope
from caisey_core.catalogue.outcomes import scoped
from caisey_core.catalogue.rows import insert, one
from caisey_core.catalogue.tables import BrowserSessionTable, SignInLinkTable


class BrowserSession(Struct, frozen=True, kw_only=True):
    id: UUID
    member: UUID
    token_hash: bytes
    way: str
    created_at: int
    last_used_at: int
    idle_until: int
    expires_at: int


class SignInLink(Struct, frozen=True, kw_only=True):
    id: UUID
    member: UUID
    token_hash: bytes
    expires_at: int
    reusable: bool
    used_at: int | None


class SignIns:
    """Queries. Finding by a token's hash runs in the system's scope and says whose it is."""

    @scoped
    async def create_session(self, tenant: UUID, session: BrowserSession) -> None:
        """Keep a browser signed in; what has expired is swept away."""
        t = BrowserSessionTable
        await t.delete().where((t.tenant == tenant) & (t.expires_at < session.created_at)).run()
        await insert(t, tenant, session)

    async def session_by_hash(self, token_hash: bytes) -> tuple[UUID, BrowserSession] | None:
        """Return tenant and session of a cookie's token."""
        t = BrowserSessionTable
        with system_scope():
            rows = await t.select().where(t.token_hash == token_hash).limit(1)
        found = one(BrowserSession, rows)
        return (rows[0]["tenant"], found) if found is not None else None

    @scoped
    async def touch_session(self, tenant: UUID, token_hash: bytes, now: int, idle_until: int) -> None:
        """Note that a session was used."""
        t = BrowserSessionTable
        await (
            t.update({t.last_used_at: now, t.idle_until: idle_until})
            .where((t.tenant == tenant) & (t.token_hash == token_hash))
            .run()
        )

    @scoped
    async def delete_session(self, tenant: UUID, token_hash: bytes) -> None:
        """End a session."""
        t = BrowserSessionTable
        await t.delete().where((t.tenant == tenant) & (t.token_hash == token_hash)).run()

    @scoped
    async def delete_other_sessions(self, tenant: UUID, member: UUID, kept: bytes) -> None:
        """End all sessions of a member but this one."""
        t = BrowserSessionTable
        await t.delete().where((t.tenant == tenant) & (t.member == member) & (t.token_hash != kept)).run()

    @scoped
    async def create_link(self, tenant: UUID, link: SignInLink) -> None:
        """Keep a sign-in link."""
        await insert(SignInLinkTable, tenant, link)

    async def use_link(self, token_hash: bytes, now: int) -> tuple[UUID, SignInLink] | None:
        """Use a link up, in one statement, and return whose it is; None if it cannot be used (any more)."""
        t = SignInLinkTable
        with system_scope():
            rows = await (
                t.update({t.used_at: now})
                .where((t.token_hash == token_hash) & (t.expires_at > now) & (t.used_at.is_null() | (t.reusable == True)))  # noqa: E712
                .returning(*t.all_columns())
            )
        found = one(SignInLink, rows)
        return (rows[0]["tenant"], found) if found is not None else None

    @scoped
    async def delete_links(self, tenant: UUID) -> None:
        """Remove all reusable links of a tenant."""
        t = SignInLinkTable
        await t.delete().where((t.tenant == tenant) & (t.reusable == True)).run()  # noqa: E712
