"""Clients: the companies that a tenant looks after."""

import builtins
from uuid import UUID

from msgspec import Struct

from caisey_core.catalogue.outcomes import Taken, scoped, unless_taken
from caisey_core.catalogue.rows import insert, many, one
from caisey_core.catalogue.tables import ClientTable


class Client(Struct, frozen=True):
    id: UUID
    name: str
    created_at: int


class Clients:
    """Queries over clients. Names are unique in a tenant, whatever the case."""

    @scoped
    async def create(self, tenant: UUID, client: Client) -> Taken | None:
        """Add a client; Taken if the name is."""
        return await unless_taken(insert(ClientTable, tenant, client, lower_name=client.name.lower()))

    @scoped
    async def rename(self, tenant: UUID, client: UUID, name: str) -> Taken | None:
        """Change a name; Taken if the name is."""
        t = ClientTable
        return await unless_taken(
            t.update({t.name: name, t.lower_name: name.lower()}).where((t.tenant == tenant) & (t.id == client)).run()
        )

    @scoped
    async def list(self, tenant: UUID) -> builtins.list[Client]:
        """Return all clients by name."""
        t = ClientTable
        return many(Client, await t.select(t.id, t.name, t.created_at).where(t.tenant == tenant).order_by(t.lower_name))

    @scoped
    async def by_id(self, tenant: UUID, client: UUID) -> Client | None:
        """Return a client."""
        t = ClientTable
        return one(Client, await t.select().where((t.tenant == tenant) & (t.id == client)).limit(1))
