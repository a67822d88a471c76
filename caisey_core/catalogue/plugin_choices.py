"""What each tenant chose of the installed plugins, and the counter by which servers of one database notice each other's changes."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

from msgspec import Struct

from caisey_core.catalogue.engine import CatalogueEngine, system_scope, tenant_scope
from caisey_core.catalogue.outcomes import scoped
from caisey_core.catalogue.rows import many
from caisey_core.catalogue.tables import PluginChangeTable, PluginDefaultTable, PluginEnabledTable, PluginEntryTable

AT_ONCE = 200  # entries of stores that are read together


class Choice(Struct, frozen=True):
    """One plugin in one tenant. Here the secrets in `settings` (JSON) are sealed; `version` rises with each change."""

    plugin: str
    enabled: bool = True
    settings: bytes | None = None
    allow_private: bool = False  # it may reach private addresses
    version: int = 0


class StoredEntry(Struct, frozen=True):
    """An entry of a plugin's store; its value is sealed."""

    id: UUID
    plugin: str
    key: str
    value: bytes


class Chosen(Struct, frozen=True):
    """All that a tenant chose, as it was at one moment."""

    version: int
    sealed_key: bytes | None
    plugins: tuple[Choice, ...]
    defaults: Mapping[str, str]  # the plugin that comes first, by kind


class PluginChoices:
    """Queries over tenants' choices."""

    def __init__(self, engine: CatalogueEngine) -> None:
        self._engine = engine

    async def versions(self) -> dict[UUID, int]:
        """Return the counter of each tenant that ever changed something."""
        t = PluginChangeTable
        with system_scope():
            return {row["tenant"]: int(row["version"]) for row in await t.select(t.tenant, t.version)}

    async def read(self, tenant: UUID) -> Chosen:
        """Return a tenant's choices; what is read in several steps is read again if something changed in between."""
        while True:
            before = await self._change(tenant)
            plugins, defaults = await self._rows(tenant)
            if (after := await self._change(tenant)) == before:
                return Chosen(*after, plugins, defaults)

    @scoped
    async def _change(self, tenant: UUID) -> tuple[int, bytes | None]:
        t = PluginChangeTable
        rows = await t.select(t.version, t.sealed_key).where(t.tenant == tenant)
        return (int(rows[0]["version"]), rows[0]["sealed_key"]) if rows else (0, None)

    @scoped
    async def _rows(self, tenant: UUID) -> tuple[tuple[Choice, ...], dict[str, str]]:
        t, d = PluginEnabledTable, PluginDefaultTable
        chosen = await (
            t.select(t.plugin, t.enabled, t.settings, t.allow_private, t.version)
            .where(t.tenant == tenant)
            .order_by(t.enabled_at)
        )
        defaults = await d.select(d.kind, d.plugin).where(d.tenant == tenant)
        return tuple(many(Choice, chosen)), {row["kind"]: row["plugin"] for row in defaults}

    @asynccontextmanager
    async def changing(self, tenant: UUID) -> AsyncIterator[Chosen]:
        """Change a tenant's choices, all of it or nothing. Of several who change, on whatever server, each waits for the others:
        the counter's row is the lock. Yields what is stored; write with the methods below."""
        t = PluginChangeTable
        async with self._engine.transaction():
            with tenant_scope(tenant):
                row = t(id=uuid4(), tenant=tenant, version=0)
                await t.insert(row).on_conflict(target=t.tenant, action="DO NOTHING").run()
                await t.update({t.version: t.version + 1}).where(t.tenant == tenant).run()
            version, key = await self._change(tenant)
            yield Chosen(version, key, *await self._rows(tenant))

    @scoped
    async def put(self, tenant: UUID, choice: Choice, now: int) -> None:
        """Write one plugin's choice."""
        t = PluginEnabledTable
        values = {
            t.enabled: choice.enabled,
            t.settings: choice.settings,
            t.allow_private: choice.allow_private,
            t.version: choice.version,
        }
        here = (t.tenant == tenant) & (t.plugin == choice.plugin)
        if not await t.update(values).where(here).returning(t.id):  # type: ignore[arg-type]
            fields = {name: getattr(choice, name) for name in choice.__struct_fields__}
            await t.insert(t(id=uuid4(), tenant=tenant, enabled_at=now, **fields)).run()

    @scoped
    async def put_key(self, tenant: UUID, sealed_key: bytes) -> None:
        """Write the tenant's key."""
        t = PluginChangeTable
        await t.update({t.sealed_key: sealed_key}).where(t.tenant == tenant).run()

    async def entries(self, tenant: UUID) -> AsyncIterator[StoredEntry]:
        """Yield all that the tenant's plugins stored."""
        after: UUID | None = None
        while rows := await self._entries(tenant, after):
            for row in rows:
                yield row
            after = rows[-1].id

    @scoped
    async def _entries(self, tenant: UUID, after: UUID | None) -> list[StoredEntry]:
        t = PluginEntryTable
        wanted = t.tenant == tenant if after is None else (t.tenant == tenant) & (t.id > after)
        rows = await t.select(t.id, t.plugin, t.key, t.value).where(wanted).order_by(t.id).limit(AT_ONCE)
        return many(StoredEntry, rows)

    @scoped
    async def put_entry(self, tenant: UUID, entry: UUID, value: bytes) -> None:
        """Write an entry's value, sealed anew; its version stays."""
        t = PluginEntryTable
        await t.update({t.value: value}).where((t.tenant == tenant) & (t.id == entry)).run()

    @scoped
    async def put_default(self, tenant: UUID, kind: str, plugin: str) -> None:
        """Write which plugin of a kind comes first."""
        t = PluginDefaultTable
        if not await t.update({t.plugin: plugin}).where((t.tenant == tenant) & (t.kind == kind)).returning(t.id):
            await t.insert(t(id=uuid4(), tenant=tenant, kind=kind, plugin=plugin)).run()
