"""Members of a tenant, and which clients they serve."""

import builtins
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from msgspec import Struct
from msgspec.structs import replace

from caisey_core.catalogue.engine import CatalogueEngine
from caisey_core.catalogue.outcomes import Taken, scoped, unless_taken
from caisey_core.catalogue.rows import many, one
from caisey_core.catalogue.tables import MemberClientTable, MemberTable, TenantTable
from caisey_core.domain.roles import Role


class MemberRow(Struct, frozen=True, kw_only=True):
    """A member; `clients` None means all, none of them is an empty set. The plugin knows the person as `subject`.

    `managed_by` names the plugin that decides role or clients at each sign-in; empty: the tenant's admins decide.
    """

    id: UUID
    name: str
    email: str
    role: str
    plugin: str
    subject: str
    active: bool
    created_at: int
    managed_by: str = ""
    clients: frozenset[UUID] | None = None


class LastAdmin(Struct, frozen=True):
    """After this change nobody could administer the tenant."""


class Members:
    """Queries over members."""

    def __init__(self, engine: CatalogueEngine) -> None:
        self._engine = engine

    @scoped
    async def create(self, tenant: UUID, member: MemberRow) -> Taken | None:
        """Add a member; Taken if the address or the plugin's subject is."""
        async with self._engine.transaction() as transaction:
            taken = await unless_taken(self._insert(tenant, member))
            if taken is not None:
                await transaction.rollback()
        return taken

    async def _insert(self, tenant: UUID, member: MemberRow) -> None:
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
            narrowed=member.clients is not None,
            managed_by=member.managed_by,
        )
        await MemberTable.insert(row).run()
        await self._narrow(tenant, member.id, member.clients)

    @staticmethod
    async def _narrow(tenant: UUID, member: UUID, clients: frozenset[UUID] | None) -> None:
        t = MemberClientTable
        await t.delete().where((t.tenant == tenant) & (t.member == member)).run()
        for client in clients or ():
            await t.insert(t(id=uuid4(), tenant=tenant, member=member, client=client)).run()

    @scoped
    async def change(self, tenant: UUID, member: MemberRow) -> LastAdmin | None:
        """Write a member's role, clients, manager and whether they are active, unless that leaves no admin of the whole tenant.

        The tenant's count of changes goes up in the same transaction; its row keeps changes from passing each other.
        """
        t, n = MemberTable, TenantTable
        async with self._engine.transaction() as transaction:
            await n.update({n.changes: n.changes + 1}).where(n.id == tenant).run()
            changed: dict[Any, Any] = {
                t.role: member.role,
                t.active: member.active,
                t.narrowed: member.clients is not None,
                t.managed_by: member.managed_by,
            }
            await t.update(changed).where((t.tenant == tenant) & (t.id == member.id)).run()
            await self._narrow(tenant, member.id, member.clients)
            admins = (t.tenant == tenant) & (t.role == Role.ADMIN.value) & (t.active == True) & (t.narrowed == False)  # noqa: E712
            if not await t.select(t.id).where(admins).limit(1):
                await transaction.rollback()
                return LastAdmin()
        return None

    @scoped
    async def by_id(self, tenant: UUID, member: UUID) -> MemberRow | None:
        """Return a member."""
        t = MemberTable
        return await self._with_clients(tenant, await t.select().where((t.tenant == tenant) & (t.id == member)))

    @scoped
    async def by_subject(self, tenant: UUID, plugin: str, subject: str) -> MemberRow | None:
        """Return the member whom an identity plugin knows by this subject."""
        t = MemberTable
        rows = await t.select().where((t.tenant == tenant) & (t.plugin == plugin) & (t.subject == subject))
        return await self._with_clients(tenant, rows)

    @scoped
    async def by_email(self, tenant: UUID, email: str) -> MemberRow | None:
        """Return the member who has this e-mail address (lower case)."""
        t = MemberTable
        return await self._with_clients(tenant, await t.select().where((t.tenant == tenant) & (t.email == email)))

    async def _with_clients(self, tenant: UUID, rows: Sequence[Any]) -> MemberRow | None:
        member = one(MemberRow, rows)
        if member is None or not rows[0]["narrowed"]:
            return member
        t = MemberClientTable
        found = await t.select(t.client).where((t.tenant == tenant) & (t.member == member.id))
        return replace(member, clients=frozenset(row["client"] for row in found))

    @scoped
    async def list(self, tenant: UUID) -> builtins.list[MemberRow]:
        """Return all members by name."""
        t, served = MemberTable, dict[UUID, set[UUID]]()
        for row in await MemberClientTable.select().where(MemberClientTable.tenant == tenant):
            served.setdefault(row["member"], set()).add(row["client"])
        rows = await t.select().where(t.tenant == tenant).order_by(t.name)
        return [
            replace(member, clients=frozenset(served.get(member.id, ()))) if row["narrowed"] else member
            for member, row in zip(many(MemberRow, rows), rows, strict=True)
        ]
