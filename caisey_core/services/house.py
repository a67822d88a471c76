"""The parts that services combine. `app.py` builds it; nothing else knows how parts are made."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from caisey_core.catalogue.catalogue import Catalogue
from caisey_core.clock import Clock
from caisey_core.config import Config
from caisey_core.live.flood import Flood
from caisey_core.live.links import Links
from caisey_core.live.news import Newsroom
from caisey_core.live.roster import Roster
from caisey_core.live.watchers import Watchers
from caisey_core.plugin_host.host import PluginHost
from caisey_core.record.writer import Record

if TYPE_CHECKING:
    from caisey_core.services.bearers import Bearers
    from caisey_core.services.indexing import Indexer
    from caisey_core.services.journal import Journal
    from caisey_core.services.outlines import Outlines
    from caisey_core.services.projector import Projector
    from caisey_core.services.repeats import Repeats
    from caisey_core.services.sharing import Sharing
    from caisey_core.services.tenancy import Tenancy
    from caisey_core.services.transfers import Transfers
    from caisey_core.services.verdicts import Verdicts
    from caisey_core.services.witnesses import Witnesses

log: structlog.stdlib.BoundLogger = structlog.get_logger("caisey")


@dataclass
class Live:
    """Who is connected now."""

    news: Newsroom = field(default_factory=Newsroom)
    links: Links = field(default_factory=Links)
    watchers: Watchers = field(default_factory=Watchers)
    roster: Roster = field(default_factory=Roster)


class House:
    """Everything that a service may need. The composition root sets journal, projector, transfers and witnesses, which need the house."""

    def __init__(
        self,
        config: Config,
        folder: Path,
        clock: Clock,
        catalogue: Catalogue,
        record: Record,
        plugins: PluginHost,
        live: Live,
    ) -> None:
        self.config, self.folder, self.clock = config, folder, clock
        self.catalogue, self.record, self.plugins, self.live = catalogue, record, plugins, live
        self.journal: Journal
        self.projector: Projector
        self.transfers: Transfers
        self.witnesses: Witnesses
        self.enrolments = Flood(burst=100, each_second=2)  # of one address: a whole office at once, then slower
        self.bearers: Bearers
        self.repeats: Repeats
        self.arrivals = Flood(burst=300, each_second=20)  # of one address for one plugin of a tenant: vendors send in bursts
        self.outlines: Outlines
        self.verdicts: Verdicts
        self.indexer: Indexer
        self.sharing: Sharing
        self.tenancy: Tenancy
        self.closing = asyncio.Event()
        self.exporting = asyncio.Semaphore(1)  # an export keeps one reader of the record busy; the others need theirs
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any], what: str) -> None:
        """Do something beside the caller's answer; what it raises is logged, never lost."""
        task = asyncio.get_running_loop().create_task(work, name=what)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background work failed", what=task.get_name(), exc_info=error)

    async def finish_tasks(self, patience_seconds: float) -> None:
        """Wait for what was spawned, then cancel the rest."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=patience_seconds)
            for task in late:
                task.cancel()
