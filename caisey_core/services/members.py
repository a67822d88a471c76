"""Members of a tenant: who there is, who may take work, and what each may do."""

from uuid import UUID, uuid4

from msgspec.structs import replace

from caisey_core.catalogue.members import LastAdmin, MemberRow
from caisey_core.catalogue.outcomes import Taken
from caisey_core.catalogue.tenants import Tenant
from caisey_core.domain import events as e
from caisey_core.domain.events import SERVER, Actor
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import May, Member, Role, refuse_unless
from caisey_core.domain.session import ENDED
from caisey_core.live.news import News
from caisey_core.services import sign_in
from caisey_core.services.house import House, log
from caisey_core.services.journal import HELD, STAMPED
from caisey_core.services.outcomes import NOT_FOUND, bad_input
from caisey_core.services.step_up import refuse_unless_sure
from caisey_core.services.views import Choice, MemberPage, MemberView, NewMember

EVERY_CLIENT = "*"  # as a plugin says it
WORKERS = frozenset({Role.TECHNICIAN, Role.SENIOR})
LAST_ADMIN = Refused(
    "This is the last admin who serves all clients: nobody could administer the company any more.",
    "Make somebody else an admin for all clients first.",
)
NOT_ONESELF = Refused("You cannot change your own role, clients or account.", "Ask another admin of your company to do it.")


def member_of(tenant: Tenant, row: MemberRow, proved_at: int | None = None) -> Member:
    """Return a catalogue row as the member that services know. `proved_at` is a browser's."""
    return Member(
        id=row.id,
        tenant=tenant.id,
        tenant_slug=tenant.slug,
        tenant_name=tenant.name,
        name=row.name,
        email=row.email,
        role=Role(row.role),
        clients=row.clients,
        proved_at=proved_at,
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
    """Return all members with what they have open at the caller's clients; those who left are for who may let them in again."""
    if (refused := refuse_unless(member, May.SEE_DEVICES)) is not None:
        return refused
    rows = await house.catalogue.members.list(member.tenant)
    assigned: dict[UUID, int] = {}
    for device in house.live.roster.ordered(member.tenant):
        if device.assignment is not None and member.serves(device.client):
            assigned[device.assignment.technician] = assigned.get(device.assignment.technician, 0) + 1
    working: dict[UUID | None, int] = {}
    for session in house.journal.open.values():
        state = session.state
        if session.tenant == member.tenant and state.started is not None and state.state not in ENDED:
            if not member.serves(state.started.client):
                continue
            working[session.state.technician] = working.get(session.state.technician, 0) + 1
    changes = member.may(May.CHANGE_MEMBERS)
    views = [_view(house, row, assigned.get(row.id, 0), working.get(row.id, 0)) for row in rows if row.active or changes]
    shown = views if changes else [replace(view, clients=None, managed_by="") for view in views]
    return tuple(sorted(shown, key=lambda view: not view.active))


def _view(house: House, row: MemberRow, assignments: int = 0, sessions: int = 0) -> MemberView:
    clients = None
    if row.clients is not None:
        named = (Choice(id=client, name=house.live.roster.client_name(client)) for client in row.clients)
        clients = tuple(sorted(named, key=lambda client: client.name.lower()))
    return MemberView(
        id=row.id,
        name=row.name,
        email=row.email,
        role=Role(row.role),
        active=row.active,
        clients=clients,
        managed_by=house.plugins.title(row.managed_by) if row.managed_by else "",
        open_assignments=assignments,
        open_sessions=sessions,
    )


async def _rights(
    house: House, tenant: UUID, role: str, clients: tuple[UUID, ...] | None
) -> tuple[Role, frozenset[UUID] | None] | Refused:
    """Return a role and clients that were asked for, if there are such."""
    if role not in set(Role):
        return bad_input("role", "This role is unknown.", "Choose one from the list.")
    if clients is None:
        return Role(role), None
    known = {client.id for client in await house.catalogue.clients.list(tenant)}
    if not known.issuperset(clients):
        return bad_input("clients", "One of these clients is not there.", "Choose from the list.")
    return Role(role), frozenset(clients)


async def create(
    house: House, member: Member, name: str, email: str, role: str, clients: tuple[UUID, ...] | None = None
) -> NewMember | Refused:
    """Invite a member: a one-time link with which they sign in the first time. `clients` None: they serve all."""
    if (refused := refuse_unless_sure(house, member, May.CHANGE_MEMBERS)) is not None:
        return refused
    name, email = " ".join(name.split()), email.strip().lower()
    if not 1 <= len(name) <= 100:
        return bad_input("name", "The name is missing or longer than 100 characters.", "Give the person's name.")
    if not 3 <= len(email) <= 254 or email.count("@") != 1 or email.startswith("@") or email.endswith("@"):
        return bad_input("email", "This is no e-mail address.", "Correct it: name@company.example.")
    rights = await _rights(house, member.tenant, role, clients)
    if isinstance(rights, Refused):
        return rights
    row = MemberRow(
        id=uuid4(),
        name=name,
        email=email,
        role=rights[0].value,
        plugin="local-accounts",
        subject=email,
        active=True,
        created_at=house.clock.now(),
        clients=rights[1],
    )
    if (refused := await add(house, member.tenant, member.actor, row)) is not None:
        return refused
    link = await sign_in.new_link(house, member.tenant, member.actor, row.id, reusable=False)
    return NewMember(view=_view(house, row), link=link)


async def add(house: House, tenant: UUID, by: Actor, row: MemberRow) -> Refused | None:
    """Make a member, said in the audit log by `by`."""
    if isinstance(await house.catalogue.members.create(tenant, row), Taken):
        return bad_input("email", "A member has this e-mail address already.", "Use another, or let that member in again.")
    event = e.MemberCreated(
        actor=by,
        at=STAMPED,
        member=row.id,
        name=row.name,
        email=row.email,
        role=row.role,
        clients=_in_order(row.clients),
    )
    return await house.journal.audit(tenant, event)


async def new_link(house: House, member: Member, identity: UUID) -> str | Refused:
    """Make another one-time link for a member who cannot sign in any more."""
    if (refused := refuse_unless_sure(house, member, May.CHANGE_MEMBERS)) is not None:
        return refused
    row = await house.catalogue.members.by_id(member.tenant, identity)
    if row is None or not row.active:
        return NOT_FOUND
    return await sign_in.new_link(house, member.tenant, member.actor, row.id, reusable=False)


async def _other(house: House, member: Member, identity: UUID) -> MemberRow | Refused:
    """Return another member whom this one may change."""
    if (refused := refuse_unless_sure(house, member, May.CHANGE_MEMBERS)) is not None:
        return refused
    row = await house.catalogue.members.by_id(member.tenant, identity)
    if row is None:
        return NOT_FOUND
    return NOT_ONESELF if row.id == member.id else row


async def detail(house: House, member: Member, identity: UUID) -> MemberPage | Refused:
    """Return one member to who may change them."""
    if (refused := refuse_unless(member, May.CHANGE_MEMBERS)) is not None:
        return refused
    row = await house.catalogue.members.by_id(member.tenant, identity)
    if row is None:
        return NOT_FOUND
    found = await house.catalogue.clients.list(member.tenant)
    clients = tuple(Choice(id=client.id, name=client.name) for client in found)
    return MemberPage(view=_view(house, row), clients=clients, oneself=row.id == member.id)


async def change(
    house: House, member: Member, identity: UUID, role: str, clients: tuple[UUID, ...] | None
) -> MemberView | Refused:
    """Give another member a role and clients (None: all). What they have open ends if they may not have it any more."""
    row = await _other(house, member, identity)
    if isinstance(row, Refused):
        return row
    rights = await _rights(house, member.tenant, role, clients)
    if isinstance(rights, Refused):
        return rights
    changed = replace(row, role=rights[0].value, clients=rights[1])
    if (refused := await _write(house, member.tenant, member.actor, row, changed)) is not None:
        return refused
    return _view(house, changed)


async def _write(house: House, tenant: UUID, by: Actor, before: MemberRow, row: MemberRow, plugin: str = "") -> Refused | None:
    """Write a member's role and clients, and say so in the audit log and to what is held open for them."""
    if row == before:
        return None
    if house.journal.held:
        return HELD
    if isinstance(await house.catalogue.members.change(tenant, row), LastAdmin):
        return LAST_ADMIN
    refused = None
    if (row.role, row.clients) != (before.role, before.clients):
        event = e.MemberChanged(
            actor=by,
            at=STAMPED,
            member=row.id,
            role=row.role,
            role_before=before.role,
            clients=_in_order(row.clients),
            clients_before=_in_order(before.clients),
            by_plugin=plugin,
        )
        refused = await house.journal.audit(tenant, event)
    house.live.news.tell(tenant, News("rights", tenant))
    return refused


def _in_order(clients: frozenset[UUID] | None) -> tuple[UUID, ...] | None:
    return None if clients is None else tuple(sorted(clients))


async def deactivate(house: House, member: Member, identity: UUID) -> Refused | None:
    """Keep another member out: their browser sessions, API tokens, links, open sockets and streams end at once."""
    row = await _other(house, member, identity)
    if isinstance(row, Refused):
        return row
    if not row.active:
        return None
    return await close_account(house, member.tenant, member.actor, row)


async def close_account(house: House, tenant: UUID, by: Actor, row: MemberRow, plugin: str = "") -> Refused | None:
    """Deactivate a member, on the word of an admin or of the identity plugin that knows the person."""
    if house.journal.held:
        return HELD
    if isinstance(await house.catalogue.members.change(tenant, replace(row, active=False)), LastAdmin):
        return LAST_ADMIN
    await house.catalogue.sign_ins.delete_of_member(tenant, row.id, house.clock.now())
    house.live.news.tell(tenant, News("rights", tenant))
    return await house.journal.audit(tenant, e.MemberDeactivated(actor=by, at=STAMPED, member=row.id, by_plugin=plugin))


async def reactivate(house: House, member: Member, identity: UUID) -> Refused | None:
    """Let a member in again, with the role and clients that they had."""
    row = await _other(house, member, identity)
    if isinstance(row, Refused):
        return row
    if row.active:
        return None
    if house.journal.held:
        return HELD
    await house.catalogue.members.change(member.tenant, replace(row, active=True))
    return await house.journal.audit(member.tenant, e.MemberReactivated(actor=member.actor, at=STAMPED, member=row.id))


async def managed(
    house: House, tenant: UUID, plugin: str, row: MemberRow, role: str | None, clients: tuple[str, ...] | None
) -> MemberRow:
    """Apply what an identity plugin decides of a member at a sign-in, and return the member as they are then.

    `role` None and `clients` None leave these to the tenant's admins; `clients` are names, whatever the case. What Caisey does
    not have gives no right: an unknown role leaves the role, unknown clients are passed over. The last admin stays one.
    """
    changed = replace(row, managed_by=plugin if role is not None or clients is not None else "")
    if role is not None and role in set(Role):
        changed = replace(changed, role=role)
    elif role is not None:
        log.warning("an identity plugin gave a role that there is not", plugin=plugin, role=role)
    if clients is not None and EVERY_CLIENT in clients:
        changed = replace(changed, clients=None)
    elif clients is not None:
        wanted = {name.strip().lower() for name in clients}
        known = await house.catalogue.clients.list(tenant)
        changed = replace(changed, clients=frozenset(client.id for client in known if client.name.lower() in wanted))
    refused = await _write(house, tenant, SERVER, row, changed, plugin)
    if refused is not None:
        log.warning("what an identity plugin decided of a member was not done", plugin=plugin, reason=refused.reason)
        return row
    return changed


async def by_id(house: House, tenant: Tenant, identity: UUID) -> Member | Refused:
    """Return an active member."""
    row = await house.catalogue.members.by_id(tenant.id, identity)
    return member_of(tenant, row) if row is not None and row.active else NOT_FOUND
