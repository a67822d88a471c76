"""A whole installation in one file, made while its server runs; and back into a new folder, only if all of it holds.

What differs between files and PostgreSQL is in databases.py and beside it. A restore is made beside its place and moved there as a
whole, so that what breaks off leaves nothing that could be served.
"""

import contextlib
import hashlib
import os
import secrets
import shutil
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
from msgspec import Struct

from caisey_core import __version__, config
from caisey_core.record import checkpoint as notes
from caisey_core.record.keys import ENVIRONMENT, KeyTrouble, MasterKey, following_path, unseal_signing_key
from caisey_core.record.store import Store
from caisey_core.services.databases import FILES, POSTGRESQL, BackupTrouble, Databases
from caisey_core.services.session_check import time_of
from caisey_core.services.verification import verify_store

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
KEY: Final = "keys/master.key"
SETTINGS: Final = "caisey.toml"
LARGEST_MANIFEST: Final = 64 << 20  # bytes
OTHER_KIND: Final = {
    FILES: "This backup is of files in a data folder, and is restored to such: leave --database and CAISEY_DATABASE away.",
    POSTGRESQL: "This backup is of a PostgreSQL database, and is restored to an empty one: name it with --database ADDRESS.",
}
_PIECE: Final = 1 << 20


class Member(Struct, frozen=True):
    """One file of a backup."""

    name: str
    size: int
    sha256: str


class Manifest(Struct, frozen=True, kw_only=True):
    """What a backup holds, written into it last."""

    format: int
    caisey: str
    made_at: int  # UTC microseconds
    checkpoints: tuple[str, ...]  # the newest signed checkpoint of each tenant's log
    files: tuple[Member, ...]
    databases: str = FILES  # their kind


def make(databases: Databases, to: Path, *, with_master_key: bool) -> tuple[str, ...]:
    """Make a backup and return what was done, in words. Raises BackupTrouble, ConfigError, StoreTrouble, OSError."""
    data = databases.folder
    config.load(data)
    if with_master_key and ENVIRONMENT in os.environ:
        raise BackupTrouble(
            f"The master key comes by {ENVIRONMENT} and lies in no file: keep it where it is, and leave it out here."
        )
    if following_path(data / KEY).exists():
        raise BackupTrouble("The master key is being replaced, and that broke off. End it first:  caisey rotate-keys")
    if to.exists():
        raise BackupTrouble(f"{to} exists already; a backup is never written over a file. Choose another name.")
    with tempfile.TemporaryDirectory(prefix=".caisey-backup-", dir=to.absolute().parent) as folder:
        snapshot = Path(folder)
        with databases.copied(snapshot) as copied:
            checkpoints = _checkpoints(copied.store, "The record does not hold, so no backup was made of it")
        (snapshot / SETTINGS).write_bytes(config.without_password(data))
        partial = snapshot / "backup"
        with zipfile.ZipFile(partial, "x", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
            members = [_pack(packed, snapshot / name, name) for name in (*copied.names, SETTINGS)]
            members += [_pack(packed, path, name) for path, name in _others(data, with_master_key=with_master_key)]
            manifest = Manifest(
                format=FORMAT,
                caisey=__version__,
                made_at=time.time_ns() // 1000,
                checkpoints=checkpoints,
                files=tuple(member for member in members if member is not None),
                databases=databases.kind,
            )
            packed.writestr(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
        _sync(partial)
        _place(partial, to)
    _sync(to.absolute().parent)
    return (*_summary(manifest, f"{to} holds"), _about_key(with_master_key=with_master_key, data=data))


def _place(partial: Path, to: Path) -> None:
    try:
        os.link(partial, to)  # fails rather than replace what came there meanwhile
    except FileExistsError:
        raise BackupTrouble(f"{to} exists already; a backup is never written over a file. Choose another name.") from None
    except OSError:
        partial.rename(to)  # a file system without links


def _checkpoints(store: Store, otherwise: str) -> tuple[str, ...]:
    """Verify a record and return the newest checkpoint of each tenant's log. Raises BackupTrouble."""
    with store.snapshot():
        verdict = verify_store(store)
        if not verdict.ok:
            raise BackupTrouble(f"{otherwise}: {verdict.broken}")
        return tuple(store.checkpoint(key.tenant) for key in store.tenants())


def _others(data: Path, *, with_master_key: bool) -> Iterator[tuple[Path, str]]:
    if with_master_key:
        yield data / KEY, KEY
    transfers = data / "transfers"
    for path in sorted(transfers.iterdir()) if transfers.is_dir() else []:
        yield path, f"transfers/{path.name}"


def _pack(packed: zipfile.ZipFile, path: Path, name: str) -> Member | None:
    """Add a file; None for a transfer's content that was destroyed meanwhile."""
    sha256, size = hashlib.sha256(), 0
    try:
        file = path.open("rb")
    except FileNotFoundError:
        if name.startswith("transfers/"):
            return None
        raise
    with file, packed.open(zipfile.ZipInfo(name, time.gmtime()[:6]), "w", force_zip64=True) as out:
        while piece := file.read(_PIECE):
            sha256.update(piece)
            size += len(piece)
            out.write(piece)
    return Member(name, size, sha256.hexdigest())


def _about_key(*, with_master_key: bool, data: Path) -> str:
    if with_master_key:
        return "The master key is in it: whoever has this file can sign as this installation. Keep it under lock."
    return f"The master key is NOT in it. Keep a copy of {data / KEY} at another place: without it nothing can be served again."


def _summary(manifest: Manifest, verb: str) -> Iterator[str]:
    size = sum(member.size for member in manifest.files)
    contents = sum(member.name.startswith("transfers/") for member in manifest.files)
    yield f"{verb} the settings, the catalogue, the record and {contents} contents of files: {size >> 10} KiB, {time_of(manifest.made_at)}."
    for note in manifest.checkpoints:
        checkpoint = notes.parse(note.partition("\n\n")[0] + "\n")
        yield f"{checkpoint.origin}: up to checkpoint {checkpoint.size}; every event was verified."


async def restore(file: Path, databases: Databases, master_key: Path | None) -> tuple[str, ...]:
    """Put a backup into a new folder, and into an empty database if it is of one; return what was done, in words.

    Raises BackupTrouble, and leaves nothing behind, for anything that does not hold.
    """
    data = databases.folder
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise BackupTrouble(f"{data} is not empty. A backup is never restored over anything: choose a new folder.")
    databases.refuse_unless_empty()
    parent = data.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    place = parent / f".{data.name}.restoring-{secrets.token_hex(4)}"
    place.mkdir(mode=0o700)

    def move() -> None:
        nonlocal place
        for path in [*place.rglob("*"), place]:
            _sync(path)
        if data.exists():
            data.rmdir()
        place = place.rename(data)
        _sync(parent)

    try:
        manifest = _unpack(file, place, databases)
        if master_key is not None:
            _take_key(master_key, place)
        with databases.restored(place) as restored:
            _hold(place, restored.store, manifest)
            count = await restored.make_session_rows()
            restored.settle(move)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    has_key = (data / KEY).exists() or ENVIRONMENT in os.environ
    return (
        *_summary(manifest, f"{data} has"),
        f"{count} session rows were made from the record.",
        "What devices saw after that is gone from here: each of them refuses this server until the person there runs "
        "caisey-agent forget-history.",
        f"Start it:  caisey serve --data {data}"
        if has_key
        else f"The master key was not in the backup. Put your copy at {data / KEY} (mode 600), then:  caisey serve --data {data}",
    )


def _unpack(file: Path, to: Path, databases: Databases) -> Manifest:
    try:
        with zipfile.ZipFile(file) as packed:
            manifest = _manifest(packed)
            if manifest.databases != databases.kind:
                raise BackupTrouble(OTHER_KIND.get(manifest.databases, "The backup was made by a newer version. Install that."))
            for member in manifest.files:
                _extract(packed, member, to, databases)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise BackupTrouble(f"{file} is no whole backup ({error}). Take another one.") from error
    except KeyError as error:
        raise BackupTrouble(f"{file} is no backup of Caisey, or a part is missing: {error.args[0]}") from error
    if not (to / SETTINGS).is_file():
        raise BackupTrouble(f"{file} is no backup of Caisey: it has no {SETTINGS}.")
    return manifest


def _manifest(packed: zipfile.ZipFile) -> Manifest:
    if packed.getinfo(MANIFEST).file_size > LARGEST_MANIFEST:
        raise BackupTrouble("The backup's manifest is too large.")
    try:
        manifest = msgspec.json.decode(packed.read(MANIFEST), type=Manifest)
    except msgspec.DecodeError as error:
        raise BackupTrouble(f"The backup's manifest cannot be read: {error}") from error
    if manifest.format != FORMAT:
        raise BackupTrouble(f"The backup was made by Caisey {manifest.caisey}, in another format. Install that version.")
    return manifest


def _extract(packed: zipfile.ZipFile, member: Member, to: Path, databases: Databases) -> None:
    """Write one file where it belongs, and no byte more than announced. Names are ours: nothing else is taken."""
    folder, _, name = member.name.rpartition("/")
    ours = member.name in (SETTINGS, KEY) or (folder == "transfers" and name.replace("-", "").isalnum())
    if not ours and not databases.belongs(member.name):
        raise BackupTrouble(f"The backup holds “{member.name}”, which does not belong there.")
    path = to / member.name
    path.parent.mkdir(mode=0o700, exist_ok=True)
    sha256, size = hashlib.sha256(), 0
    if path.exists():
        raise BackupTrouble(f"The backup holds “{member.name}” twice.")
    with packed.open(member.name) as source, _private(path) as out:
        while piece := source.read(_PIECE):
            size += len(piece)
            if size > member.size:
                break
            sha256.update(piece)
            out.write(piece)
    if size != member.size or sha256.hexdigest() != member.sha256:
        raise BackupTrouble(f"{member.name} in the backup is not what was put into it. Take another backup.")


@contextlib.contextmanager
def _private(path: Path) -> Iterator[BinaryIO]:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        yield file


def _take_key(master_key: Path, folder: Path) -> None:
    (folder / KEY).parent.mkdir(mode=0o700, exist_ok=True)
    if (folder / KEY).exists():
        raise BackupTrouble("The backup has the master key in it; leave --master-key away.")
    with _private(folder / KEY) as file:
        file.write(master_key.read_bytes())


def _hold(folder: Path, store: Store, manifest: Manifest) -> None:
    """Check what was put back. Raises BackupTrouble."""
    config.load(folder, {})
    if _checkpoints(store, "The record in the backup does not hold") != manifest.checkpoints:
        raise BackupTrouble("The record in the backup is not the one that its manifest names. Take another backup.")
    if (folder / KEY).exists() or ENVIRONMENT in os.environ:
        _check_key(folder, store)


def _check_key(folder: Path, store: Store) -> None:
    master = MasterKey.read(folder / KEY) if (folder / KEY).exists() else MasterKey.open(folder / KEY)
    try:
        for key in store.tenants():
            unseal_signing_key(master, key.tenant, key.sealed)
    except KeyTrouble as error:
        raise BackupTrouble("This master key is not the one of the backup. Give the right one.") from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
