"""Client groups: the companies that an MSP looks after."""

from uuid import UUID, uuid4

from caisey_core.catalogue.clients import Client
from caisey_core.catalogue.outcomes import Taken
from caisey_core.domain import events as e
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import May, Member, refuse_unless
from caisey_core.live.news import News
from caisey_core.services.house import House
from caisey_core.services.journal import STAMPED
from caisey_core.services.outcomes import NOT_FOUND, bad_input
from caisey_core.services.views import Choice, ClientView

_TAKEN = bad_input("name", "Another client has this name.", "Choose a different name.")


async def choices(house: House, member: Member) -> tuple[Choice, ...]:
    """Return the clients that the member serves, by name."""
    rows = await house.catalogue.clients.list(member.tenant)
    return tuple(Choice(id=row.id, name=row.name) for row in rows if member.serves(row.id))


async def page(house: House, member: Member) -> tuple[ClientView, ...] | Refused:
    """Return the member's clients with their devices counted."""
    if (refused := refuse_unless(member, May.SEE_DEVICES)) is not None:
        return refused
    return await _views(house, member)


async def _views(house: House, member: Member) -> tuple[ClientView, ...]:
    views = []
    for client in await choices(house, member):
        tally = house.live.roster.tally(member.tenant, (client.id,))
        views.append(ClientView(id=client.id, name=client.name, devices=tally.devices, online=tally.online))
    return tuple(views)


def _name(name: str) -> str | Refused:
    name = " ".join(name.split())
    if not 1 <= len(name) <= 100:
        return bad_input("name", "The name is missing or longer than 100 characters.", "Give the company's name.")
    return name


async def create(house: House, member: Member, name: str) -> ClientView | Refused:
    """Make a client."""
    if (refused := refuse_unless(member, May.CHANGE_CLIENTS)) is not None:
        return refused
    checked = _name(name)
    if isinstance(checked, Refused):
        return checked
    row = Client(id=uuid4(), name=checked, created_at=house.clock.now())
    if isinstance(await house.catalogue.clients.create(member.tenant, row), Taken):
        return _TAKEN
    refused = await house.journal.audit(
        member.tenant, e.ClientCreated(actor=member.actor, at=STAMPED, client=row.id, name=checked)
    )
    if refused is not None:
        return refused
    house.live.roster.name_client(row.id, checked)
    house.live.news.tell(member.tenant, News("client", row.id))
    return ClientView(id=row.id, name=checked, devices=0, online=0)


async def rename(house: House, member: Member, client: UUID, name: str) -> ClientView | Refused:
    """Give a client another name."""
    if (refused := refuse_unless(member, May.CHANGE_CLIENTS)) is not None:
        return refused
    checked = _name(name)
    if isinstance(checked, Refused):
        return checked
    row = await house.catalogue.clients.by_id(member.tenant, client)
    if row is None or not member.serves(client):
        return NOT_FOUND
    if isinstance(await house.catalogue.clients.rename(member.tenant, client, checked), Taken):
        return _TAKEN
    refused = await house.journal.audit(
        member.tenant, e.ClientRenamed(actor=member.actor, at=STAMPED, client=client, name=checked, before=row.name)
    )
    if refused is not None:
        return refused
    house.live.roster.name_client(client, checked)
    house.live.news.tell(member.tenant, News("client", client))
    return next(view for view in await _views(house, member) if view.id == client)
