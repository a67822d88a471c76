"""What an identity provider says about a person, made true here: who they are, their role and their clients."""

from caisey_core.catalogue.tenants import Tenant
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import Member
from caisey_core.services import members
from caisey_core.services.house import House
from caisey_hookspecs import Identified

STRANGER = Refused("You are not a member here.", "Ask an admin of your company to add you.", 403)


async def member_of(house: House, tenant: Tenant, plugin: str, said: Identified) -> Member | Refused:
    """Return the member whom a plugin identified."""
    row = await house.catalogue.members.by_subject(tenant.id, plugin, said.subject)
    return STRANGER if row is None or not row.active else members.member_of(tenant, row)
