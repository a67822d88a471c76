"""Outlines: a session's timeline without its outputs, kept for those who look at it, grown as its record grows.

A page of a long session is cut from its outline; the texts of one entry are read from the record when somebody looks at it, and
compared with the bytes from which the outline was made.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from caisey_core.domain import events as e
from caisey_core.record.merkle import leaf_hash
from caisey_core.record.store import Recorded, Store
from caisey_core.record.verify import Broken, checked
from caisey_core.record.writer import Record
from caisey_core.services.journal import stream_of
from caisey_core.services.plain_text import plain
from caisey_core.services.timeline import SHOWN_OUTPUT, Timeline
from caisey_core.services.views import Entry, EntryGroup

MOST_ENTRIES: Final = 150_000  # of all outlines together, about 600 bytes each
MOST_READ: Final = 50_000  # events that are looked through for one entry
READ_AT_ONCE: Final = 1000
FOUND_KEPT: Final = 8  # answers of one session's search box


class Outline:
    """One session's outline. It grows in one thread at a time, and is read on the event loop."""

    def __init__(self, tenant: UUID, session: UUID) -> None:
        self.tenant, self.session = tenant, session
        self.timeline = Timeline(output=False)
        self.lock = asyncio.Lock()
        self._leaves = bytearray()
        self._found: OrderedDict[tuple[int, tuple[str, ...]], frozenset[int]] = OrderedDict()

    @property
    def size(self) -> int:
        """How many events it was made from."""
        return len(self.timeline.owners)

    def grow(self, store: Store) -> None:
        """Take the events that are new."""
        while rows := store.read(self.tenant, stream_of(self.session), self.size, READ_AT_ONCE):
            for row in rows:
                self.timeline.take(row)
                self._leaves += leaf_hash(row.event)

    def entry_of(self, position: int) -> int:
        """Return the index of the entry that shows the event at this position, or the nearest."""
        return self.timeline.owners[max(0, min(position, self.size - 1))]

    def entries(self, indexes: Sequence[int]) -> tuple[Entry, ...]:
        """Return entries as they stand now."""
        return tuple(self.timeline.settled(self.timeline.entries[index]) for index in indexes)

    def shown(self, groups: frozenset[EntryGroup] | None, found: frozenset[int] | None) -> Sequence[int]:
        """Return the indexes of the entries of these groups that `found` names; None stands for all."""
        entries = self.timeline.entries
        if found is None and groups is None:
            return range(len(entries))
        indexes = range(len(entries)) if found is None else sorted(found)
        return [index for index in indexes if groups is None or entries[index].group in groups]

    def remembered(self, words: tuple[str, ...]) -> frozenset[int] | None:
        """Return what was found for these words before, if nothing came since."""
        return self._found.get((self.size, words))

    def find(self, store: Store, words: tuple[str, ...]) -> frozenset[int]:
        """Return the entries in which every word occurs: in what they say, or in any text of their events."""
        size = self.size
        missing = {
            index: set(words) - {word for word in words if word in f"{entry.title} {entry.actor}".lower()}
            for index, entry in enumerate(self.timeline.entries)
        }
        for index, text in self._texts(store, size):
            if (left := missing.get(index)) and text:
                lowered = text.lower()
                missing[index] = {word for word in left if word not in lowered}
        found = frozenset(index for index, left in missing.items() if not left)
        self._found[size, words] = found
        if len(self._found) > FOUND_KEPT:
            self._found.popitem(last=False)
        return found

    def _texts(self, store: Store, size: int) -> Iterator[tuple[int, str]]:
        """Yield the texts of the entries; what follows each other in one entry as one text, so that no word is cut in two."""
        timeline, owner, parts, weight = self.timeline, 0, list[bytes](), 0
        for row in self._rows(store, 0, size):
            if row.disclosure is None:
                continue
            now = timeline.owners[row.position]
            if now != owner or weight > SHOWN_OUTPUT:
                yield owner, plain(b"".join(parts).decode(errors="replace"))
                owner, parts, weight = now, [], 0
            for text in row.disclosure.texts:
                parts.append(text)
                weight += len(text)
            entry = timeline.entries[now]
            if entry.group != "terminal" and row.position == entry.position:
                parts.append(b"\n")  # a command's line ends before its output begins
        yield owner, plain(b"".join(parts).decode(errors="replace"))

    def _rows(self, store: Store, position: int, end: int) -> Iterator[Recorded]:
        while position < end:
            rows = store.read(self.tenant, stream_of(self.session), position, min(READ_AT_ONCE, end - position))
            if not rows:
                return
            yield from rows
            position += len(rows)

    def detail(self, store: Store, index: int) -> tuple[Entry, bool]:
        """Return one entry with its texts, read now; and whether they are what the outline was made from."""
        entry, last = self.timeline.entries[index], self.timeline.ends[index]
        fresh, same, weight = Timeline(), True, 0
        for row in self._rows(store, entry.position, min(last + 1, entry.position + MOST_READ)):
            if self.timeline.owners[row.position] == index:
                same = same and self._as_outlined(row)
                fresh.take(row)
                weight += sum(map(len, row.disclosure.texts)) if row.disclosure is not None else 0
            if weight > SHOWN_OUTPUT:
                break
        now, read = self.timeline.settled(entry), fresh.finish().entries
        if not read:
            return now, same
        if now.command is not None and read[0].command is not None:
            return replace(now, command=replace(now.command, output=read[0].command.output)), same
        return replace(now, body=read[0].body, typed=read[0].typed), same

    def _as_outlined(self, row: Recorded) -> bool:
        at = row.position * 32
        if leaf_hash(row.event) != self._leaves[at : at + 32]:
            return False
        try:
            checked(row, e.read, "", erased=True)  # whether it may be gone, the verdict says
        except Broken:
            return False
        return True


class Outlines:
    """The outlines that were looked at last."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._kept: OrderedDict[UUID, Outline] = OrderedDict()

    async def of(self, tenant: UUID, session: UUID) -> Outline:
        """Return a session's outline as its record stands now."""
        outline = self._kept.get(session)
        if outline is None:
            outline = self._kept[session] = Outline(tenant, session)
        self._kept.move_to_end(session)
        async with outline.lock:
            await self._record.in_reader(outline.grow)
        entries = sum(len(one.timeline.entries) for one in self._kept.values())
        while entries > MOST_ENTRIES and len(self._kept) > 1:
            entries -= len(self._kept.popitem(last=False)[1].timeline.entries)
        return outline

    async def found(self, outline: Outline, words: tuple[str, ...]) -> frozenset[int] | None:
        """Return the entries in which every word occurs; None without words: all."""
        if not words:
            return None
        async with outline.lock:
            remembered = outline.remembered(words)
            return (
                remembered if remembered is not None else await self._record.in_reader(lambda store: outline.find(store, words))
            )

    async def detail(self, outline: Outline, index: int) -> tuple[Entry, bool]:
        """Return one entry with its texts, and whether the record still holds what the outline was made from."""
        return await self._record.in_reader(lambda store: outline.detail(store, index))

    def forget(self, session: UUID) -> None:
        """Make the outline anew at the next look: what lies beside its events changed, or seems to."""
        self._kept.pop(session, None)
