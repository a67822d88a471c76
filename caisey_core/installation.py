"""A new installation, and one that is served."""

import json
import re
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from caisey_core import config as settings
from caisey_core.catalogue.catalogue import Catalogue
from caisey_core.catalogue.members import MemberRow
from caisey_core.catalogue.tenants import Tenant
from caisey_core.config import Config, ConfigError
from caisey_core.domain import events as e
from caisey_core.domain.roles import Role
from caisey_core.record.keys import MasterKey
from caisey_core.record.stores import create_store, open_store, refuse_unless_empty
from caisey_core.record.writer import Record
from caisey_core.services import members, sign_in
from caisey_core.services.house import House
from caisey_core.services.tenancy import OPERATOR


def slug_of(name: str) -> str:
    """Return a tenant's name as a part of addresses."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "msp"


def make_folder(data: Path, config: Config) -> None:
    """Make an empty data folder. Raises ConfigError, StoreTrouble for a folder or a database that holds something."""
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise ConfigError(f"{data} is not empty. Choose a new folder; an installation is never begun over another.")
    refuse_unless_empty(config.database)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    MasterKey.create(data / "keys" / "master.key")
    create_store(data, config.database).close()


async def make_tenant(data: Path, config: Config, name: str) -> Tenant:
    """Make the first tenant with its record key, in a folder that was just made; its settings file comes last."""
    catalogue = await Catalogue.create(config.database or data / "catalogue.db")
    record = Record(open_store(data, config.database), MasterKey.open(data / "keys" / "master.key"))
    await record.start()
    try:
        tenant = Tenant(uuid4(), slug_of(name), name, 0)
        await record.create_tenant(tenant.id, f"{config.deployment}/{tenant.id}")
        await catalogue.tenants.create(tenant)
    finally:
        await record.close()
        await catalogue.close()
    settings.write(data, config)
    return tenant


async def add_member(house: House, tenant: Tenant, name: str, email: str, role: Role) -> MemberRow:
    """Add a member, said in the audit log by the operator."""
    row = MemberRow(
        id=uuid4(),
        name=name,
        email=email.lower(),
        role=role.value,
        plugin="local-accounts",
        subject=email.lower(),
        active=True,
        created_at=house.clock.now(),
    )
    await members.add(house, tenant.id, OPERATOR, row)
    return row


async def announce_tenant(house: House, tenant: Tenant) -> None:
    """Begin the tenant's audit log."""
    await house.journal.audit(
        tenant.id,
        e.TenantCreated(actor=OPERATOR, at=0, tenant=tenant.id, name=tenant.name, key=house.record.vkey(tenant.id)),
    )


async def create(data: Path, *, tenant: str, name: str, email: str, url: str, port: int, database: str) -> str:
    """Make an installation with one tenant and its admin; returns the link with which the admin signs in once."""
    from caisey_core.app import close_house, open_house

    config = Config(public_url=url, port=port, deployment=urlsplit(url).hostname or Config().deployment, database=database)
    make_folder(data, config)
    made = await make_tenant(data, config, tenant)
    house = await open_house(data, config)
    try:
        await announce_tenant(house, made)
        admin = await add_member(house, made, name, email, Role.ADMIN)
        return await sign_in.new_link(house, made.id, OPERATOR, admin.id, reusable=False)
    finally:
        await close_house(house)


async def serve(data: Path, config: Config, ready_file: Path | None) -> int:
    """Serve an installation until it is stopped."""
    from caisey_core.server import serve as run

    async def ready(house: House) -> None:
        print(f"Caisey serves {data} at {house.config.url}", flush=True)
        if ready_file is not None:
            write_ready(ready_file, json.dumps({"url": house.config.url}))

    await run(data, config, ready)
    return 0


def write_ready(path: Path, text: str) -> None:
    """Write a ready file as a whole, for its owner only: whoever waits for it never reads half of it."""
    temporary = path.with_name(path.name + ".new")
    temporary.touch(mode=0o600)
    temporary.write_text(text)
    temporary.replace(path)
