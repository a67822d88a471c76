"""Assignments: which technician has which device. At most one is open for a device."""

from uuid import UUID

from msgspec import Struct

from caisey_core.catalogue.outcomes import Taken, scoped, unless_taken
from caisey_core.catalogue.rows import insert, many
from caisey_core.catalogue.tables import AssignmentTable
from caisey_core.domain.events import Priority


class AssignmentRow(Struct, frozen=True, kw_only=True):
    id: UUID
    device: UUID
    technician: UUID
    technician_name: str
    priority: Priority
    reason: str
    due_at: int | None
    assigned_by_name: str
    assigned_at: int
    closed_at: int | None
    closed_reason: str


class Assignments:
    """Queries over assignments."""

    @scoped
    async def create(self, tenant: UUID, assignment: AssignmentRow) -> Taken | None:
        """Add one; Taken if the device has an open one."""
        return await unless_taken(insert(AssignmentTable, tenant, assignment))

    @scoped
    async def move(self, tenant: UUID, assignment: UUID, technician: UUID, name: str) -> None:
        """Give it to another technician."""
        t = AssignmentTable
        await (
            t.update({t.technician: technician, t.technician_name: name})
            .where((t.tenant == tenant) & (t.id == assignment))
            .run()
        )

    @scoped
    async def close(self, tenant: UUID, assignment: UUID, now: int, reason: str) -> None:
        """Close it."""
        t = AssignmentTable
        await t.update({t.closed_at: now, t.closed_reason: reason}).where((t.tenant == tenant) & (t.id == assignment)).run()

    @scoped
    async def open(self, tenant: UUID) -> list[AssignmentRow]:
        """Return all open ones."""
        t = AssignmentTable
        return many(AssignmentRow, await t.select().where((t.tenant == tenant) & t.closed_at.is_null()))

    @scoped
    async def by_device(self, tenant: UUID, device: UUID) -> list[AssignmentRow]:
        """Return a device's newest assignments, open and closed."""
        t = AssignmentTable
        rows = (
            await t.select()
            .where((t.tenant == tenant) & (t.device == device))
            .order_by(t.assigned_at, ascending=False)
            .limit(50)
        )
        return many(AssignmentRow, rows)
