"""Putting a device or a session into other hands: used by the dispatcher's and the technician's acts alike."""

from uuid import UUID

from msgspec.structs import replace

from caisey_agent.protocol import frames as f
from caisey_core.domain import events as e
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import Member
from caisey_core.live.news import News
from caisey_core.live.roster import RosterDevice
from caisey_core.services import notices
from caisey_core.services.house import House
from caisey_core.services.journal import STAMPED, OpenSession, durable, words


async def session(house: House, member: Member, opened: OpenSession, to: Member, reason: str) -> Refused | None:
    """Give a running session to another technician; shell and history stay."""
    reason = " ".join(reason.split())[:500]
    said = words(reason)
    assert opened.state.technician is not None
    ticket = house.journal.propose(
        opened,
        e.Reassigned(
            actor=member.actor,
            at=STAMPED,
            from_technician=opened.state.technician,
            from_name=opened.state.technician_name,
            to_technician=to.id,
            to_name=to.name,
            reason=said.contents[0],
        ),
        said.disclosure,
    )
    if (refused := await durable(ticket)) is not None:
        return refused
    house.live.links.of(opened.device).send(f.NewTechnician(session=opened.id, technician=to.name))
    name = opened.started.device_name
    if to.id == member.id:  # who takes a session over knows it
        return None
    notices.later(
        house,
        to,
        key=f"session-{opened.id}-{to.id}-{house.clock.now()}",
        title=f"The session on {name} is yours",
        text=f"{member.name} handed it to you. {reason}".strip(),
        link=f"/t/{member.tenant_slug}/sessions/{opened.id}",
        urgency="high",
    )
    return None


async def assignment(house: House, member: Member, device: RosterDevice, to: Member, reason: str) -> Refused | None:
    """Give a device's open assignment to another technician and tell them."""
    given = device.assignment
    assert given is not None
    reason = " ".join(reason.split())[:500]
    said = words(reason)
    refused = await house.journal.audit(
        member.tenant,
        e.AssignmentMoved(
            actor=member.actor,
            at=STAMPED,
            assignment=given.id,
            device=device.id,
            from_technician=given.technician,
            to_technician=to.id,
            reason=said.contents[0],
        ),
        disclosures=(said.disclosure,),
    )
    if refused is not None:
        return refused
    await house.catalogue.assignments.move(member.tenant, given.id, to.id, to.name)
    house.live.roster.assign(device, replace(given, technician=to.id, technician_name=to.name))
    tell(house, device)
    notices.later(
        house,
        to,
        key=f"assignment-{given.id}-{to.id}-{house.clock.now()}",
        title=f"{device.name} is yours now",
        text=f"{member.name}: {reason or given.reason}",
        link=f"/t/{member.tenant_slug}/devices/{device.id}",
        urgency=given.priority,
    )
    return None


async def finish(house: House, member: Member, device: RosterDevice, reason: str) -> Refused | None:
    """Close a device's open assignment."""
    given = device.assignment
    assert given is not None
    refused = await house.journal.audit(
        member.tenant, e.AssignmentClosed(actor=member.actor, at=STAMPED, assignment=given.id, device=device.id, reason=reason)
    )
    if refused is not None:
        return refused
    await house.catalogue.assignments.close(member.tenant, given.id, house.clock.now(), reason)
    house.live.roster.assign(device, None)
    tell(house, device, given.id)
    return None


def tell(house: House, device: RosterDevice, closed: UUID | None = None) -> None:
    """Tell open pages that a device's assignment changed."""
    house.live.news.tell(device.tenant, News("device", device.id))
    identity = device.assignment.id if device.assignment is not None else closed
    if identity is not None:
        house.live.news.tell(device.tenant, News("assignment", identity))
