"""Devices as witnesses: the newest checkpoint that each has on its own disk, and which of them refuse this server's record."""

import builtins
from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from caisey_core.catalogue.outcomes import scoped
from caisey_core.catalogue.rows import many
from caisey_core.catalogue.tables import WitnessTable

_AT_ONCE = 500  # rows of one statement


class Witness(Struct, frozen=True, kw_only=True):
    """`size` is what the device confirmed; `remembered` what it said it remembers when it refused."""

    id: UUID  # the device's
    size: int
    seen_at: int
    refused_at: int | None = None
    reason: str = ""
    remembered: int = 0


class Witnesses:
    """Queries over witnesses."""

    @scoped
    async def list(self, tenant: UUID) -> builtins.list[Witness]:
        """Return all witnesses. UUIDs are cast: Piccolo's converters would cost a second for 10,000 rows."""
        rows = await WitnessTable.raw(
            "SELECT CAST(id AS TEXT) AS id, size, seen_at, refused_at, reason, remembered FROM witness WHERE tenant = {}",
            tenant,
        )
        return many(Witness, rows)

    @scoped
    async def save(self, tenant: UUID, rows: Sequence[Witness]) -> None:
        """Write witnesses, new or changed."""
        t = WitnessTable
        changing = [t.size, t.seen_at, t.refused_at, t.reason, t.remembered]
        for at in range(0, len(rows), _AT_ONCE):
            made = [
                t(tenant=tenant, **{name: getattr(row, name) for name in row.__struct_fields__})
                for row in rows[at : at + _AT_ONCE]
            ]
            await t.insert(*made).on_conflict(target=t.id, action="DO UPDATE", values=changing).run()
