"""What happens by the clock and at the end: requests expire, agreed time ends, records are sealed."""

from typing import Final

from caisey_agent.protocol import frames as f
from caisey_core.domain import events as e
from caisey_core.domain.events import SERVER
from caisey_core.live.news import News
from caisey_core.services import witnesses
from caisey_core.services.house import House
from caisey_core.services.journal import STAMPED, OpenSession, durable

PATIENCE_US: Final = 30_000_000  # a connected device has this long to hand over its last frames
ABSENCE_US: Final = 3600_000_000  # one that is away, this long


async def tick(house: House) -> None:
    """Look at every open session once; called each second."""
    now = house.clock.now()
    for session in list(house.journal.open.values()):
        state = session.state
        link = house.live.links.of(session.device)
        if state.ended:
            patience = PATIENCE_US if house.live.links.online(session.device) else ABSENCE_US
            assert state.ended_at is not None
            if state.consent is None or session.closed_by_device or now - state.ended_at > patience:
                await seal(house, session)
        elif state.ask is not None and now >= state.ask.expires_at:
            ticket = house.journal.propose(session, e.RequestExpired(actor=SERVER, at=STAMPED))
            if await durable(ticket) is None and ticket is not None:
                link.send(f.CancelAsk(session=session.id, reason="Nobody answered in time."))
        elif state.consent is not None and not state.consent_over and now >= state.consent.until:
            await durable(house.journal.propose(session, e.ConsentEnded(actor=SERVER, at=STAMPED)))


async def seal(house: House, session: OpenSession) -> None:
    """Close an ended session's record for ever, once; what the device still sends has nowhere to go."""
    if session.state.sealed or not session.state.ended:
        return
    house.transfers.end_of(session.id)
    ticket = house.journal.propose(session, e.Sealed(actor=SERVER, at=STAMPED, events=session.state.events))
    if await durable(ticket) is None:
        device = house.live.roster.get(session.tenant, session.device)
        if device is not None and device.session == session.id:
            device.session = None
        await house.projector.save(session)
        house.journal.close(session)
        house.live.news.tell(session.tenant, News("session", session.id))
        house.spawn(witnesses.session_ended(house, session.tenant, session.device), "checkpoint of a sealed session")
