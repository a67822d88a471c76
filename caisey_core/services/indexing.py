"""Feeds the search index from the record: in the background, from where it stopped, in the order in which sessions began.

Commands never wait for it: the journal only says which session has something new. What is indexed is read from the record, so it
is durable, and a crash, a lost index or a refusing disk costs nothing but time.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar
from uuid import UUID

from caisey_core.record.store import Recorded
from caisey_core.record.writer import Record
from caisey_core.search.index import Mark, SearchIndex, SearchUnavailable
from caisey_core.services.house import log
from caisey_core.services.journal import Journal, OpenSession, stream_of
from caisey_core.services.lines import Lines

T = TypeVar("T")
LINGER_SECONDS: Final = 0.3
TRY_AGAIN_SECONDS: Final = 5.0
AT_ONCE: Final = 400  # events


class Indexer:
    """One process's feeder. Methods are for the event loop; what blocks runs in threads of its own."""

    def __init__(self, record: Record, journal: Journal, index: SearchIndex) -> None:
        self._record, self._journal, self.index = record, journal, index
        self._changed: dict[tuple[UUID, UUID], None] = {}
        self._wake = asyncio.Event()
        self._lock = asyncio.Lock()
        self._unpurged = True  # perhaps: what a process that was killed had forgotten may still be in the files
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="search index")
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="search")
        self.left: int | None = None  # sessions that are still to be caught up with; None: not known yet
        journal.proposed.append(self.changed)

    def changed(self, session: OpenSession) -> None:
        """Note that there is something new in this session."""
        self._changed[session.tenant, session.id] = None
        self._wake.set()

    async def run(self) -> None:
        """Catch up with the record, then follow it for ever."""
        while True:
            try:
                if self.left is None:
                    await self._purge()
                    await self._catch_up()
                if self._unpurged:
                    self._wake.set()
                await self._wake.wait()
                await asyncio.sleep(LINGER_SECONDS)
                await self.flush()
            except SearchUnavailable as error:
                log.warning("the search index is away; it is tried again", reason=str(error))
                await asyncio.sleep(TRY_AGAIN_SECONDS)
            except Exception as error:  # nothing is lost: it is all in the record
                log.error("the search index could not be written; it is tried again", exc_info=error)
                await asyncio.sleep(TRY_AGAIN_SECONDS)

    async def flush(self) -> None:
        """Index all that is durable now."""
        self._wake.clear()
        if self._unpurged:
            await self._purge()
        for key in list(self._changed):
            if await self._follow(*key):
                self._changed.pop(key, None)
            else:
                self._wake.set()

    async def _purge(self) -> None:
        """Take out of the files what was forgotten; what cannot be done now is done in a moment."""
        try:
            self._unpurged = not await self._run(self._writer, self.index.purge)
        except SearchUnavailable as error:
            log.warning("what was erased is still in the index's files; it is tried again", reason=str(error))
        if self._unpurged:
            self._wake.set()

    async def _catch_up(self) -> None:
        behind: list[tuple[UUID, UUID]] = []
        for tenant in self._record.tenants():
            marks = await self._run(self._readers, self.index.marks, tenant)
            for head in await self._record.streams(tenant):
                kind, _, name = head.stream.partition("/")
                if kind == "session" and marks.get(session := UUID(name), Mark()).position < head.size:
                    behind.append((tenant, session))
        for done, key in enumerate(behind):
            self.left = len(behind) - done
            await self._follow(*key)
        self.left = 0

    async def _follow(self, tenant: UUID, session: UUID) -> bool:
        """Index what a session's stream has; say whether that is all that was given to the record."""
        while True:
            async with self._lock:
                mark = await self._run(self._writer, self.index.mark, tenant, session)
                rows = await self._record.read(tenant, stream_of(session), mark.position, AT_ONCE)
                if not rows:
                    opened = self._journal.open.get(session)
                    return opened is None or opened.state.events <= mark.position
                began = asyncio.get_running_loop().time()
                await self._run(self._writer, self._add, tenant, session, mark, rows)
            await asyncio.sleep(asyncio.get_running_loop().time() - began)  # at most half of the time: commands come first

    def _add(self, tenant: UUID, session: UUID, mark: Mark, rows: list[Recorded]) -> None:
        reading = Lines(mark.pending)
        lines = reading.take(rows)
        assert reading.about is not None, "a session's first event says what it is about"
        after = Mark(mark.position + len(rows), reading.pending(), mark.generation)
        self.index.add(tenant, session, reading.about, lines, mark, after)

    async def erase(self, tenant: UUID, session: UUID) -> None:
        """Destroy what is indexed of a session, after its disclosures were destroyed in the record; what is left is read anew."""
        async with self._lock:
            await self._run(self._writer, self.index.forget, tenant, session)
            self._unpurged = True
            await self._purge()
        self._changed[tenant, session] = None
        self._wake.set()

    async def ask(self, work: Callable[[SearchIndex], T]) -> T:
        """Read from the index beside everything else. Raises SearchUnavailable."""
        return await self._run(self._readers, work, self.index)

    @staticmethod
    async def _run(pool: ThreadPoolExecutor, work: Callable[..., T], *given: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, work, *given)

    def close(self) -> None:
        """Stop after what is being written."""
        self._writer.shutdown(cancel_futures=True)
        self._readers.shutdown(cancel_futures=True)
        self.index.close()
