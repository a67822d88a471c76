"""Open sessions and roster devices as the views that lists show."""

from caisey_core.catalogue.sessions import SessionRow
from caisey_core.domain.events import Resolution
from caisey_core.domain.session import State
from caisey_core.live.roster import RosterDevice
from caisey_core.services.house import House
from caisey_core.services.journal import OpenSession
from caisey_core.services.views import AssignmentView, DeviceRow, Pending, SessionCard


def card_of(house: House, session: OpenSession) -> SessionCard:
    """Return an open session as a card."""
    state, started = session.state, session.started
    assert state.technician is not None
    device = house.live.roster.get(session.tenant, started.device)
    return SessionCard(
        id=session.id,
        device=started.device,
        device_name=device.name if device is not None else started.device_name,
        client=started.client,
        client_name=started.client_name,
        technician=state.technician,
        technician_name=state.technician_name,
        state=state.state,
        reason=session.reason,
        scopes=state.consent.scopes if state.consent is not None else started.scopes,
        requested_at=started.at,
        shown_at=state.ask.shown_at if state.ask is not None else None,
        postponed_until=state.ask.again_at if state.ask is not None else None,
        expires_at=state.ask.expires_at if state.ask is not None else None,
        granted_at=state.consent.at if state.consent is not None else None,
        who=state.consent.who if state.consent is not None else "",
        until=state.consent.until if state.consent is not None else None,
        consent_over=state.consent_over,
        ended_at=state.ended_at,
        resolution=state.resolution,
        connected=house.live.links.online(started.device),
        running=len(state.running),
        commands=session.commands,
        sealed=state.sealed,
    )


def row_of_card(session: OpenSession) -> SessionRow:
    """Return an open session as its row in the catalogue: a projection, made from the record alone."""
    state, started = session.state, session.started
    assert state.technician is not None
    return SessionRow(
        id=session.id,
        device=started.device,
        device_name=started.device_name,
        client=started.client,
        client_name=started.client_name,
        technician=state.technician,
        technician_name=state.technician_name,
        state=state.state.value,
        reason=session.reason,
        scopes=",".join(state.consent.scopes if state.consent is not None else started.scopes),
        duration_seconds=started.duration_seconds,
        requested_at=started.at,
        shown_at=state.ask.shown_at if state.ask is not None else None,
        granted_at=state.consent.at if state.consent is not None else None,
        who=state.consent.who if state.consent is not None else "",
        until=state.consent.until if state.consent is not None else None,
        ended_at=state.ended_at,
        resolution=state.resolution or "",
        commands=session.commands,
        events=state.events,
        sealed=state.sealed,
    )


def card_of_row(row: SessionRow) -> SessionCard:
    """Return a session's catalogue row as a card."""
    resolution: Resolution | None = row.resolution or None  # type: ignore[assignment]
    return SessionCard(
        id=row.id,
        device=row.device,
        device_name=row.device_name,
        client=row.client,
        client_name=row.client_name,
        technician=row.technician,
        technician_name=row.technician_name,
        state=State(row.state),
        reason=row.reason,
        scopes=tuple(scope for scope in row.scopes.split(",") if scope),
        requested_at=row.requested_at,
        shown_at=row.shown_at,
        granted_at=row.granted_at,
        who=row.who,
        until=row.until,
        ended_at=row.ended_at,
        resolution=resolution,
        connected=False,
        commands=row.commands,
        sealed=row.sealed,
    )


def session_of(house: House, device: RosterDevice) -> OpenSession | None:
    """Return the session of a device whose outcome is open."""
    session = house.journal.open.get(device.session) if device.session is not None else None
    return session if session is not None and not session.state.ended else None


def device_row(house: House, device: RosterDevice) -> DeviceRow:
    """Return a device as a row of the list."""
    session = session_of(house, device)
    card = card_of(house, session) if session is not None else None
    facts = device.facts
    return DeviceRow(
        id=device.id,
        name=device.name,
        client=device.client,
        client_name=house.live.roster.client_name(device.client),
        online=device.online,
        last_seen=device.last_seen,
        user=facts.user if facts is not None else "",
        system=facts.system if facts is not None else "",
        platform=facts.platform if facts is not None else "",
        assignment=assignment_view(house, device) if device.assignment is not None else None,
        session=card,
        pending=pending_of(house, device),
    )


def pending_of(house: House, device: RosterDevice) -> Pending:
    """Say what a device waits for: an answer, its connection, a technician, or nothing."""
    session = session_of(house, device)
    if session is not None:
        if session.state.state in (State.REQUESTED, State.PENDING):
            return "consent"
        return "interrupted" if session.state.state is State.INTERRUPTED else ""
    return "work" if device.assignment is not None else ""


def assignment_view(house: House, device: RosterDevice) -> AssignmentView:
    """Return the device's open assignment with how things stand."""
    given = device.assignment
    assert given is not None
    session = session_of(house, device)
    return AssignmentView(
        id=given.id,
        device=device.id,
        device_name=device.name,
        client=device.client,
        client_name=house.live.roster.client_name(device.client),
        technician=given.technician,
        technician_name=given.technician_name,
        priority=given.priority,
        reason=given.reason,
        due_at=given.due_at,
        assigned_at=given.assigned_at,
        assigned_by=given.assigned_by,
        online=device.online,
        session=card_of(house, session) if session is not None else None,
    )
