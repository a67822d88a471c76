"""Devices: the list with its filters and counts, one device, and what an admin changes about it."""

import hashlib
from bisect import bisect_right
from uuid import UUID

from caisey_agent.protocol import frames as f
from caisey_core.domain import events as e
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import May, Member, refuse_unless
from caisey_core.domain.session import State
from caisey_core.live.news import News
from caisey_core.live.roster import RosterDevice, Tally
from caisey_core.services import clients, cursors, members
from caisey_core.services.cards import assignment_view, card_of_row, device_row, pending_of, session_of
from caisey_core.services.house import House
from caisey_core.services.journal import STAMPED
from caisey_core.services.outcomes import bad_input, device_of
from caisey_core.services.views import (
    AssignmentView,
    Counts,
    DeviceFilter,
    DeviceGroup,
    DevicePage,
    DeviceRow,
    DevicesPage,
)

PAGE = 50


def _wanted(house: House, member: Member, wanted: DeviceFilter) -> list[RosterDevice]:
    if member.clients is None and _everything(wanted):
        return house.live.roster.ordered(member.tenant)
    words = wanted.q.lower().split()
    found = []
    for device in house.live.roster.ordered(member.tenant):
        if not member.serves(device.client) or (wanted.client is not None and device.client != wanted.client):
            continue
        if wanted.status and device.online != (wanted.status == "online"):
            continue
        if wanted.technician is not None and _technician(house, device) != wanted.technician:
            continue
        if wanted.pending and pending_of(house, device) != wanted.pending:
            continue
        if words and not device.matches(words):
            continue
        found.append(device)
    return found


def _everything(wanted: DeviceFilter) -> bool:
    return not (wanted.q.strip() or wanted.client or wanted.status or wanted.pending or wanted.technician)


def _technician(house: House, device: RosterDevice) -> UUID | None:
    if device.assignment is not None:
        return device.assignment.technician
    session = session_of(house, device)
    return session.state.technician if session is not None else None


async def page(house: House, member: Member, wanted: DeviceFilter, limit: int = PAGE) -> DevicesPage | Refused:
    """Return one page of the devices that match, grouped by client, and the counts of all."""
    if (refused := refuse_unless(member, May.SEE_DEVICES)) is not None:
        return refused
    found = _wanted(house, member, wanted)
    start = 0
    if wanted.after:
        place = cursors.read(wanted.after, tuple[str, bytes, str, bytes])
        if isinstance(place, Refused):
            return place
        start = bisect_right(found, place, key=house.live.roster.place)
    shown = found[start : start + limit]
    tallies: dict[UUID, Tally] = {}
    if not _everything(wanted):
        for device in found:
            tallies.setdefault(device.client, Tally()).count(device, 1)
    rows: dict[UUID, list[DeviceRow]] = {}
    for device in shown:
        rows.setdefault(device.client, []).append(device_row(house, device))
    groups = []
    for client, of in rows.items():
        tally = tallies.get(client) or house.live.roster.tally(member.tenant, (client,))
        name = house.live.roster.client_name(client)
        groups.append(DeviceGroup(client=client, client_name=name, devices=tally.devices, online=tally.online, rows=tuple(of)))
    return DevicesPage(
        filter=wanted,
        counts=counts(house, member),
        groups=tuple(groups),
        matches=len(found),
        next=cursors.write(house.live.roster.place(shown[-1])) if start + limit < len(found) else "",
        clients=await clients.choices(house, member),
        technicians=await members.technicians(house, member),
    )


def counts(house: House, member: Member) -> Counts:
    """Return how many devices there are, and what they wait for."""
    tally = house.live.roster.tally(member.tenant, member.clients)
    waiting = active = interrupted = 0
    for session in house.journal.open.values():
        if session.tenant != member.tenant or session.state.started is None or not member.serves(session.started.client):
            continue
        match session.state.state:
            case State.REQUESTED | State.PENDING:
                waiting += 1
            case State.ACTIVE:
                active += 1
            case State.INTERRUPTED:
                interrupted += 1
    return Counts(
        devices=tally.devices,
        online=tally.online,
        offline=tally.devices - tally.online,
        waiting_consent=waiting,
        active=active,
        interrupted=interrupted,
        assigned=tally.assigned,
    )


def row(house: House, member: Member, device: UUID) -> DeviceRow | None:
    """Return one device as a row; None for what is gone or not the member's."""
    found = device_of(house, member, device)
    return None if isinstance(found, Refused) else device_row(house, found)


async def detail(house: House, member: Member, device: UUID) -> DevicePage | Refused:
    """Return all about one device."""
    if (refused := refuse_unless(member, May.SEE_DEVICES)) is not None:
        return refused
    found = device_of(house, member, device)
    if isinstance(found, Refused):
        return found
    technicians = await members.technicians(house, member)
    names = {choice.id: choice.name for choice in technicians}
    # what was said of the device at another client is for those who serve all
    moved_at = await house.catalogue.devices.moved_at(member.tenant, device) if member.clients is not None else 0
    given_here = await house.catalogue.assignments.by_device(member.tenant, device)
    past = [row for row in given_here if row.closed_at is not None and row.assigned_at >= moved_at]
    assignments = [assignment_view(house, found)] if found.assignment is not None else []
    assignments += [
        AssignmentView(
            id=given.id,
            device=found.id,
            device_name=found.name,
            client=found.client,
            client_name=house.live.roster.client_name(found.client),
            technician=given.technician,
            technician_name=names.get(given.technician, "a former member"),
            priority=given.priority,
            reason=given.reason,
            due_at=given.due_at,
            assigned_at=given.assigned_at,
            assigned_by=given.assigned_by_name,
            closed_at=given.closed_at,
        )
        for given in past
    ]
    await house.projector.flush()
    shown = device_row(house, found)
    rows = await house.catalogue.sessions.by_device(member.tenant, device)
    sessions = [card_of_row(row) for row in rows if member.serves(row.client)]
    if shown.session is not None:
        sessions = [shown.session, *(card for card in sessions if card.id != shown.session.id)]
    return DevicePage(
        row=shown,
        facts=found.facts,
        facts_at=found.facts_at,
        enrolled_at=found.enrolled_at,
        installer=found.installer_label,
        key=hashlib.sha256(found.key).hexdigest()[:32],
        assignments=tuple(assignments),
        sessions=tuple(sessions),
        clients=await clients.choices(house, member),
        technicians=technicians,
    )


async def rename(house: House, member: Member, device: UUID, name: str) -> DeviceRow | Refused:
    """Give a device another name."""
    if (refused := refuse_unless(member, May.CHANGE_DEVICES)) is not None:
        return refused
    found = device_of(house, member, device)
    if isinstance(found, Refused):
        return found
    name = " ".join(name.split())
    if not 1 <= len(name) <= 100:
        return bad_input("name", "The name is missing or longer than 100 characters.", "Give the device a name.")
    event = e.DeviceRenamed(actor=member.actor, at=STAMPED, device=device, name=name, before=found.name)
    if (refused := await house.journal.audit(member.tenant, event)) is not None:
        return refused
    await house.catalogue.devices.rename(member.tenant, device, name)
    house.live.roster.rename(found, name)
    return _changed(house, found)


async def move(house: House, member: Member, device: UUID, client: UUID) -> DeviceRow | Refused:
    """Give a device to another client. Its past sessions stay with the client where they happened."""
    if (refused := refuse_unless(member, May.CHANGE_DEVICES)) is not None:
        return refused
    found = device_of(house, member, device)
    if isinstance(found, Refused):
        return found
    if not member.serves(client) or await house.catalogue.clients.by_id(member.tenant, client) is None:
        return bad_input("client", "This client is not there.", "Choose one from the list.")
    if session_of(house, found) is not None:
        return Refused("A session is open on this device.", "Finish it, then move the device.")
    event = e.DeviceMoved(actor=member.actor, at=STAMPED, device=device, client=client, before=found.client)
    if (refused := await house.journal.audit(member.tenant, event)) is not None:
        return refused
    await house.catalogue.devices.move(member.tenant, device, client, house.clock.now())
    house.live.roster.move(found, client)
    return _changed(house, found)


def _changed(house: House, device: RosterDevice) -> DeviceRow:
    house.live.news.tell(device.tenant, News("device", device.id))
    return device_row(house, device)


async def remove(house: House, member: Member, device: UUID, reason: str) -> Refused | None:
    """Remove a device: its key stops at once, the agent says so and ends. Its records stay."""
    if (refused := refuse_unless(member, May.CHANGE_DEVICES)) is not None:
        return refused
    found = device_of(house, member, device)
    if isinstance(found, Refused):
        return found
    if session_of(house, found) is not None:
        return Refused("A session is open on this device.", "Finish or cancel it, then remove the device.")
    reason = " ".join(reason.split())[:500] or "removed by an admin"
    event = e.DeviceRemoved(actor=member.actor, at=STAMPED, device=device, reason=reason)
    if (refused := await house.journal.audit(member.tenant, event)) is not None:
        return refused
    await house.catalogue.devices.remove(member.tenant, device, house.clock.now(), reason)
    if found.assignment is not None:
        await house.catalogue.assignments.close(member.tenant, found.assignment.id, house.clock.now(), "device removed")
    house.live.roster.remove(member.tenant, device)
    link = house.live.links.of(device)
    link.send(f.Removed(reason=reason))
    if link.connection is not None:
        link.connection.close(f.CLOSE_REMOVED, "This device was removed.")
    house.live.links.forget(device)
    house.live.news.tell(member.tenant, News("device", device))
    return None
