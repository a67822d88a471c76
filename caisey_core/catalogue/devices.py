"""Devices: what was enrolled, where it belongs, when it was seen last."""

import builtins
from collections.abc import Collection, Sequence
from uuid import UUID

from msgspec import Struct

from caisey_core.catalogue.engine import CatalogueEngine, system_scope
from caisey_core.catalogue.outcomes import scoped
from caisey_core.catalogue.rows import many
from caisey_core.catalogue.tables import DeviceTable


class Device(Struct, frozen=True, kw_only=True):
    """`key` is its Ed25519 public key; `facts` the JSON of what it told last."""

    id: UUID
    client: UUID
    name: str
    key: bytes
    installer: UUID
    installer_label: str
    enrolled_at: int
    removed_at: int | None
    removed_reason: str
    facts: bytes | None
    last_seen: int | None


class Devices:
    """Queries over devices."""

    def __init__(self, engine: CatalogueEngine) -> None:
        self._engine = engine

    @scoped
    async def list(self, tenant: UUID) -> builtins.list[Device]:
        """Return all devices that were not removed. UUIDs are cast: Piccolo's converters would cost a second for 10,000 rows."""
        rows = await DeviceTable.raw(
            "SELECT CAST(id AS TEXT) AS id, CAST(client AS TEXT) AS client, name, key, CAST(installer AS TEXT) AS installer, "
            "installer_label, enrolled_at, removed_at, removed_reason, facts, last_seen "
            "FROM device WHERE tenant = {} AND removed_at IS NULL",
            tenant,
        )
        return many(Device, rows)

    @scoped
    async def all(self, tenant: UUID) -> builtins.list[Device]:
        """Return all devices that ever enrolled."""
        return many(Device, await DeviceTable.select().where(DeviceTable.tenant == tenant).order_by(DeviceTable.enrolled_at))

    @scoped
    async def names(self, tenant: UUID, devices: Collection[UUID]) -> dict[UUID, str]:
        """Return the names of some devices, also of those that were removed."""
        if not devices:
            return {}
        t = DeviceTable
        rows = await t.select(t.id, t.name).where((t.tenant == tenant) & t.id.is_in(list(devices)))
        return {row["id"]: row["name"] for row in rows}

    async def removed_key(self, device: UUID) -> bytes | None:
        """Return the key of a device that was removed, so that its agent can be told so."""
        t = DeviceTable
        with system_scope():
            rows = await t.select(t.key).where((t.id == device) & t.removed_at.is_not_null()).limit(1)
        return bytes(rows[0]["key"]) if rows else None

    @scoped
    async def rename(self, tenant: UUID, device: UUID, name: str) -> None:
        """Change a device's name."""
        t = DeviceTable
        await t.update({t.name: name}).where((t.tenant == tenant) & (t.id == device)).run()

    @scoped
    async def move(self, tenant: UUID, device: UUID, client: UUID, now: int) -> None:
        """Give a device to another client."""
        t = DeviceTable
        await t.update({t.client: client, t.moved_at: now}).where((t.tenant == tenant) & (t.id == device)).run()

    @scoped
    async def moved_at(self, tenant: UUID, device: UUID) -> int:
        """Return when a device came to its client; 0 if it was always there."""
        t = DeviceTable
        rows = await t.select(t.moved_at).where((t.tenant == tenant) & (t.id == device)).limit(1)
        return int(rows[0]["moved_at"]) if rows else 0

    @scoped
    async def remove(self, tenant: UUID, device: UUID, now: int, reason: str) -> None:
        """Mark a device as removed; its row stays, so that its records can be checked."""
        t = DeviceTable
        await t.update({t.removed_at: now, t.removed_reason: reason}).where((t.tenant == tenant) & (t.id == device)).run()

    @scoped
    async def save_live(self, tenant: UUID, seen: Sequence[tuple[UUID, int | None, bytes | None]]) -> None:
        """Write last signs of life and facts, all in one transaction."""
        t = DeviceTable
        async with self._engine.transaction():
            for device, last_seen, facts in sorted(seen, key=lambda row: row[0]):  # one order for all processes: no deadlock
                await t.update({t.last_seen: last_seen, t.facts: facts}).where((t.tenant == tenant) & (t.id == device)).run()
