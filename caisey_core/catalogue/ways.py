"""Further ways in which members sign in, beside the one that their account was made with."""

from uuid import UUID, uuid4

from caisey_core.catalogue.outcomes import Taken, scoped, unless_taken
from caisey_core.catalogue.tables import MemberWayTable


class Ways:
    """Queries over members' further ways."""

    @scoped
    async def member(self, tenant: UUID, plugin: str, subject: str) -> UUID | None:
        """Return the member whom an identity plugin knows by this subject as well."""
        t = MemberWayTable
        wanted = (t.tenant == tenant) & (t.plugin == plugin) & (t.subject == subject)
        rows = await t.select(t.member).where(wanted).limit(1)
        return rows[0]["member"] if rows else None

    @scoped
    async def add(self, tenant: UUID, member: UUID, plugin: str, subject: str, now: int) -> Taken | None:
        """Let a member sign in this way too; Taken if the subject is somebody's already."""
        t = MemberWayTable
        row = t(id=uuid4(), tenant=tenant, member=member, plugin=plugin, subject=subject, created_at=now)
        return await unless_taken(t.insert(row).run())

    @scoped
    async def of(self, tenant: UUID, member: UUID) -> list[str]:
        """Return the plugins by which a member signs in beside the first."""
        t = MemberWayTable
        return [str(row["plugin"]) for row in await t.select(t.plugin).where((t.tenant == tenant) & (t.member == member))]
