"""What an identity provider says about a person, made true here: who they are, their role and their clients."""

from typing import Final
from uuid import uuid4

from caisey_core.catalogue.members import MemberRow
from caisey_core.catalogue.outcomes import Taken
from caisey_core.catalogue.tenants import Tenant
from caisey_core.domain import events as e
from caisey_core.domain.events import SERVER
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import Member, Role
from caisey_core.services import members
from caisey_core.services.house import House, log
from caisey_core.services.journal import STAMPED
from caisey_hookspecs import Identified

LONGEST_NAME: Final = 100  # characters
LONGEST_SUBJECT: Final = 255  # characters
STRANGER: Final = Refused("You are not a member here.", "Ask an admin of your company to add you.", 403)
ADDRESS_TAKEN: Final = Refused(
    "A member with your e-mail address exists already, and this way to sign in may not be connected with it.",
    "Sign in as before, or ask an admin of your company.",
    403,
)


async def member_of(house: House, tenant: Tenant, plugin: str, said: Identified) -> Member | Refused:
    """Return the member whom a plugin identified: known, connected by the address, or made now, as far as the plugin allows.

    Role and clients that the plugin decides are applied before the member comes in.
    """
    if not 0 < len(said.subject) <= LONGEST_SUBJECT:
        log.warning("an identity plugin gave a subject that cannot be kept", plugin=plugin)
        return STRANGER
    row: MemberRow | Refused | None = await known(house, tenant, plugin, said.subject)
    row = row or await _linked(house, tenant, plugin, said)
    if row is None and said.may_join:
        row = await _joined(house, tenant, plugin, said)
    if isinstance(row, Refused):
        return row
    if row is None or not row.active:
        return STRANGER
    if said.role is not None or said.clients is not None or row.managed_by == plugin:
        row = await members.managed(house, tenant.id, plugin, row, said.role, said.clients)
    return members.member_of(tenant, row)


async def known(house: House, tenant: Tenant, plugin: str, subject: str) -> MemberRow | None:
    """Return the member whom a plugin knows by this subject, by their first way to sign in or a further one."""
    row = await house.catalogue.members.by_subject(tenant.id, plugin, subject)
    if row is not None:
        return row
    member = await house.catalogue.ways.member(tenant.id, plugin, subject)
    return await house.catalogue.members.by_id(tenant.id, member) if member is not None else None


async def _linked(house: House, tenant: Tenant, plugin: str, said: Identified) -> MemberRow | None:
    """Connect this way with the member who has the verified address, where the plugin allows it; only once for a subject."""
    if not (said.may_link and said.email_verified and said.email):
        return None
    row = await house.catalogue.members.by_email(tenant.id, said.email.lower())
    if row is None or not row.active:
        return row
    await house.catalogue.ways.add(tenant.id, row.id, plugin, said.subject, house.clock.now())
    refused = await house.journal.audit(tenant.id, e.MemberLinked(actor=SERVER, at=STAMPED, member=row.id, way=plugin))
    if refused is not None:
        log.warning("a connected way to sign in could not be told to the audit log", plugin=plugin)
    return row


async def _joined(house: House, tenant: Tenant, plugin: str, said: Identified) -> MemberRow | Refused | None:
    """Make a member with the least rights: a technician who serves no client."""
    email = said.email.lower() if said.email_verified else ""
    name = " ".join("".join(letter if letter.isprintable() else " " for letter in said.name).split())[:LONGEST_NAME]
    row = MemberRow(
        id=uuid4(),
        name=name or email.partition("@")[0][:LONGEST_NAME] or "New member",
        email=email,
        role=Role.TECHNICIAN.value,
        plugin=plugin,
        subject=said.subject,
        active=True,
        created_at=house.clock.now(),
        clients=frozenset(),
    )
    if isinstance(await house.catalogue.members.create(tenant.id, row), Taken):
        # another tab was first, or the address is somebody's whom this provider may not speak for
        return await known(house, tenant, plugin, said.subject) or ADDRESS_TAKEN
    event = e.MemberCreated(
        actor=SERVER,
        at=STAMPED,
        member=row.id,
        name=row.name,
        email=row.email,
        role=row.role,
        clients=(),
        by_plugin=plugin,
    )
    return await house.journal.audit(tenant.id, event) or row
