"""What plugins keep, for each tenant."""

from uuid import UUID, uuid4

from caisey_core.catalogue.outcomes import Taken, scoped, unless_taken
from caisey_core.catalogue.tables import PluginEntryTable

MOST_KEYS = 1000


class PluginStore:
    """Queries over plugins' entries."""

    @scoped
    async def get(self, tenant: UUID, plugin: str, key: str) -> tuple[bytes, int] | None:
        """Return value and version."""
        t = PluginEntryTable
        rows = await t.select(t.value, t.version).where((t.tenant == tenant) & (t.plugin == plugin) & (t.key == key)).limit(1)
        return (bytes(rows[0]["value"]), int(rows[0]["version"])) if rows else None

    @scoped
    async def put(self, tenant: UUID, plugin: str, key: str, value: bytes, if_version: int | None) -> int | None:
        """Write and return the new version; with `if_version` only if that is still current (0: absent), else None."""
        t = PluginEntryTable
        for _ in range(2):
            wanted = (t.tenant == tenant) & (t.plugin == plugin) & (t.key == key)
            if if_version is not None:
                wanted &= t.version == if_version
            if if_version != 0:
                rows = await t.update({t.value: value, t.version: t.version + 1}).where(wanted).returning(t.version)
                if rows:
                    return int(rows[0]["version"])
                if if_version is not None:
                    return None
            new = t(id=uuid4(), tenant=tenant, plugin=plugin, key=key, value=value, version=1)
            if not isinstance(await unless_taken(t.insert(new).run()), Taken):
                return 1
            if if_version == 0:
                return None
        return None

    @scoped
    async def delete(self, tenant: UUID, plugin: str, key: str) -> None:
        """Remove an entry."""
        t = PluginEntryTable
        await t.delete().where((t.tenant == tenant) & (t.plugin == plugin) & (t.key == key)).run()

    @scoped
    async def keys(self, tenant: UUID, plugin: str, prefix: str) -> list[str]:
        """Return keys that start so, sorted."""
        t = PluginEntryTable
        wanted = (t.tenant == tenant) & (t.plugin == plugin) & (t.key >= prefix)
        if prefix:
            wanted &= t.key < prefix[:-1] + chr(ord(prefix[-1]) + 1)
        return [str(row["key"]) for row in await t.select(t.key).where(wanted).order_by(t.key).limit(MOST_KEYS)]
