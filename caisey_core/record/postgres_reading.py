"""Reading a record in PostgreSQL, whoever's connection it is."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, LiteralString
from uuid import UUID

from caisey_core.record.rows import recorded, unbroken
from caisey_core.record.store import POSITIONS, LogHead, LogLeaf, Recorded, StreamHead, TenantKey, UnknownTenant


class PostgresReading(ABC):
    """What can be read of a record; `_read` says through which connection."""

    @abstractmethod
    def _read(self, query: LiteralString, arguments: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""

    def tenants(self) -> list[TenantKey]:
        """Return all tenants' keys."""
        rows = self._read("SELECT tenant, origin, public, sealed FROM tenant_key ORDER BY tenant")
        return [TenantKey(*row) for row in rows]

    def head(self, tenant: UUID, stream: str) -> StreamHead | None:
        """Return where a stream stands."""
        rows = self._read("SELECT name, size, frontier, sealed FROM stream WHERE tenant=%s AND name=%s", (tenant, stream))
        return StreamHead(*rows[0]) if rows else None

    def heads(self, tenant: UUID) -> list[StreamHead]:
        """Return all streams of a tenant in the order of their birth."""
        rows = self._read("SELECT name, size, frontier, sealed FROM stream WHERE tenant=%s ORDER BY id", (tenant,))
        return [StreamHead(*row) for row in rows]

    def log_head(self, tenant: UUID) -> LogHead:
        """Return where a tenant's log stands."""
        rows = self._read("SELECT size, frontier FROM log_head WHERE tenant=%s", (tenant,))
        if not rows:
            raise UnknownTenant(str(tenant))
        return LogHead(*rows[0])

    def newest_leaf(self, tenant: UUID, stream: str) -> LogLeaf | None:
        """Return what a tenant's log says last of a stream. The log is searched from its end: such streams are young."""
        rows = self._read(
            "SELECT stream, size, root FROM log_leaf WHERE tenant=%s AND stream=%s ORDER BY position DESC LIMIT 1",
            (tenant, stream),
        )
        return LogLeaf(*rows[0]) if rows else None

    def checkpoint(self, tenant: UUID) -> str:
        """Return the newest signed checkpoint."""
        rows = self._read("SELECT note FROM checkpoint WHERE tenant=%s ORDER BY size DESC LIMIT 1", (tenant,))
        if not rows:
            raise UnknownTenant(str(tenant))
        return str(rows[0][0])

    def read(self, tenant: UUID, stream: str, start: int, limit: int) -> list[Recorded]:
        """Return events from `start` on, in order."""
        numbers = self._read("SELECT id FROM stream WHERE tenant=%s AND name=%s", (tenant, stream))
        if not numbers:
            return []
        base = numbers[0][0] << POSITIONS
        rows = self._read(
            "SELECT id, bytes, seed, texts FROM event WHERE id >= %s AND id < %s ORDER BY id LIMIT %s",
            (base + start, base + (1 << POSITIONS), limit),
        )
        return recorded(stream, base, rows)

    def log_leaves(self, tenant: UUID, start: int, limit: int) -> list[LogLeaf]:
        """Return leaves of a tenant's log from `start` on, in order."""
        rows = self._read(
            "SELECT position, stream, size, root FROM log_leaf WHERE tenant=%s AND position>=%s ORDER BY position LIMIT %s",
            (tenant, start, limit),
        )
        return unbroken(start, rows)

    def checkpoints(self, tenant: UUID) -> list[tuple[int, str]]:
        """Return all checkpoints of a tenant by size."""
        return [
            (size, note)
            for size, note in self._read("SELECT size, note FROM checkpoint WHERE tenant=%s ORDER BY size", (tenant,))
        ]

    def strays(self) -> str:
        """Say what lies in the store that belongs to nothing."""
        events, sizes, leaves, heads = self._read(
            "SELECT (SELECT count(*) FROM event), (SELECT coalesce(sum(size), 0) FROM stream), "
            "(SELECT count(*) FROM log_leaf), (SELECT coalesce(sum(size), 0) FROM log_head)"
        )[0]
        if events != sizes:
            return f"{events} events are kept, the streams account for {sizes}"
        for table, count in self._read(
            "SELECT what, count(*) FROM (SELECT 'stream' AS what, tenant FROM stream UNION ALL SELECT 'log_leaf', tenant "
            "FROM log_leaf UNION ALL SELECT 'log_head', tenant FROM log_head UNION ALL SELECT 'checkpoint', tenant FROM checkpoint) "
            "AS kept WHERE tenant NOT IN (SELECT tenant FROM tenant_key) GROUP BY what ORDER BY what LIMIT 1"
        ):
            return f"{count} rows of {table} belong to no tenant"
        return "" if leaves == heads else f"{leaves} log leaves are kept, the logs account for {heads}"
