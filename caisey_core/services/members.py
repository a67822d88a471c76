"""Members of a tenant: who there is, who may take work, and new ones."""

from uuid import UUID, uuid4

from caisey_core.catalogue.members import MemberRow
from caisey_core.catalogue.outcomes import Taken
from caisey_core.catalogue.tenants import Tenant
from caisey_core.domain import events as e
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import May, Member, Role, refuse_unless
from caisey_core.domain.session import ENDED
from caisey_core.services import sign_in
from caisey_core.services.house import House
from caisey_core.services.journal import STAMPED
from caisey_core.services.outcomes import NOT_FOUND, bad_input
from caisey_core.services.views import Choice, MemberView, NewMember

WORKERS = frozenset({Role.TECHNICIAN, Role.SENIOR})


def member_of(tenant: Tenant, row: MemberRow) -> Member:
    """Return a catalogue row as the member that services know."""
    return Member(
        id=row.id,
        tenant=tenant.id,
        tenant_slug=tenant.slug,
        tenant_name=tenant.name,
        name=row.name,
        email=row.email,
        role=Role(row.role),
        clients=row.clients,
    )


async def technician(house: House, member: Member, identity: UUID, client: UUID) -> Member | Refused:
    """Return the technician who is to get work at this client; refused in words if they cannot."""
    row = await house.catalogue.members.by_id(member.tenant, identity)
    if row is None or not row.active:
        return bad_input("technician", "This technician is not a member.", "Choose one from the list.")
    found = Member(
        id=row.id,
        tenant=member.tenant,
        tenant_slug=member.tenant_slug,
        tenant_name=member.tenant_name,
        name=row.name,
        email=row.email,
        role=Role(row.role),
        clients=row.clients,
    )
    if found.role not in WORKERS:
        return bad_input("technician", f"{found.name} is {found.role} and does not work in sessions.", "Choose a technician.")
    if not found.serves(client):
        return bad_input("technician", f"{found.name} does not serve this client.", "Choose another technician.")
    return found


async def technicians(house: House, member: Member) -> tuple[Choice, ...]:
    """Return who may take work, by name."""
    rows = await house.catalogue.members.list(member.tenant)
    return tuple(Choice(id=row.id, name=row.name) for row in rows if row.active and Role(row.role) in WORKERS)


async def page(house: House, member: Member) -> tuple[MemberView, ...] | Refused:
    """Return all members with what they have open."""
    if (refused := refuse_unless(member, May.SEE_DEVICES)) is not None:
        return refused
    rows = await house.catalogue.members.list(member.tenant)
    assigned: dict[UUID, int] = {}
    for device in house.live.roster.ordered(member.tenant):
        if device.assignment is not None:
            assigned[device.assignment.technician] = assigned.get(device.assignment.technician, 0) + 1
    working: dict[UUID | None, int] = {}
    for session in house.journal.open.values():
        if session.tenant == member.tenant and session.state.state not in ENDED:
            working[session.state.technician] = working.get(session.state.technician, 0) + 1
    return tuple(
        MemberView(
            id=row.id,
            name=row.name,
            email=row.email,
            role=Role(row.role),
            open_assignments=assigned.get(row.id, 0),
            open_sessions=working.get(row.id, 0),
        )
        for row in rows
        if row.active
    )


async def create(house: House, member: Member, name: str, email: str, role: str) -> NewMember | Refused:
    """Make a member and a one-time link with which they sign in the first time."""
    if (refused := refuse_unless(member, May.CHANGE_MEMBERS)) is not None:
        return refused
    name, email = " ".join(name.split()), email.strip().lower()
    if not 1 <= len(name) <= 100:
        return bad_input("name", "The name is missing or longer than 100 characters.", "Give the person's name.")
    if not 3 <= len(email) <= 254 or email.count("@") != 1 or email.startswith("@") or email.endswith("@"):
        return bad_input("email", "This is no e-mail address.", "Correct it: name@company.example.")
    if role not in set(Role):
        return bad_input("role", "This role is unknown.", "Choose one from the list.")
    row = MemberRow(
        id=uuid4(),
        name=name,
        email=email,
        role=role,
        plugin="local-accounts",
        subject=email,
        active=True,
        created_at=house.clock.now(),
        clients=None,
    )
    made = await house.catalogue.members.create(member.tenant, row)
    if isinstance(made, Taken):
        return bad_input("email", "A member has this e-mail address already.", "Use another address.")
    refused = await house.journal.audit(
        member.tenant, e.MemberCreated(actor=member.actor, at=STAMPED, member=row.id, name=name, email=email, role=role)
    )
    if refused is not None:
        return refused
    link = await sign_in.new_link(house, member.tenant, member.actor, row.id, reusable=False)
    view = MemberView(id=row.id, name=name, email=email, role=Role(role), open_assignments=0, open_sessions=0)
    return NewMember(view=view, link=link)


async def new_link(house: House, member: Member, identity: UUID) -> str | Refused:
    """Make another one-time link for a member who cannot sign in any more."""
    if (refused := refuse_unless(member, May.CHANGE_MEMBERS)) is not None:
        return refused
    row = await house.catalogue.members.by_id(member.tenant, identity)
    if row is None or not row.active:
        return NOT_FOUND
    return await sign_in.new_link(house, member.tenant, member.actor, row.id, reusable=False)


async def by_id(house: House, tenant: Tenant, identity: UUID) -> Member | Refused:
    """Return an active member."""
    row = await house.catalogue.members.by_id(tenant.id, identity)
    return member_of(tenant, row) if row is not None and row.active else NOT_FOUND
