"""Assignments: giving devices to technicians, and the caller's queue."""

from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED
from msgspec import Struct

from caisey_core.domain.events import Priority
from caisey_core.http.api.asked import Because, Handover, House_, Member_
from caisey_core.http.problems import given, unless
from caisey_core.services import assignments
from caisey_core.services.views import (
    AssignmentView,
    QueuePage,
)


class Order(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Assign devices to technicians, in turn."""

    devices: tuple[UUID, ...]
    technicians: tuple[UUID, ...]
    reason: str
    priority: Priority = "normal"
    due_at: int | None = None  # UTC microseconds


@post("/assignments", status_code=HTTP_201_CREATED)
async def assign_devices(data: JSONBody[Order], member: Member_, house: House_) -> tuple[AssignmentView, ...]:
    """Assign devices."""
    return given(
        await assignments.assign(house, member, data.devices, data.technicians, data.priority, data.reason, data.due_at)
    )


@post("/assignments/{assignment:uuid}/reassign", status_code=HTTP_200_OK)
async def reassign_device(
    assignment: FromPath[UUID], data: JSONBody[Handover], member: Member_, house: House_
) -> AssignmentView:
    """Give an assignment to another technician."""
    return given(await assignments.reassign(house, member, assignment, data.technician, data.reason))


@get("/queue", sync_to_thread=False)
def show_queue(member: Member_, house: House_) -> QueuePage:
    """Show the caller's queue."""
    return given(assignments.queue(house, member))


@post("/assignments/{assignment:uuid}/close", status_code=HTTP_200_OK)
async def close_assignment(assignment: FromPath[UUID], data: JSONBody[Because], member: Member_, house: House_) -> None:
    """Take an assignment off the queue."""
    unless(await assignments.close(house, member, assignment, data.reason))


handlers = [close_assignment, assign_devices, reassign_device, show_queue]
