"""What keeps somebody signed in or lets them in: browser sessions, sign-in links and sign-ins under way.

Only hashes of tokens are kept.
"""

from uuid import UUID

from msgspec import Struct

from caisey_core.catalogue.engine import system_scope
from caisey_core.catalogue.outcomes import scoped
from caisey_core.catalogue.rows import insert, one
from caisey_core.catalogue.tables import ApiTokenTable, BrowserSessionTable, SignInAttemptTable, SignInLinkTable


class BrowserSession(Struct, frozen=True, kw_only=True):
    """`way` is the plugin or "link"; the provider's name of the sign-in and its hint (sealed) are empty where there is no provider."""

    id: UUID
    member: UUID
    token_hash: bytes
    way: str
    created_at: int
    last_used_at: int
    idle_until: int
    expires_at: int
    proved_at: int  # 0: a provider remembered the person, who proved nothing
    provider_session: str = ""
    sign_out_hint: bytes | None = None


class SignInLink(Struct, frozen=True, kw_only=True):
    id: UUID
    member: UUID
    token_hash: bytes
    expires_at: int
    reusable: bool
    used_at: int | None


class SignInAttempt(Struct, frozen=True, kw_only=True):
    """A browser that was sent to a provider and has not come back; `sealed` can be read with that browser's cookie only."""

    id: UUID
    plugin: str
    handle_hash: bytes
    browser_hash: bytes
    sealed: bytes
    expires_at: int


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
    async def delete_sessions(self, tenant: UUID) -> None:
        """Sign all browsers out."""
        t = BrowserSessionTable
        await t.delete().where(t.tenant == tenant).run()

    @scoped
    async def end_provider_sessions(self, tenant: UUID, way: str, provider_session: str) -> list[UUID]:
        """End the sessions that a provider ended, and return whose they were, one for each."""
        t = BrowserSessionTable
        wanted = (t.tenant == tenant) & (t.way == way) & (t.provider_session == provider_session)
        return [row["member"] for row in await t.delete().where(wanted).returning(t.member)]

    @scoped
    async def end_sessions_of(self, tenant: UUID, member: UUID, way: str | None = None) -> int:
        """End a member's sessions, or those that were begun one way, and return how many there were."""
        t = BrowserSessionTable
        wanted = (t.tenant == tenant) & (t.member == member)
        if way is not None:
            wanted &= t.way == way
        return len(await t.delete().where(wanted).returning(t.id))

    @scoped
    async def create_attempt(self, tenant: UUID, attempt: SignInAttempt, now: int) -> None:
        """Remember a browser that goes to a provider; those that took too long are swept away."""
        t = SignInAttemptTable
        await t.delete().where((t.tenant == tenant) & (t.expires_at <= now)).run()
        await insert(t, tenant, attempt)

    @scoped
    async def take_attempt(self, tenant: UUID, plugin: str, handle_hash: bytes, browser_hash: bytes, now: int) -> bytes | None:
        """Use an attempt up, in one statement, and return what was sealed; None if it is not this browser's, or is over."""
        t = SignInAttemptTable
        wanted = (t.tenant == tenant) & (t.plugin == plugin) & (t.handle_hash == handle_hash)
        wanted &= (t.browser_hash == browser_hash) & (t.expires_at > now)
        rows = await t.delete().where(wanted).returning(t.sealed)
        return bytes(rows[0]["sealed"]) if rows else None

    @scoped
    async def delete_of_member(self, tenant: UUID, member: UUID, now: int) -> None:
        """End a member's browser sessions, API tokens and unused sign-in links."""
        b, a, k = BrowserSessionTable, ApiTokenTable, SignInLinkTable
        await b.delete().where((b.tenant == tenant) & (b.member == member)).run()
        await a.update({a.revoked_at: now}).where((a.tenant == tenant) & (a.member == member) & a.revoked_at.is_null()).run()
        await k.delete().where((k.tenant == tenant) & (k.member == member)).run()

    @scoped
    async def create_link(self, tenant: UUID, link: SignInLink) -> None:
        """Keep a sign-in link."""
        await insert(SignInLinkTable, tenant, link)

    async def tenant_of_link(self, token_hash: bytes) -> UUID | None:
        """Return whose link this is, without using it."""
        t = SignInLinkTable
        with system_scope():
            rows = await t.select(t.tenant).where(t.token_hash == token_hash).limit(1)
        return rows[0]["tenant"] if rows else None

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
