"""What was still to be done: when a device comes back, and when the server starts again."""

from uuid import UUID

from msgspec.structs import replace

from caisey_agent.protocol import frames as f
from caisey_core.domain import events as e
from caisey_core.domain.events import SERVER, Actor
from caisey_core.live.news import News
from caisey_core.live.roster import RosterDevice
from caisey_core.record.store import Recorded
from caisey_core.services import screen, transfers
from caisey_core.services.house import House, log
from caisey_core.services.journal import HELD, STAMPED, OpenSession, durable
from caisey_core.services.review import rows_of
from caisey_core.services.views import TransferCard


async def device_came(house: House, device: RosterDevice, *, new_life: bool) -> None:
    """Resume the device's sessions. `new_life`: its agent or this server was started since they last spoke."""
    house.live.roster.set_online(device, True, house.clock.now())
    house.live.news.tell(device.tenant, News("device", device.id))
    actor = Actor("device", str(device.id), device.name)
    for session in house.journal.of_device(device.id):
        if not session.state.ended:
            resumed = e.SessionResumed(actor=actor, at=STAMPED, reason="The device is connected again.")
            house.journal.propose(session, resumed)
            screen.refresh(house, session)
        if new_life:
            await send_again(house, session)


async def send_again(house: House, session: OpenSession) -> None:
    """Tell the device again what the record says is not done yet; it knows nonces and ids, so nothing happens twice.

    What was begun and died with an agent is answered as lost: frames arrive in order, so ends that it had told come first.
    """
    link = house.live.links.of(session.device)
    state = session.state
    if state.ended:
        if state.consent is not None:
            link.send(f.EndSession(session=session.id, outcome=state.state.value))
        return
    if state.ask is not None:
        await _ask_again(house, session, state.ask.request)
    for transfer in state.transfers:
        link.send(f.StillThere(session=session.id, transfer=transfer))
    if state.running:
        said = {}
        async for row in rows_of(house, session.tenant, session.id):
            event = e.decode(row.event)
            if isinstance(event, e.CommandAccepted) and event.command in state.running and row.disclosure is not None:
                said[event.command] = row.disclosure
        for command in state.running:
            if (one := said.get(command)) is not None:
                name = state.technician_name
                link.send(f.Run(session=session.id, command=command, line=one.texts[0], technician=name, seed=one.seed))


async def _ask_again(house: House, session: OpenSession, request: bytes) -> None:
    asked: Recorded | None = None
    async for row in rows_of(house, session.tenant, session.id):
        event = e.decode(row.event)
        if isinstance(event, e.ConsentAsked) and event.request == request:
            asked = row
    if asked is not None and asked.disclosure is not None:
        reason, seed = asked.disclosure.texts[0].decode(), asked.disclosure.seed
        house.live.links.of(session.device).send(f.AskConsent(session=session.id, request=request, reason=reason, seed=seed))


def device_went(house: House, device: RosterDevice) -> None:
    """Note in the device's sessions that it is gone."""
    house.live.roster.set_online(device, False, house.clock.now())
    house.live.news.tell(device.tenant, News("device", device.id))
    actor = Actor("device", str(device.id), device.name)
    for session in house.journal.of_device(device.id):
        if session.state.consent is not None and not session.state.ended:
            gone = e.SessionInterrupted(actor=actor, at=STAMPED, reason="The device's connection was lost.")
            house.journal.propose(session, gone)
        screen.refresh(house, session)


async def server_started(house: House) -> None:
    """Load every unsealed session and say in its record that the server was gone."""
    for tenant in await house.catalogue.tenants.all():
        for head in await house.record.open_streams(tenant.id):
            kind, _, name = head.stream.partition("/")
            if kind == "session":
                await _take_up(house, await house.journal.load(tenant.id, UUID(name)))
    house.transfers.drop_left_over()


async def _take_up(house: House, session: OpenSession) -> None:
    if session.state.started is None:
        house.journal.close(session)
        return
    device = house.live.roster.get(session.tenant, session.device)
    if not session.state.ended:
        if session.state.consent is not None:
            stopped = e.SessionInterrupted(actor=SERVER, at=STAMPED, reason="The server was restarted.")
            await durable(house.journal.propose(session, stopped))
        if device is not None:
            device.session = session.id
    link = house.live.links.of(session.device)
    link.received = max(link.received, session.state.frame)
    await transfers.cancel_left_over(house, session)
    if house.transfers.left_over:
        await _take_up_files(house, session)
    house.projector.changed(session)


async def _take_up_files(house: House, session: OpenSession) -> None:
    """Bring back the contents of finished downloads."""
    asked: dict[UUID, TransferCard] = {}
    async for row in rows_of(house, session.tenant, session.id):
        event = e.decode(row.event)
        if isinstance(event, e.TransferAccepted) and event.direction == "download" and row.disclosure is not None:
            asked[event.transfer] = TransferCard(
                id=event.transfer,
                position=row.position,
                direction="download",
                path=row.disclosure.texts[0].decode(errors="replace"),
                by=event.actor.name,
                at=event.at,
                size=0,
                content="",
                state="finished",
            )
        elif isinstance(event, e.TransferFinished) and event.transfer in asked and _left(house, event.transfer):
            card = asked[event.transfer]
            house.transfers.take_up(session, replace(card, size=event.size, done=event.size, content=event.content.hex()))


def _left(house: House, transfer: UUID) -> bool:
    return str(transfer) in house.transfers.left_over


async def record_resumed(house: House) -> None:
    """The record can be written again: read anew what was held, then let the devices come back."""
    hold = house.journal.holds
    for session in list(house.journal.open.values()):
        await house.journal.load(session.tenant, session.id)
        if session.state.started is None:  # its request did not get into the record
            house.journal.close(session)
    house.journal.go_on(hold)
    for session in house.journal.open.values():
        screen.announce(house, session, "The record can be written again. The session goes on.")
        screen.refresh(house, session)


def record_held(house: House) -> None:
    """The record cannot be written: nobody may act, and everyone who watches is told."""
    house.journal.hold()
    log.error("the record cannot be written; sessions are held")
    house.live.links.close_all(1013, "The server cannot record now.")
    for session in house.journal.open.values():
        screen.announce(house, session, f"{HELD.reason} {HELD.what_to_do}")
        screen.refresh(house, session)
