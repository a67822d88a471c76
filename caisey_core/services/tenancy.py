"""The companies on this server. The operator begins, suspends and resumes them with `caisey tenant`, also while it runs.

The command writes to the databases; each server looks there every other second, so that no restart is needed. What a suspended
company may not do is refused where it comes in; what it has under way is ended by the server that has it.
"""

import asyncio
from collections.abc import Iterable
from typing import Final
from uuid import UUID

from caisey_agent.protocol import frames as f
from caisey_core.catalogue.tenants import Tenant
from caisey_core.domain import events as e
from caisey_core.domain.assignment import Assignment
from caisey_core.domain.events import Actor
from caisey_core.domain.refused import Refused
from caisey_core.live.news import News
from caisey_core.services.enrolment import roster_device
from caisey_core.services.house import House
from caisey_core.services.journal import STAMPED, OpenSession, durable, words
from caisey_core.services.outcomes import NOT_FOUND, SUSPENDED

OPERATOR: Final = Actor("operator", "", "Operator")
ENDED: Final = "The company was suspended by whoever runs this server."
AWAY_SECONDS: Final = 30.0  # after which a suspended company's devices ask again
CLOSE_SUSPENDED: Final = 1013  # "try again later" (IANA WebSocket close codes)


async def at(house: House, slug: str) -> Tenant | Refused:
    """Return the company at an address; one that is suspended is refused in words."""
    return _open(await house.tenancy.ready(await house.catalogue.tenants.by_slug(slug)))


async def of(house: House, identity: UUID) -> Tenant | Refused:
    """Return a company; one that is suspended is refused in words."""
    return _open(await house.tenancy.ready(await house.catalogue.tenants.by_id(identity)))


async def rights_changed(house: House, tenant: UUID) -> None:
    """Let everything that is held open for the company's members be looked at again: here now, at other servers in two seconds."""
    await house.catalogue.tenants.changed(tenant)
    house.live.news.tell(tenant, News("rights", tenant))


async def choices(house: House) -> list[Tenant]:
    """Return the companies that people may sign in to, by name."""
    tenants = [tenant for tenant in await house.catalogue.tenants.all() if tenant.suspended_at is None]
    return sorted(tenants, key=lambda tenant: tenant.name.lower())


def _open(tenant: Tenant | None) -> Tenant | Refused:
    if tenant is None:
        return NOT_FOUND
    return tenant if tenant.suspended_at is None else SUSPENDED


class Tenancy:
    """All companies as this server last saw them."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._seen: dict[UUID, Tenant] = {}
        self._taking_up = asyncio.Lock()

    def suspended(self, tenant: UUID) -> bool:
        """Say whether a company is suspended, as far as this server has seen: within two seconds of the command."""
        seen = self._seen.get(tenant)
        return seen is not None and seen.suspended_at is not None

    async def ready(self, tenant: Tenant | None) -> Tenant | None:
        """Return a company once this server serves it: one that began a moment ago is taken up now."""
        if tenant is not None and tenant.id not in self._seen:
            await self._take_up(tenant)
        return tenant

    async def begin(self) -> None:
        """Take up all companies: the server starts."""
        for tenant in await self._house.catalogue.tenants.all():
            await self._take_up(tenant)

    async def look(self) -> None:
        """See what the operator's commands and other servers changed, and do what follows here."""
        for tenant in await self._house.catalogue.tenants.all():
            before = self._seen.get(tenant.id)
            if before is None:
                await self._take_up(tenant)
                continue
            self._seen[tenant.id] = tenant
            if tenant.changes != before.changes:
                self._house.live.news.tell(tenant.id, News("rights", tenant.id))
            if tenant.suspended_at is not None:
                await self._wind_down(tenant.id)

    async def _take_up(self, tenant: Tenant) -> None:
        async with self._taking_up:
            if tenant.id not in self._seen:
                await self._load(tenant)
                self._seen[tenant.id] = tenant

    async def _load(self, tenant: Tenant) -> None:
        house, roster = self._house, self._house.live.roster
        await house.record.take_up(tenant.id)
        await house.journal.open_audit(tenant.id)
        for client in await house.catalogue.clients.list(tenant.id):
            roster.name_client(client.id, client.name)
        roster.load(roster_device(tenant.id, row) for row in await house.catalogue.devices.list(tenant.id))
        for row in await house.catalogue.assignments.open(tenant.id):
            if (device := roster.get(tenant.id, row.device)) is not None:
                given = Assignment(
                    id=row.id,
                    device=row.device,
                    technician=row.technician,
                    technician_name=row.technician_name,
                    priority=row.priority,
                    reason=row.reason,
                    due_at=row.due_at,
                    assigned_at=row.assigned_at,
                    assigned_by=row.assigned_by_name,
                )
                roster.assign(device, given)
        await house.witnesses.load(tenant.id)

    async def _wind_down(self, tenant: UUID) -> None:
        """End a suspended company's sessions; its devices go once the records are sealed."""
        house = self._house
        mine = [session for session in house.journal.open.values() if session.tenant == tenant]
        for session in mine:
            await self._end(session)
        self._let_go(tenant, {session.device for session in mine})

    async def _end(self, session: OpenSession) -> None:
        """End one session in its record, as the operator's act."""
        if session.state.ended or session.state.started is None:
            return
        link = self._house.live.links.of(session.device)
        if session.state.consent is None:
            said = words(ENDED)
            taken_back = e.RequestCancelled(actor=OPERATOR, at=STAMPED, reason=said.contents[0])
            if await durable(self._house.journal.propose(session, taken_back, said.disclosure)) is None:
                link.send(f.CancelAsk(session=session.id, reason=ENDED))
            return
        said = words(ENDED, "")
        done = e.SessionCompleted(
            actor=OPERATOR, at=STAMPED, resolution="escalated", notes=said.contents[0], checked=said.contents[1]
        )
        if await durable(self._house.journal.propose(session, done, said.disclosure)) is None:
            link.send(f.EndSession(session=session.id, outcome=session.state.state.value))

    def _let_go(self, tenant: UUID, busy: Iterable[UUID]) -> None:
        for device in self._house.live.roster.ordered(tenant):
            if device.online and device.id not in busy:
                connection = self._house.live.links.of(device.id).connection
                if connection is not None:
                    connection.close(CLOSE_SUSPENDED, "The company is suspended.")


async def look(house: House) -> None:
    """See what was changed; called by the clock."""
    await house.tenancy.look()
