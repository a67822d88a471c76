"""`caisey doctor`: looks at everything in a data folder, one line for each check, and makes session rows anew if asked to."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from caisey_core import config
from caisey_core.catalogue.catalogue import Catalogue
from caisey_core.catalogue.outcomes import CatalogueTrouble, CatalogueUnavailable
from caisey_core.domain import events as e
from caisey_core.plugin_host.choices import Choices
from caisey_core.plugin_host.discovery import OK, discover
from caisey_core.record.keys import KeyTrouble, MasterKey, unseal_signing_key
from caisey_core.record.store import Store, StoreTrouble
from caisey_core.record.stores import MASTER_KEY
from caisey_core.record.verify import events_of
from caisey_core.services import databases, rebuild
from caisey_core.services.databases import Databases, Fault
from caisey_core.services.session_check import AUDIT, Devices
from caisey_core.services.verification import verify_store

PRIVATE: Final = ("", "caisey.toml", "keys", "keys/*", "search.db*", "transfers")
SHOWN: Final = 3
LOOKS: Final = 5  # at rows that a running server may be about to write
TROUBLE: Final = (
    OSError,
    ValueError,
    TypeError,
    CatalogueTrouble,
    CatalogueUnavailable,
    KeyTrouble,
    StoreTrouble,
    config.ConfigError,
)


class Check(Struct, frozen=True):
    """What was looked at, whether it is in order, and what was found."""

    name: str
    ok: bool
    words: str


async def examine(data: Path, database: str = "", *, anew: bool = False) -> AsyncIterator[Check]:
    """Check a data folder and its database, also while it is served. With `anew` session rows are made from the record first.

    Without an address the settings say where the database is; if they do not, the rest is not looked at.
    """
    try:
        settings = config.load(data)
        where = databases.of(data, database or settings.database)
    except TROUBLE as error:
        yield Check("settings", False, f"cannot be used, and the rest was not looked at: {error}")
        return
    yield Check("settings", True, f"served at {settings.url}")
    yield _check(where, "permissions", lambda: _permissions(where))
    yield _check(where, "keys", lambda: _keys(where))
    for name, look in where.looks():
        yield _check(where, name, look)
    yield _check(where, "record", lambda: _verified(where))
    yield _check(where, "nothing astray in the record", lambda: _strays(where))
    async for check in _catalogue(where, anew=anew):
        yield check
    yield _check(where, "files", lambda: _files(where))
    yield _check(where, "plugins", _plugins)


def _check(where: Databases, name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look())
    except Fault as fault:
        return Check(name, False, str(fault))
    except TROUBLE + where.failures as error:
        return Check(name, False, f"cannot be checked: {error}")


async def _check_later(where: Databases, name: str, look: Coroutine[Any, Any, str]) -> Check:
    try:
        return Check(name, True, await look)
    except Fault as fault:
        return Check(name, False, str(fault))
    except TROUBLE + where.failures as error:
        return Check(name, False, f"cannot be checked: {error}")


def _permissions(where: Databases) -> str:
    data, wrong = where.folder, []
    for pattern in (*PRIVATE, *where.private):
        for path in sorted(data.glob(pattern)) if pattern else [data]:
            found = path.stat()
            if found.st_mode & 0o077:
                wrong.append(f"{path} can be used by others (chmod go= {path})")
            elif found.st_uid != data.stat().st_uid:
                wrong.append(f"{path} belongs to another account than {data}")
    if wrong:
        raise Fault("; ".join(wrong[:SHOWN]))
    if os.geteuid() not in (0, data.stat().st_uid):
        raise Fault(f"{data} belongs to another account than yours")
    return "only its own account can read the data folder"


def _keys(where: Databases) -> str:
    master = MasterKey.open(where.folder / MASTER_KEY)
    with closing(where.record()) as store:
        keys = store.tenants()
    for key in keys:
        if unseal_signing_key(master, key.tenant, key.sealed).public_key().public_bytes_raw() != key.public:
            raise Fault(f"{key.origin}: the signing key does not fit the public key. Restore the record from your backup.")
    return f"the master key opens {_count(len(keys), 'signing key')}"


def _verified(where: Databases) -> str:
    with closing(where.record()) as store, store.snapshot():
        verdict = verify_store(store)
    if not verdict.ok:
        raise Fault(f"NOT VERIFIED: {verdict.broken}")
    if verdict.doubted:
        raise Fault(f"holds, but {'; '.join(verdict.doubted[:SHOWN])}")
    return f"every event is where it was written ({_count(len(verdict.proved), 'proof')}; caisey verify lists them)"


def _strays(where: Databases) -> str:
    with closing(where.record()) as store:
        if found := store.strays():
            raise Fault(found)
    return "every row belongs to a tenant, a stream and a position"


async def _catalogue(where: Databases, *, anew: bool) -> AsyncIterator[Check]:
    try:
        catalogue = await where.catalogue()
    except TROUBLE + where.failures as error:
        yield Check("catalogue", False, f"cannot be checked: {error}")
        return
    try:
        with closing(where.record()) as store:
            yield await _check_later(where, "nothing astray in the catalogue", _catalogue_strays(catalogue, store))
            yield await _check_later(where, "devices", _devices(catalogue, store))
            yield await _check_later(where, "plugins' settings", _settings(where, catalogue))
            if anew:
                yield await _check_later(where, "rebuild", _rebuild(catalogue, store))
            yield await _check_later(where, "session rows", _rows(catalogue, store))
    except TROUBLE + where.failures as error:
        yield Check("catalogue", False, f"cannot be checked: {error}")
    finally:
        await catalogue.close()


async def _catalogue_strays(catalogue: Catalogue, store: Store) -> str:
    if found := await catalogue.strays():
        raise Fault(", ".join(f"{count} rows of {table} belong to no tenant" for table, count in found.items()))
    known = {key.tenant for key in store.tenants()}
    for tenant in await catalogue.tenants.all():
        if tenant.id not in known:
            raise Fault(f"{tenant.name} has no record: the two databases do not belong together. Restore both from one backup.")
    return "every row belongs to a tenant that has a record"


async def _devices(catalogue: Catalogue, store: Store) -> str:
    count = 0
    for tenant in await catalogue.tenants.all():
        enrolled = Devices()
        for row in events_of(store, tenant.id, AUDIT):
            enrolled.take(row.position, e.decode(row.event))
        kept = {str(device.id): device for device in await catalogue.devices.all(tenant.id)}
        for identity, device in kept.items():
            if enrolled.keys.get(identity) != device.key:
                raise Fault(f"{device.name}: its key is not the one with which the audit log says that it enrolled")
        if lost := enrolled.keys.keys() - kept.keys():
            names = ", ".join(enrolled.names[one] for one in sorted(lost)[:SHOWN])
            raise Fault(f"{len(lost)} enrolled devices are not in the catalogue: {names}. Enrol them again.")
        count += len(kept)
    return f"{_count(count, 'device')}, each with the key that the audit log names"


async def _settings(where: Databases, catalogue: Catalogue) -> str:
    choices = Choices(catalogue.plugin_choices, MasterKey.open(where.folder / MASTER_KEY))
    count = 0
    for tenant in await catalogue.tenants.all():
        for plugin in (await choices.of(tenant.id)).plugins.values():
            if plugin.trouble:
                raise Fault(f"{tenant.name}: {plugin.plugin}: {plugin.trouble}")
            count += plugin.settings is not None
    return f"the master key opens those of {_count(count, 'plugin')}"


async def _rebuild(catalogue: Catalogue, store: Store) -> str:
    gone = await catalogue.sessions.drop_strays()
    count = 0
    for tenant in await catalogue.tenants.all():
        count += await rebuild.rebuild(catalogue, store, tenant.id)
    return f"made {_count(count, 'session row')} from the record" + (f", removed {gone} of no tenant" if gone else "")


async def _rows(catalogue: Catalogue, store: Store) -> str:
    count = 0
    for tenant in await catalogue.tenants.all():
        for _ in range(LOOKS):
            if not (found := await rebuild.difference(catalogue, store, tenant.id)):
                break
            await asyncio.sleep(0.3)  # a running server writes a row a moment after the event
        if found:
            raise Fault(f"not what the record makes them: {found.words()}. Make them anew: caisey doctor --rebuild")
        count += sum(head.stream.startswith(rebuild.KIND) for head in store.heads(tenant.id))
    return f"{_count(count, 'session row')}, each what the record makes it"


def _files(where: Databases) -> str:
    folder = where.folder / "transfers"
    there = sorted(folder.iterdir()) if folder.is_dir() else []
    if not there:
        return "no contents of files are kept now"
    with closing(where.record()) as store:
        known = dict(_contents(store))
    wrong, under_way = [], 0
    for path in there:
        content = known.get(path.name)
        if content is None:
            wrong.append(f"{path.name} belongs to no open session")
        elif not content:
            under_way += 1
        elif _sha256(path) != content:
            wrong.append(f"{path.name} is not what the record says that it is")
    if wrong:
        raise Fault(f"{'; '.join(wrong[:SHOWN])}. Delete them: {folder}")
    return f"{_count(len(there), 'file')}, each what the record says" + (f", {under_way} under way" if under_way else "")


def _contents(store: Store) -> Iterator[tuple[str, bytes]]:
    """Yield transfers of open sessions with the SHA-256 of their content; empty while it is not known."""
    for key in store.tenants():
        for head in store.heads(key.tenant):
            if head.sealed or not head.stream.startswith(rebuild.KIND):
                continue
            for row in events_of(store, key.tenant, head.stream):
                match e.decode(row.event):
                    case e.TransferAccepted(transfer=UUID() as transfer, content=content):
                        yield str(transfer), content
                    case e.TransferFinished(transfer=UUID() as transfer, content=content):
                        yield str(transfer), content


def _sha256(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _plugins() -> str:
    found = discover()
    if broken := [f"{one.entry_point}: {one.verdict}" for one in found if one.verdict != OK]:
        raise Fault("; ".join(broken[:SHOWN]))
    return f"{_count(len(found), 'plugin')} can be used"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
