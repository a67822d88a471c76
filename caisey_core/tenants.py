"""The operator's commands about companies: they write to the databases, also while a server runs on the same data folder.

A running server sees within two seconds what they did (services/tenancy.py).
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

from msgspec import Struct

from caisey_core.catalogue.catalogue import Catalogue
from caisey_core.catalogue.tenants import Tenant
from caisey_core.clock import Clock
from caisey_core.config import Config
from caisey_core.domain import events as e
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import Role
from caisey_core.installation import add_member, announce_tenant, slug_of
from caisey_core.plugin_host.choices import Choices
from caisey_core.plugin_host.host import PluginHost
from caisey_core.record.keys import MasterKey
from caisey_core.record.stores import open_store
from caisey_core.record.writer import Record
from caisey_core.services import sign_in
from caisey_core.services.house import House, Live
from caisey_core.services.journal import STAMPED, Journal
from caisey_core.services.tenancy import OPERATOR

SLUG: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
LONGEST_REASON: Final = 500


class TenantTrouble(Exception):
    """What was asked for about a company cannot be; the message says why and what to do."""


class Begun(Struct, frozen=True):
    """A new company, and the link with which its first admin signs in once."""

    tenant: Tenant
    link: str


@asynccontextmanager
async def desk(data: Path, config: Config) -> AsyncIterator[House]:
    """Open the parts that these commands need: no session is taken up, no device heard, no plugin run.

    Raises StoreTrouble, KeyTrouble, CatalogueTrouble.
    """
    master = MasterKey.open(data / "keys" / "master.key")
    record = Record(open_store(data, config.database), master)
    await record.start()
    try:
        catalogue = await Catalogue.open(config.database or data / "catalogue.db")
        try:
            plugins = PluginHost(catalogue.plugin_store, Choices(catalogue.plugin_choices, master), installed=[])
            house = House(config, data, Clock(), catalogue, record, plugins, Live())
            house.journal = Journal(record, house.clock)
            yield house
        finally:
            await catalogue.close()
    finally:
        await record.close()


async def create(house: House, name: str, slug: str, admin: str, email: str) -> Begun:
    """Begin a company: its record key, its audit log, its first admin. Raises TenantTrouble.

    Its row comes last but for the admin: a crash before it leaves a key that nobody uses.
    """
    name = " ".join(name.split())
    if not 1 <= len(name) <= 100:
        raise TenantTrouble("The company's name is missing or longer than 100 characters.")
    chosen = slug or await _free(house, slug_of(name))
    if not SLUG.fullmatch(chosen):
        raise TenantTrouble("The address may have small letters, digits and hyphens between them, 40 at most.")
    if await house.catalogue.tenants.by_slug(chosen) is not None:
        raise TenantTrouble(f"Another company has the address {chosen}. Choose one with --slug.")
    if email.count("@") != 1 or not 3 <= len(email) <= 254:
        raise TenantTrouble(f"{email} is no e-mail address. Give the admin's with --admin-email.")
    tenant = Tenant(uuid4(), chosen, name, house.clock.now())
    await house.record.create_tenant(tenant.id, f"{house.config.deployment}/{tenant.id}")
    await announce_tenant(house, tenant)
    if await house.catalogue.tenants.create(tenant) is not None:
        raise TenantTrouble(f"Another company has the address {chosen}. Choose one with --slug.")
    row = await add_member(house, tenant, admin, email, Role.ADMIN)
    return Begun(tenant, await sign_in.new_link(house, tenant.id, OPERATOR, row.id, reusable=False))


async def _free(house: House, slug: str) -> str:
    taken = {tenant.slug for tenant in await house.catalogue.tenants.all()}
    number, chosen = 1, slug
    while chosen in taken:
        number += 1
        chosen = f"{slug[:36]}-{number}"
    return chosen


async def _of(house: House, slug: str) -> Tenant:
    tenant = await house.catalogue.tenants.by_slug(slug)
    if tenant is None:
        raise TenantTrouble(f"There is no company with the address {slug}. List them with: caisey tenant list")
    await house.journal.open_audit(tenant.id)
    return tenant


async def link(house: House, slug: str, email: str) -> str:
    """Make another one-time link for an admin of a company: the one with this address, or the first. Raises TenantTrouble."""
    tenant = await _of(house, slug)
    rows = await house.catalogue.members.list(tenant.id)
    admins = [row for row in rows if row.active and row.role == Role.ADMIN and row.clients is None]
    found = next((row for row in admins if email.lower() in ("", row.email)), None)
    if found is None:
        raise TenantTrouble(f"{tenant.name} has no such admin. Its admins: {', '.join(row.email for row in admins) or 'none'}.")
    return await sign_in.new_link(house, tenant.id, OPERATOR, found.id, reusable=False)


async def suspend(house: House, slug: str, reason: str) -> Tenant:
    """Close a company's doors; its data stays. Raises TenantTrouble."""
    tenant = await _of(house, slug)
    reason = " ".join(reason.split())
    if not 1 <= len(reason) <= LONGEST_REASON:
        raise TenantTrouble(f"The reason is missing or longer than {LONGEST_REASON} characters. Give it with --reason.")
    if tenant.suspended_at is not None:
        raise TenantTrouble(f"{tenant.name} is suspended already: {tenant.suspended_reason}")
    _written(await house.journal.audit(tenant.id, e.TenantSuspended(actor=OPERATOR, at=STAMPED, reason=reason)))
    await house.catalogue.tenants.suspend(tenant.id, house.clock.now(), reason)
    await house.catalogue.sign_ins.delete_sessions(tenant.id)
    return tenant


async def resume(house: House, slug: str) -> Tenant:
    """Open a company's doors again. Raises TenantTrouble."""
    tenant = await _of(house, slug)
    if tenant.suspended_at is None:
        raise TenantTrouble(f"{tenant.name} is not suspended.")
    _written(await house.journal.audit(tenant.id, e.TenantResumed(actor=OPERATOR, at=STAMPED)))
    await house.catalogue.tenants.suspend(tenant.id, None, "")
    return tenant


def _written(refused: Refused | None) -> None:
    if refused is not None:
        raise TenantTrouble(f"{refused.reason} {refused.what_to_do}")
