"""New keys for secrets that are kept: each tenant's, and the master key that seals those and the signing keys.

What breaks off leaves everything readable: a tenant's secrets change together with its key in one transaction, and while the
master key is replaced both are there, the new one beside the old one (record/keys.py). Doing it again goes on from there.
"""

import os
from pathlib import Path

from caisey_core.catalogue.catalogue import Catalogue
from caisey_core.clock import Clock
from caisey_core.domain import events as e
from caisey_core.plugin_host.choices import Choices
from caisey_core.plugin_host.sealing import Unreadable
from caisey_core.record.keys import ENVIRONMENT, FOLLOWING, SIGNING, KeyTrouble, MasterKey, prepare_following, take_following
from caisey_core.record.store import Store, StoreTrouble
from caisey_core.record.stores import MASTER_KEY
from caisey_core.record.writer import Record
from caisey_core.services.databases import Databases
from caisey_core.services.journal import STAMPED, Journal
from caisey_core.services.tenancy import OPERATOR


async def rotate(where: Databases, *, new_master: bool) -> tuple[str, ...]:
    """Give every tenant a new key, and the installation a new master key if wanted; return what was done, in words.

    No server may run on this folder, and with a new master key none on its database. Raises KeyTrouble, StoreTrouble,
    CatalogueTrouble, OSError.
    """
    path = where.folder / MASTER_KEY
    master = _both(path) if new_master else MasterKey.open(path)
    following = master.following
    catalogue = await where.catalogue()
    try:
        store = where.record()
        record = Record(store, master)
        await record.start()
        try:
            counts = await _new_tenant_keys(catalogue, record, following or master, master=following is not None)
            if following is not None:
                _reseal(store, following)
        finally:
            await record.close()
    finally:
        await catalogue.close()
    lines = tuple(f"{name}: {_count(count)} under a new key." for name, count in counts.items())
    return lines if following is None else (*lines, _replace(path))


def _both(path: Path) -> MasterKey:
    """Return the master key with the one that is to follow it."""
    if ENVIRONMENT not in os.environ:
        prepare_following(path)
    elif FOLLOWING not in os.environ:
        raise KeyTrouble(f"The master key comes by {ENVIRONMENT}: give the new one as {FOLLOWING} (openssl rand -hex 32).")
    return MasterKey.open(path)


async def _new_tenant_keys(catalogue: Catalogue, record: Record, sealing: MasterKey, *, master: bool) -> dict[str, int]:
    clock = Clock()
    choices, journal, counts = Choices(catalogue.plugin_choices, sealing), Journal(record, clock), {}
    for tenant in await catalogue.tenants.all():
        try:
            async with choices.changing(tenant.id, clock.now()) as change:
                counts[tenant.name] = await change.new_key()
        except Unreadable as error:
            raise KeyTrouble(f"{tenant.name}: {error} Then begin again.") from error
        await journal.open_audit(tenant.id)
        event = e.KeysRotated(actor=OPERATOR, at=STAMPED, secrets=counts[tenant.name], master=master)
        if (refused := await journal.audit(tenant.id, event)) is not None:
            raise StoreTrouble(f"{refused.reason} The keys of {tenant.name} are new, but its audit log could not say so.")
    return counts


def _reseal(store: Store, following: MasterKey) -> None:
    signing = {key.tenant: following.unseal(key.tenant, SIGNING, key.sealed) for key in store.tenants()}
    store.reseal({tenant: following.seal(tenant, SIGNING, key) for tenant, key in signing.items()}, following.fingerprint)


def _replace(path: Path) -> str:
    if ENVIRONMENT in os.environ:
        return f"The master key is new. Give it as {ENVIRONMENT} from now on, and take {FOLLOWING} away."
    take_following(path)
    return f"The master key {path} is new. Keep a copy of it at another place; copies of the old one open backups from before only."


def _count(secrets: int) -> str:
    return f"{secrets} secret{'' if secrets == 1 else 's'}"
