"""Assignments: giving devices to technicians, and a technician's queue."""

from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from caisey_core.domain.events import Priority
from caisey_core.domain.roles import Member
from caisey_core.http.forms import form
from caisey_core.http.pages.answers import Done, Step, answer, given, unless
from caisey_core.http.rendering import AnyRequest, page
from caisey_core.services import assignments, devices
from caisey_core.services.house import House

MINUTE_US = 60_000_000


class Order(Struct, frozen=True, kw_only=True):
    """Devices for technicians, in turn if there are several."""

    devices: tuple[UUID, ...] = ()
    technicians: tuple[UUID, ...] = ()
    reason: str = ""
    priority: Priority = "normal"
    due_minutes: int | None = None


class Handover(Struct, frozen=True, kw_only=True):
    technician: UUID
    reason: str = ""


class Because(Struct, frozen=True, kw_only=True):
    reason: str = ""


@get("/queue")
async def queue(request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]) -> Response[bytes]:
    """Show what this member has to do."""
    view = given(assignments.queue(house, member))
    return await page(house, request, member, "queue/queue.html", nav="queue", live="queue", view=view)


@post("/assignments", status_code=200)
async def assign(request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]) -> Response[Any]:
    """Assign devices."""
    order = await form(request, Order)
    due_at = house.clock.now() + order.due_minutes * MINUTE_US if order.due_minutes is not None else None
    rows = [devices.row(house, member, device) for device in order.devices]
    free = {row.id for row in rows if row is not None and row.assignment is None}
    views = given(
        await assignments.assign(house, member, order.devices, order.technicians, order.priority, order.reason, due_at)
    )
    base = f"/t/{member.tenant_slug}"
    undo = tuple(Step(action=f"{base}/assignments/{view.id}/close", fields={"reason": "taken back at once"}) for view in views)
    what = views[0].device_name if len(views) == 1 else f"{len(views)} devices"
    who = ", ".join(dict.fromkeys(view.technician_name for view in views))
    said = f"{what} assigned to {who}."
    # Closing would not bring back who had a device before, so it is offered only where nobody had
    return answer(request, Done(said=said, undo=undo if all(view.device in free for view in views) else ()), f"{base}/")


@post("/assignments/{assignment:uuid}/reassign", status_code=200)
async def reassign(
    request: AnyRequest, assignment: FromPath[UUID], house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[Any]:
    """Give an assignment to another technician."""
    wanted = await form(request, Handover)
    before = assignments.view(house, member, assignment)
    view = given(await assignments.reassign(house, member, assignment, wanted.technician, wanted.reason))
    undo: tuple[Step, ...] = ()
    if before is not None:
        undo = (Step(action=request.url.path, fields={"technician": str(before.technician), "reason": "taken back at once"}),)
    done = Done(said=f"{view.technician_name} has {view.device_name} now.", undo=undo)
    return answer(request, done, f"/t/{member.tenant_slug}/devices/{view.device}")


@post("/assignments/{assignment:uuid}/close", status_code=200)
async def close(
    request: AnyRequest, assignment: FromPath[UUID], house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[Any]:
    """Take an assignment off the queue."""
    wanted = await form(request, Because)
    unless(await assignments.close(house, member, assignment, wanted.reason))
    return answer(request, Done(said="The assignment is closed."), f"/t/{member.tenant_slug}/")


handlers = [queue, assign, reassign, close]
