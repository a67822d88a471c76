"""Refusals that many services share."""

from typing import Final
from uuid import UUID

from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import Member
from caisey_core.live.roster import RosterDevice
from caisey_core.services.house import House
from caisey_core.services.journal import OpenSession

NOT_FOUND: Final = Refused("There is nothing at this address.", "It may have been removed, or it is not yours to see.", 404)

SUSPENDED: Final = Refused(
    "Your company’s access to this server is suspended.",
    "Ask whoever runs this server. Nothing is lost: all of it is there again when the suspension ends.",
    403,
)

WHOLE_COMPANY: Final = Refused(
    "This concerns all clients, and you serve some only.", "Choose one of your clients, or ask an admin who serves all.", 403
)

OVER: Final = Refused("This session is over.", "Ask for a new session on the device.")


def device_of(house: House, member: Member, device: UUID) -> RosterDevice | Refused:
    """Return a device within the member's reach; what is not there and what is not theirs look the same."""
    found = house.live.roster.get(member.tenant, device)
    if found is None or not member.serves(found.client):
        return NOT_FOUND
    return found


async def open_session_of(house: House, member: Member, session: UUID) -> OpenSession | Refused:
    """Return an unsealed session within the member's reach; one that is sealed is said to be over."""
    found = house.journal.open.get(session)
    if found is None:
        row = await house.catalogue.sessions.by_id(member.tenant, session)
        return OVER if row is not None and member.serves(row.client) else NOT_FOUND
    if found.tenant != member.tenant or not member.serves(found.started.client):
        return NOT_FOUND
    return found


def bad_input(field: str, reason: str, what_to_do: str) -> Refused:
    """Refuse one input of a form."""
    return Refused(reason, what_to_do, 422, field)
