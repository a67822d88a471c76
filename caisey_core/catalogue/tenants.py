"""Tenants: the MSPs of this installation."""

from uuid import UUID

from msgspec import Struct

from caisey_core.catalogue.engine import system_scope
from caisey_core.catalogue.rows import many, one
from caisey_core.catalogue.tables import TenantTable


class Tenant(Struct, frozen=True):
    """A tenant. The slug is its part of addresses."""

    id: UUID
    slug: str
    name: str
    created_at: int


class Tenants:
    """Queries over tenants; they run in the system's scope."""

    async def create(self, tenant: Tenant) -> None:
        """Add a tenant."""
        with system_scope():
            row = TenantTable(id=tenant.id, slug=tenant.slug, name=tenant.name, created_at=tenant.created_at)
            await TenantTable.insert(row).run()

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
