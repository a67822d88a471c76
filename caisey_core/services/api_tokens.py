"""API tokens: a member's own, and those of services, which have a name and scopes but no account."""

from collections.abc import Collection
from typing import Final
from uuid import UUID, uuid4

from msgspec import Struct
from msgspec.structs import replace

from caisey_core.catalogue.api_tokens import ApiToken
from caisey_core.catalogue.tenants import Tenant
from caisey_core.domain import events as e
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import May, Member, Role, refuse_unless
from caisey_core.domain.scopes import BY_CLIENT, DANGEROUS, FOR_SERVICES, Scope, granted
from caisey_core.services import members, step_up, tenancy
from caisey_core.services.house import House
from caisey_core.services.journal import STAMPED
from caisey_core.services.outcomes import NOT_FOUND, SUSPENDED, bad_input
from caisey_core.services.tokens import PREFIX, hash_of, new_token
from caisey_core.services.views import Choice, NewApiToken, ScopeChoice, TokensPage, TokenState, TokenView

DAY_US: Final = 24 * 3600_000_000
LONGEST_DAYS: Final = 730
MOST: Final = 100  # valid ones of one owner
TOUCH_US: Final = 60_000_000  # "last used" is written once a minute at most
FROM_ELSEWHERE: Final = granted(frozenset(Scope) - DANGEROUS)  # what an identity provider's token is good for


class Caller(Struct, frozen=True):
    """Who sent a request to the API, and which of their tokens it came with; `id` counts their requests and keys."""

    id: UUID
    member: Member


def scopes_for(member: Member, *, service: bool = False) -> tuple[Scope, ...]:
    """Return the scopes that a token of this member, or of a service that this member makes, can have."""
    if service:
        return tuple(scope for scope in Scope if scope in FOR_SERVICES)
    rights = frozenset(what for what in May if member.may(what))
    return tuple(scope for scope in Scope if granted([scope]) & rights)


async def page(house: House, member: Member) -> TokensPage:
    """Return the member's own tokens, and for who may make service tokens all others too, newest first."""
    over_all = member.may(May.CHANGE_TOKENS)
    names = {row.id: row.name for row in await house.catalogue.members.list(member.tenant)}
    clients = {row.id: row.name for row in await house.catalogue.clients.list(member.tenant)}
    rows = await house.catalogue.api_tokens.list(member.tenant)
    return TokensPage(
        mine=tuple(_view(house, row, names, clients) for row in rows if row.member == member.id),
        others=tuple(_view(house, row, names, clients) for row in rows if row.member != member.id and over_all),
        scopes=tuple(ScopeChoice(name=scope.value, dangerous=scope in DANGEROUS) for scope in scopes_for(member)),
        service_scopes=tuple(
            ScopeChoice(name=scope.value, dangerous=scope in DANGEROUS) for scope in scopes_for(member, service=True)
        ),
        may_make_services=over_all,
    )


def _view(house: House, row: ApiToken, names: dict[UUID, str], clients: dict[UUID, str]) -> TokenView:
    state: TokenState = "valid"
    if row.revoked_at is not None:
        state = "revoked"
    elif row.expires_at is not None and house.clock.now() >= row.expires_at:
        state = "expired"
    return TokenView(
        id=row.id,
        label=row.label,
        service=row.service,
        owner="" if row.service else names.get(row.member, "a former member"),
        scopes=tuple(row.scopes.split()),
        clients=tuple(Choice(id=one, name=clients.get(one, "")) for one in _clients(row)),
        created_at=row.created_at,
        created_by=row.created_by_name,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        last_used_from=row.last_used_from,
        state=state,
    )


def _clients(row: ApiToken) -> tuple[UUID, ...]:
    return tuple(UUID(one) for one in row.clients.split())


async def make(
    house: House,
    member: Member,
    label: str,
    scopes: Collection[str],
    clients: Collection[UUID] = (),
    expires_days: int | None = 90,
    *,
    service: bool = False,
) -> NewApiToken | Refused:
    """Make a token; it is in this answer only. A token can make none: who stole one would outlive it."""
    if member.granted is not None:
        return Refused("An API token cannot make another.", "Sign in and make it on the page API tokens.", 403)
    if service and (refused := refuse_unless(member, May.CHANGE_TOKENS)) is not None:
        return refused
    if step_up.stale(house, member):
        return step_up.AGAIN
    label = " ".join(label.split())
    if not 1 <= len(label) <= 100:
        return bad_input("label", "The name is missing or longer than 100 characters.", "Say what the token is for.")
    if not scopes:
        return bad_input("scopes", "No scope is chosen.", "Choose what the token may be used for.")
    possible = scopes_for(member, service=service)
    if unknown := sorted(set(scopes) - set(possible)):
        return bad_input("scopes", f"This token cannot have the scope {unknown[0]}.", f"Choose of: {', '.join(possible)}.")
    if not all(member.serves(one) for one in clients) or set(clients) - {
        row.id for row in await house.catalogue.clients.list(member.tenant)
    }:
        return bad_input("clients", "This client is not there.", "Choose from the list.")
    if clients and (wide := sorted(set(scopes) - BY_CLIENT)):
        return bad_input(
            "clients",
            f"The scope {wide[0]} reaches over all clients.",
            f"Take no clients, or only scopes of: {', '.join(scope for scope in Scope if scope in BY_CLIENT)}.",
        )
    if expires_days is not None and not 1 <= expires_days <= LONGEST_DAYS:
        return bad_input("expires_days", f"The days must be between 1 and {LONGEST_DAYS}.", "Correct the days.")
    owned = [row for row in await house.catalogue.api_tokens.list(member.tenant) if row.revoked_at is None]
    if sum(row.service if service else row.member == member.id for row in owned) >= MOST:
        return Refused(f"There are {MOST} tokens already.", "Revoke one that is not used any more.")
    identity, (token, digest) = uuid4(), new_token()
    now = house.clock.now()
    row = ApiToken(
        id=identity,
        member=identity if service else member.id,
        token_hash=digest,
        label=label,
        created_at=now,
        service=service,
        scopes=" ".join(scope.value for scope in Scope if scope in scopes),
        clients=" ".join(str(one) for one in clients),
        created_by_name=member.name,
        expires_at=now + expires_days * DAY_US if expires_days is not None else None,
    )
    made = e.ApiTokenCreated(
        actor=member.actor,
        at=STAMPED,
        token=row.id,
        member=row.member,
        label=label,
        service=service,
        scopes=tuple(row.scopes.split()),
        clients=tuple(clients),
        expires_at=row.expires_at,
    )
    if (refused := await house.journal.audit(member.tenant, made)) is not None:
        return refused
    await house.catalogue.api_tokens.create(member.tenant, row)
    names = {client.id: client.name for client in await house.catalogue.clients.list(member.tenant)}
    return NewApiToken(view=_view(house, row, {member.id: member.name}, names), token=token)


async def revoke(house: House, member: Member, token: UUID) -> Refused | None:
    """Stop a token at once: one's own, or as an admin any of the company's."""
    rows = await house.catalogue.api_tokens.list(member.tenant)
    row = next((row for row in rows if row.id == token), None)
    if row is None or not (row.member == member.id or member.may(May.CHANGE_TOKENS)):
        return NOT_FOUND
    if not await house.catalogue.api_tokens.revoke(member.tenant, token, house.clock.now()):
        return Refused("This token is revoked already.", "Nothing is left to do.")
    gone = e.ApiTokenRevoked(actor=member.actor, at=STAMPED, token=token, member=row.member, label=row.label)
    return await house.journal.audit(member.tenant, gone)


async def by_token(house: House, token: str, address: str) -> Caller | Refused | None:
    """Return whose token this is; None for one that is unknown, expired or revoked, or whose owner has left.

    One of a suspended company is refused in words.
    """
    found = await house.catalogue.api_tokens.by_hash(hash_of(token)) if token.startswith(PREFIX) else None
    if found is None:
        return None
    tenant_id, row = found
    now = house.clock.now()
    if row.revoked_at is not None or (row.expires_at is not None and now >= row.expires_at):
        return None
    tenant = await tenancy.of(house, tenant_id)
    if isinstance(tenant, Refused):
        return tenant if tenant is SUSPENDED else None
    owner = _service(tenant, row) if row.service else await members.by_id(house, tenant, row.member)
    if isinstance(owner, Refused):
        return None
    if row.last_used_at is None or now - row.last_used_at > TOUCH_US or row.last_used_from != address:
        await house.catalogue.api_tokens.used(tenant_id, row.id, now, address)
    return Caller(row.id, _narrowed(owner, row))


def _service(tenant: Tenant, row: ApiToken) -> Member:
    return Member(
        id=row.id,
        tenant=tenant.id,
        tenant_slug=tenant.slug,
        tenant_name=tenant.name,
        name=f"{row.label} (service)",
        email="",
        role=Role.AUDITOR,
        service=True,
    )


def _narrowed(owner: Member, row: ApiToken) -> Member:
    """Return the owner with what the token leaves of their rights and clients."""
    scopes = [scope for scope in Scope if scope in row.scopes.split()]
    narrowed = frozenset(_clients(row))
    clients = owner.clients
    if narrowed:
        clients = narrowed if clients is None else clients & narrowed
        scopes = [scope for scope in scopes if scope in BY_CLIENT]
    return replace(owner, granted=granted(scopes), clients=clients)


def rights(member: Member) -> tuple[str, ...]:
    """Return what a caller may do, in the words of a refusal."""
    may = [what for what in May if member.may(what)]
    return tuple(what.value for what in may)
