"""Members of a tenant, and which clients they serve."""

import builtins
from uuid import UUID, uuid4

from msgspec import Struct
from msgspec.structs import replace

from caisey_core.catalogue.outcomes import Taken, scoped, unless_taken
from caisey_core.catalogue.rows import many, one
from caisey_core.catalogue.tables import MemberClientTable, MemberTable


class MemberRow(Struct, frozen=True, kw_only=True):
    """A member; `clients` None means all. The plugin knows the person as `subject`."""

    id: UUID
    name: str
    email: str
    role: str
    plugin: str
    subject: str
    active: bool
    created_at: int
    clients: frozenset[UUID] | None = None


class Members:
    """Queries over members."""

    @scoped
    async def create(self, tenant: UUID, member: MemberRow) -> Taken | None:
        """Add a member; Taken if the address or the plugin's subject is."""
        row = MemberTable(
            tenant=tenant,
            id=member.id,
            name=member.name,
            email=member.email,
            role=member.role,
            plugin=member.plugin,
            subject=member.subject,
            active=member.active,
            created_at=member.created_at,
        )
        taken = await unless_taken(MemberTable.insert(row).run())
        if taken is None and member.clients is not None:
            for client in member.clients:
                pair = MemberClientTable(id=uuid4(), tenant=tenant, member=member.id, client=client)
                await MemberClientTable.insert(pair).run()
        return taken

    @scoped
    async def by_id(self, tenant: UUID, member: UUID) -> MemberRow | None:
        """Return a member."""
        t = MemberTable
        return await self._with_clients(tenant, one(MemberRow, await t.select().where((t.tenant == tenant) & (t.id == member))))

    @scoped
    async def by_subject(self, tenant: UUID, plugin: str, subject: str) -> MemberRow | None:
        """Return the member whom an identity plugin knows by this subject."""
        t = MemberTable
        rows = await t.select().where((t.tenant == tenant) & (t.plugin == plugin) & (t.subject == subject))
        return await self._with_clients(tenant, one(MemberRow, rows))

    async def _with_clients(self, tenant: UUID, member: MemberRow | None) -> MemberRow | None:
        if member is None:
            return None
        t = MemberClientTable
        rows = await t.select(t.client).where((t.tenant == tenant) & (t.member == member.id))
        return replace(member, clients=frozenset(row["client"] for row in rows) or None)

    @scoped
    async def list(self, tenant: UUID) -> builtins.list[MemberRow]:
        """Return all members by name."""
        t, served = MemberTable, dict[UUID, set[UUID]]()
        for row in await MemberClientTable.select().where(MemberClientTable.tenant == tenant):
            served.setdefault(row["member"], set()).add(row["client"])
        members = many(MemberRow, await t.select().where(t.tenant == tenant).order_by(t.name))
        return [replace(one, clients=frozenset(served[one.id])) if one.id in served else one for one in members]
