"""Tenants: the MSPs of this installation."""

from typing import Any
from uuid import UUID

from msgspec import Struct

from caisey_core.catalogue.engine import system_scope
from caisey_core.catalogue.outcomes import Taken, unless_taken
from caisey_core.catalogue.rows import many, one
from caisey_core.catalogue.tables import TenantTable


class Tenant(Struct, frozen=True):
    """A tenant. The slug is its part of addresses; `changes` counts what everybody who holds a page open must look at again."""

    id: UUID
    slug: str
    name: str
    created_at: int
    suspended_at: int | None = None  # UTC microseconds
    suspended_reason: str = ""
    changes: int = 0


class Tenants:
    """Queries over tenants; they run in the system's scope."""

    async def create(self, tenant: Tenant) -> Taken | None:
        """Add a tenant; Taken if its slug is."""
        fields = {name: getattr(tenant, name) for name in tenant.__struct_fields__}
        with system_scope():
            return await unless_taken(TenantTable.insert(TenantTable(**fields)).run())

    async def suspend(self, tenant: UUID, at: int | None, reason: str) -> None:
        """Note that a tenant is suspended, or (None) that it is not any more."""
        t = TenantTable
        changed: dict[Any, Any] = {t.suspended_at: at, t.suspended_reason: reason, t.changes: t.changes + 1}
        with system_scope():
            await t.update(changed).where(t.id == tenant).run()

    async def changed(self, tenant: UUID) -> None:
        """Count a change that everybody who holds a page open must look at."""
        t = TenantTable
        with system_scope():
            await t.update({t.changes: t.changes + 1}).where(t.id == tenant).run()

    async def by_slug(self, slug: str) -> Tenant | None:
        """Return the tenant at an address."""
        with system_scope():
            return one(Tenant, await TenantTable.select().where(TenantTable.slug == slug).limit(1))

    async def by_id(self, tenant: UUID) -> Tenant | None:
        """Return a tenant."""
        with system_scope():
            return one(Tenant, await TenantTable.select().where(TenantTable.id == tenant).limit(1))

    async def all(self) -> list[Tenant]:
        """Return all tenants, oldest first."""
        with system_scope():
            return many(Tenant, await TenantTable.select().order_by(TenantTable.created_at))
