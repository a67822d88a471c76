"""Installers: tokens with which devices enrol."""

import builtins
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from caisey_core.catalogue.devices import Device
from caisey_core.catalogue.engine import CatalogueEngine, system_scope
from caisey_core.catalogue.outcomes import Taken, scoped, unless_taken
from caisey_core.catalogue.rows import insert, many, one
from caisey_core.catalogue.tables import DeviceTable, InstallerTable


class Installer(Struct, frozen=True, kw_only=True):
    """`client` None: for the tenant; `uses` None: unlimited."""

    id: UUID
    client: UUID | None
    device_name: str
    token_hash: bytes
    created_by: UUID
    created_by_name: str
    created_at: int
    expires_at: int | None
    uses: int | None
    uses_left: int | None
    revoked_at: int | None
    replaced_by: UUID | None


class Installers:
    """Queries over installers."""

    def __init__(self, engine: CatalogueEngine) -> None:
        self._engine = engine

    @scoped
    async def create(self, tenant: UUID, installer: Installer) -> None:
        """Add an installer."""
        await insert(InstallerTable, tenant, installer)

    @scoped
    async def list(self, tenant: UUID) -> builtins.list[Installer]:
        """Return all installers, newest first."""
        t = InstallerTable
        return many(Installer, await t.select().where(t.tenant == tenant).order_by(t.created_at, ascending=False))

    async def by_hash(self, token_hash: bytes) -> tuple[UUID, Installer] | None:
        """Return tenant and installer of a token."""
        t = InstallerTable
        with system_scope():
            rows = await t.select().where(t.token_hash == token_hash).limit(1)
        found = one(Installer, rows)
        return (rows[0]["tenant"], found) if found is not None else None

    @scoped
    async def enrol(self, tenant: UUID, installer: UUID, device: Device, now: int) -> Taken | bool | None:
        """Take one use of an installer and add the device, both or neither.

        True: done. None: the installer is expired, used up or revoked by now. Taken: the device's key is known.
        """
        t = InstallerTable
        async with self._engine.transaction() as transaction:
            valid = (t.tenant == tenant) & (t.id == installer) & t.revoked_at.is_null()
            valid &= t.expires_at.is_null() | (t.expires_at > now)
            valid &= t.uses_left.is_null() | (t.uses_left > 0)  # unlimited: NULL - 1 is NULL
            if not await t.update({t.uses_left: t.uses_left - 1}).where(valid).returning(t.id):
                return None
            taken = await unless_taken(insert(DeviceTable, tenant, device))
            if taken is not None:
                await transaction.rollback()
                return taken
        return True

    @scoped
    async def rotate(self, tenant: UUID, installer: UUID, new: UUID, token_hash: bytes, now: int) -> Installer | None:
        """Revoke an installer and add one with the same limits and another token, both or neither."""
        t = InstallerTable
        async with self._engine.transaction():
            rows = await (
                t.update({t.revoked_at: now, t.replaced_by: new})
                .where((t.tenant == tenant) & (t.id == installer) & t.revoked_at.is_null())
                .returning(*t.all_columns())
            )
            old = one(Installer, rows)
            if old is None:
                return None
            fresh = replace(old, id=new, token_hash=token_hash, created_at=now, revoked_at=None, replaced_by=None)
            await insert(t, tenant, fresh)
        return fresh

    @scoped
    async def revoke(self, tenant: UUID, installer: UUID, now: int) -> bool:
        """Stop an installer; False if there is none to stop."""
        t = InstallerTable
        stopped = await (
            t.update({t.revoked_at: now})
            .where((t.tenant == tenant) & (t.id == installer) & t.revoked_at.is_null())
            .returning(t.id)
        )
        return bool(stopped)
