"""API tokens of members and of services. Only hashes are kept."""

import builtins
from uuid import UUID

from msgspec import Struct

from caisey_core.catalogue.engine import system_scope
from caisey_core.catalogue.outcomes import scoped
from caisey_core.catalogue.rows import insert, many, one
from caisey_core.catalogue.tables import ApiTokenTable


class ApiToken(Struct, frozen=True, kw_only=True):
    """`member` of a service is the token's own id; `scopes` and `clients` are divided by spaces."""

    id: UUID
    member: UUID
    token_hash: bytes
    label: str
    created_at: int
    revoked_at: int | None = None
    service: bool = False
    scopes: str
    clients: str = ""  # empty: not narrowed
    created_by_name: str = ""
    expires_at: int | None = None
    last_used_at: int | None = None
    last_used_from: str = ""


class ApiTokens:
    """Queries over tokens. Finding by a token's hash runs in the system's scope and says whose it is."""

    @scoped
    async def create(self, tenant: UUID, token: ApiToken) -> None:
        """Keep a token."""
        await insert(ApiTokenTable, tenant, token)

    async def by_hash(self, token_hash: bytes) -> tuple[UUID, ApiToken] | None:
        """Return tenant and row of a token."""
        t = ApiTokenTable
        with system_scope():
            rows = await t.select().where(t.token_hash == token_hash).limit(1)
        found = one(ApiToken, rows)
        return (rows[0]["tenant"], found) if found is not None else None

    @scoped
    async def list(self, tenant: UUID) -> builtins.list[ApiToken]:
        """Return all tokens, newest first."""
        t = ApiTokenTable
        rows = await t.select().where(t.tenant == tenant).order_by(t.created_at, t.id, ascending=False)
        return many(ApiToken, rows)

    @scoped
    async def used(self, tenant: UUID, token: UUID, at: int, address: str) -> None:
        """Note that a token was used."""
        t = ApiTokenTable
        await t.update({t.last_used_at: at, t.last_used_from: address}).where((t.tenant == tenant) & (t.id == token)).run()

    @scoped
    async def revoke(self, tenant: UUID, token: UUID, at: int) -> bool:
        """Stop a token; False if it had stopped before."""
        t = ApiTokenTable
        wanted = (t.tenant == tenant) & (t.id == token) & t.revoked_at.is_null()
        return bool(await t.update({t.revoked_at: at}).where(wanted).returning(t.id))

    @scoped
    async def delete(self, tenant: UUID, label: str) -> None:
        """Remove all tokens with this label."""
        t = ApiTokenTable
        await t.delete().where((t.tenant == tenant) & (t.label == label)).run()
