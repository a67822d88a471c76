"""An assignment: a device given to a technician. At most one is open for a device."""

from typing import Final
from uuid import UUID

from msgspec import Struct

from caisey_core.domain.events import Priority

_RANK: Final[dict[Priority, int]] = {"urgent": 0, "high": 1, "normal": 2}
NEVER: Final = 1 << 62  # later than any due time


class Assignment(Struct, frozen=True, kw_only=True):
    """An open assignment. Times are UTC microseconds."""

    id: UUID
    device: UUID
    technician: UUID
    technician_name: str
    priority: Priority
    reason: str
    due_at: int | None
    assigned_at: int
    assigned_by: str


def queue_order(assignment: Assignment) -> tuple[int, int, int]:
    """Return the place in a queue: urgent first, then by due time, then by age."""
    due = assignment.due_at if assignment.due_at is not None else NEVER
    return (_RANK[assignment.priority], due, assignment.assigned_at)
