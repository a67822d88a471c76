"""An installation in which real work was done, and exports from it that no page offers."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

from forgeries import Row
from msgspec.structs import replace

from caisey_core import config
from caisey_core.app import close_house, open_house
from caisey_core.domain import events as e
from caisey_core.domain.roles import Member, Role
from caisey_core.services import export
from caisey_core.services.export import Exported, Transcript

Forge = Callable[..., bytes]


@dataclass
class World:
    """A stopped installation in which real work was done, its sessions, and the bundles that its API gave."""

    data: Path
    sessions: dict[str, str]
    bundles: dict[str, bytes]


def exported(data: Path, session: str, transcript: Transcript = export.EVERYTHING) -> bytes:
    """Export a session of a data folder, with lines withheld."""

    async def work() -> bytes:
        house = await open_house(data, config.load(data))
        try:
            tenant = (await house.catalogue.tenants.all())[0]
            member = Member(
                id=uuid4(),
                tenant=tenant.id,
                tenant_slug=tenant.slug,
                tenant_name=tenant.name,
                name="Dana Reyes",
                email="dana@example.com",
                role=Role.DISPATCHER,
            )
            made = await export.make(house, member, UUID(session), transcript)
            assert isinstance(made, Exported), made
            with made.file as file:
                return file.read()
        finally:
            await close_house(house)

    with ThreadPoolExecutor(1) as thread:  # the browser's loop runs in this one
        return thread.submit(lambda: asyncio.run(work())).result()


def seal_counts(events: int) -> Callable[[list[Row]], list[Row]]:
    """Let the seal count as many events as there will be."""
    return lambda rows: [(replace(x, events=events) if isinstance(x, e.Sealed) else x, texts) for x, texts in rows]
