"""`caisey doctor`: looks at everything in a data folder, one line for each check, and makes session rows anew if asked to."""

import asyncio
import hashlib
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from caisey_core import config
from caisey_core.catalogue.catalogue import Catalogue
from caisey_core.catalogue.outcomes import CatalogueTrouble
from caisey_core.domain import events as e
from caisey_core.plugin_host.discovery import OK, discover
from caisey_core.record.keys import KeyTrouble, MasterKey, unseal_signing_key
from caisey_core.record.sqlite import SqliteStore
from caisey_core.record.store import Store, StoreTrouble
from caisey_core.record.verify import events_of
from caisey_core.services import databases, rebuild
from caisey_core.services.verification import AUDIT, Devices, verify_folder

PRIVATE: Final = ("", "caisey.toml", "keys", "keys/*", "record.db*", "catalogue.db*", "transfers")
SHOWN: Final = 3
LOOKS: Final = 5  # at rows that a running server may be about to write
TROUBLE: Final = (OSError, sqlite3.Error, ValueError, TypeError, CatalogueTrouble, KeyTrouble, StoreTrouble, config.ConfigError)


class Check(Struct, frozen=True):
    """What was looked at, whether it is in order, and what was found."""

    name: str
    ok: bool
    words: str


class _Wrong(Exception):
    """A check found something; the words say what and what to do."""


async def examine(data: Path, *, anew: bool = False) -> AsyncIterator[Check]:
    """Check a data folder, also while its server runs. With `anew` the session rows are made from the record first."""
    yield _check("settings", lambda: _settings(data))
    yield _check("permissions", lambda: _permissions(data))
    yield _check("keys", lambda: _keys(data))
    yield _check("record file", lambda: _pages(data / "record.db"))
    yield _check("catalogue file", lambda: _pages(data / "catalogue.db"))
    yield _check("record", lambda: _verified(data))
    yield _check("nothing astray in the record", lambda: _strays(data))
    async for check in _catalogue(data, anew=anew):
        yield check
    yield _check("files", lambda: _files(data))
    yield _check("plugins", _plugins)


def _check(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look())
    except _Wrong as wrong:
        return Check(name, False, str(wrong))
    except TROUBLE as error:
        return Check(name, False, f"cannot be checked: {error}")


async def _check_later(name: str, look: Coroutine[Any, Any, str]) -> Check:
    try:
        return Check(name, True, await look)
    except _Wrong as wrong:
        return Check(name, False, str(wrong))
    except TROUBLE as error:
        return Check(name, False, f"cannot be checked: {error}")


def _settings(data: Path) -> str:
    return f"served at {config.load(data).url}"


def _permissions(data: Path) -> str:
    wrong = []
    for pattern in PRIVATE:
        for path in sorted(data.glob(pattern)) if pattern else [data]:
            found = path.stat()
            if found.st_mode & 0o077:
                wrong.append(f"{path} can be used by others (chmod go= {path})")
            elif found.st_uid != data.stat().st_uid:
                wrong.append(f"{path} belongs to another account than {data}")
    if wrong:
        raise _Wrong("; ".join(wrong[:SHOWN]))
    if os.geteuid() not in (0, data.stat().st_uid):
        raise _Wrong(f"{data} belongs to another account than yours")
    return "only its own account can read the data folder"


def _keys(data: Path) -> str:
    master = MasterKey.open(data / "keys" / "master.key")
    store = SqliteStore.open(data / "record.db")
    try:
        keys = store.tenants()
        for key in keys:
            if unseal_signing_key(master, key.tenant, key.sealed).public_key().public_bytes_raw() != key.public:
                raise _Wrong(f"{key.origin}: the signing key does not fit the public key. Restore the record from your backup.")
    finally:
        store.close()
    return f"the master key opens {_count(len(keys), 'signing key')}"


def _pages(path: Path) -> str:
    if found := databases.faults(path):
        raise _Wrong(f"{path} is damaged: {'; '.join(found)}. Restore it from your backup.")
    return f"{path.stat().st_size >> 10} KiB, no page is damaged"


def _verified(data: Path) -> str:
    verdict = verify_folder(data)
    if not verdict.ok:
        raise _Wrong(f"NOT VERIFIED: {verdict.broken}")
    if verdict.doubted:
        raise _Wrong(f"holds, but {'; '.join(verdict.doubted[:SHOWN])}")
    return f"every event is where it was written ({_count(len(verdict.proved), 'proof')}; caisey verify lists them)"


def _strays(data: Path) -> str:
    store = SqliteStore.open(data / "record.db")
    try:
        if found := store.strays():
            raise _Wrong(found)
    finally:
        store.close()
    return "every row belongs to a tenant, a stream and a position"


async def _catalogue(data: Path, *, anew: bool) -> AsyncIterator[Check]:
    try:
        catalogue, store = await Catalogue.open(data / "catalogue.db"), SqliteStore.open(data / "record.db")
    except TROUBLE as error:
        yield Check("catalogue", False, f"cannot be checked: {error}")
        return
    try:
        yield await _check_later("nothing astray in the catalogue", _catalogue_strays(catalogue, store))
        yield await _check_later("devices", _devices(catalogue, store))
        if anew:
            yield await _check_later("rebuild", _rebuild(catalogue, store))
        yield await _check_later("session rows", _rows(catalogue, store))
    finally:
        store.close()
        await catalogue.close()


async def _catalogue_strays(catalogue: Catalogue, store: Store) -> str:
    if found := await catalogue.strays():
        raise _Wrong(", ".join(f"{count} rows of {table} belong to no tenant" for table, count in found.items()))
    known = {key.tenant for key in store.tenants()}
    for tenant in await catalogue.tenants.all():
        if tenant.id not in known:
            raise _Wrong(
                f"{tenant.name} has no record: the two databases do not belong together. Restore both from one backup."
            )
    return "every row belongs to a tenant that has a record"


async def _devices(catalogue: Catalogue, store: Store) -> str:
    count = 0
    for tenant in await catalogue.tenants.all():
        enrolled = Devices()
        for row in events_of(store, tenant.id, AUDIT):
            enrolled.take(row)
        kept = {str(device.id): device for device in await catalogue.devices.all(tenant.id)}
        for identity, device in kept.items():
            if enrolled.keys.get(identity) != device.key:
                raise _Wrong(f"{device.name}: its key is not the one with which the audit log says that it enrolled")
        if lost := enrolled.keys.keys() - kept.keys():
            names = ", ".join(enrolled.names[one] for one in sorted(lost)[:SHOWN])
            raise _Wrong(f"{len(lost)} enrolled devices are not in the catalogue: {names}. Enrol them again.")
        count += len(kept)
    return f"{_count(count, 'device')}, each with the key that the audit log names"


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
            raise _Wrong(f"not what the record makes them: {found.words()}. Make them anew: caisey doctor --rebuild")
        count += sum(head.stream.startswith(rebuild.KIND) for head in store.heads(tenant.id))
    return f"{_count(count, 'session row')}, each what the record makes it"


def _files(data: Path) -> str:
    folder = data / "transfers"
    there = sorted(folder.iterdir()) if folder.is_dir() else []
    if not there:
        return "no contents of files are kept now"
    store = SqliteStore.open(data / "record.db")
    try:
        known = dict(_contents(store))
    finally:
        store.close()
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
        raise _Wrong(f"{'; '.join(wrong[:SHOWN])}. Delete them: {folder}")
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
        raise _Wrong("; ".join(broken[:SHOWN]))
    return f"{_count(len(found), 'plugin')} can be used"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
