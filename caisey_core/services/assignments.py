"""Giving devices to technicians, and a technician's queue."""

from uuid import UUID, uuid4

from caisey_core.catalogue.assignments import AssignmentRow
from caisey_core.catalogue.outcomes import Taken
from caisey_core.domain import events as e
from caisey_core.domain.assignment import Assignment, queue_order
from caisey_core.domain.events import Priority
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import May, Member, refuse_unless
from caisey_core.live.roster import RosterDevice
from caisey_core.services import handover, members, notices
from caisey_core.services.cards import assignment_view, card_of, session_of
from caisey_core.services.house import House
from caisey_core.services.journal import STAMPED, words
from caisey_core.services.outcomes import NOT_FOUND, bad_input, device_of
from caisey_core.services.views import AssignmentView, QueuePage

MOST_AT_ONCE = 500
LATEST_DUE_US = 10 * 366 * 86_400 * 1_000_000  # from now, either way: pages show calendars, not geology


async def assign(
    house: House,
    member: Member,
    devices: tuple[UUID, ...],
    technicians: tuple[UUID, ...],
    priority: Priority,
    reason: str,
    due_at: int | None,
) -> tuple[AssignmentView, ...] | Refused:
    """Give devices to technicians, in turn if there are several. All or nothing is checked before anything is done.

    A device that is assigned already is handed over; a session on it follows.
    """
    if (refused := refuse_unless(member, May.ASSIGN)) is not None:
        return refused
    reason = " ".join(reason.split())
    if not devices:
        return bad_input("devices", "No device is chosen.", "Choose at least one.")
    if len(devices) > MOST_AT_ONCE:
        return bad_input("devices", f"More than {MOST_AT_ONCE} devices at once.", "Assign them in parts.")
    if not technicians:
        return bad_input("technicians", "No technician is chosen.", "Choose at least one.")
    if not 1 <= len(reason) <= 500:
        return bad_input("reason", "The reason is missing or longer than 500 characters.", "Say what is to be done.")
    if due_at is not None and abs(due_at - house.clock.now()) > LATEST_DUE_US:
        return bad_input("due_at", "The due time is more than ten years away.", "Choose a nearer one.")
    found: list[RosterDevice] = []
    for device in dict.fromkeys(devices):
        one = device_of(house, member, device)
        if isinstance(one, Refused):
            return one
        found.append(one)
    pairs: list[tuple[RosterDevice, Member]] = []
    for index, one in enumerate(found):
        to = await members.technician(house, member, technicians[index % len(technicians)], one.client)
        if isinstance(to, Refused):
            return to
        pairs.append((one, to))
    for one, to in pairs:
        refused = await _give(house, member, one, to, priority, reason, due_at)
        if refused is not None:
            return refused
    return tuple(assignment_view(house, one) for one, _ in pairs if one.assignment is not None)


async def _give(
    house: House, member: Member, device: RosterDevice, to: Member, priority: Priority, reason: str, due_at: int | None
) -> Refused | None:
    if device.assignment is not None:
        refused = await handover.finish(house, member, device, f"assigned anew by {member.name}")
        if refused is not None:
            return refused
    said = words(reason)
    now = house.clock.now()
    given = Assignment(
        id=uuid4(),
        device=device.id,
        technician=to.id,
        technician_name=to.name,
        priority=priority,
        reason=reason,
        due_at=due_at,
        assigned_at=now,
        assigned_by=member.name,
    )
    event = e.DeviceAssigned(
        actor=member.actor,
        at=STAMPED,
        assignment=given.id,
        device=device.id,
        technician=to.id,
        priority=priority,
        reason=said.contents[0],
        due_at=due_at,
    )
    if (refused := await house.journal.audit(member.tenant, event, disclosures=(said.disclosure,))) is not None:
        return refused
    row = AssignmentRow(
        id=given.id,
        device=device.id,
        technician=to.id,
        technician_name=to.name,
        priority=priority,
        reason=reason,
        due_at=due_at,
        assigned_by_name=member.name,
        assigned_at=now,
        closed_at=None,
        closed_reason="",
    )
    if isinstance(await house.catalogue.assignments.create(member.tenant, row), Taken):
        return Refused(f"{device.name} was assigned by somebody else at this moment.", "Look at the device and try again.")
    house.live.roster.assign(device, given)
    handover.tell(house, device)
    session = session_of(house, device)
    if session is not None and session.state.technician != to.id:
        return await handover.session(house, member, session, to, reason)
    notices.later(
        house,
        to,
        key=f"assignment-{given.id}",
        title=f"{device.name} is assigned to you",
        text=f"{member.name}: {reason}",
        link=f"/t/{member.tenant_slug}/devices/{device.id}",
        urgency=priority,
    )
    return None


def _find(house: House, member: Member, assignment: UUID) -> RosterDevice | None:
    for device in house.live.roster.ordered(member.tenant):
        if device.assignment is not None and device.assignment.id == assignment:
            return device if member.serves(device.client) else None
    return None


async def reassign(house: House, member: Member, assignment: UUID, technician: UUID, reason: str) -> AssignmentView | Refused:
    """Give an open assignment to another technician; a running session follows."""
    if (refused := refuse_unless(member, May.ASSIGN)) is not None:
        return refused
    device = _find(house, member, assignment)
    if device is None:
        return NOT_FOUND
    to = await members.technician(house, member, technician, device.client)
    if isinstance(to, Refused):
        return to
    assert device.assignment is not None
    if device.assignment.technician == to.id:
        return bad_input("technician", f"{to.name} has this device already.", "Choose another technician.")
    if (refused := await handover.assignment(house, member, device, to, reason)) is not None:
        return refused
    session = session_of(house, device)
    if session is not None and session.state.technician != to.id:
        refused = await handover.session(house, member, session, to, reason)
        if refused is not None:
            return refused
    return assignment_view(house, device)


async def close(house: House, member: Member, assignment: UUID, reason: str) -> Refused | None:
    """Take an assignment off the queue."""
    device = _find(house, member, assignment)
    if device is None:
        return NOT_FOUND
    assert device.assignment is not None
    if device.assignment.technician != member.id and (refused := refuse_unless(member, May.ASSIGN)) is not None:
        return refused
    return await handover.finish(house, member, device, " ".join(reason.split())[:500] or "closed")


def view(house: House, member: Member, assignment: UUID) -> AssignmentView | None:
    """Return one open assignment; None once it is closed."""
    device = _find(house, member, assignment)
    return assignment_view(house, device) if device is not None else None


def queue(house: House, member: Member) -> QueuePage | Refused:
    """Return what this member has to do: urgent first, then by due time, then by age; and the open sessions."""
    if (refused := refuse_unless(member, May.SEE_DEVICES)) is not None:
        return refused
    mine = [
        (device.assignment, device)
        for device in house.live.roster.ordered(member.tenant)
        if device.assignment is not None and device.assignment.technician == member.id and member.serves(device.client)
    ]
    mine.sort(key=lambda pair: queue_order(pair[0]))
    sessions = [
        card_of(house, session)
        for session in house.journal.open.values()
        if session.tenant == member.tenant
        and session.state.technician == member.id
        and not session.state.ended
        and member.serves(session.started.client)
    ]
    return QueuePage(mine=tuple(assignment_view(house, device) for _, device in mine), sessions=tuple(sessions))
