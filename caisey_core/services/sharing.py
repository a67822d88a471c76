"""What this process keeps in mind about shares: wrong passcodes, open pages, and what was read for a review."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address
from typing import Final
from uuid import UUID

from msgspec import Struct

from caisey_core.services.reading import Reading

FREE: Final = 5  # wrong passcodes of one address that cost nothing
LONGEST_SECONDS: Final = 300.0  # that an address waits
WINDOW_SECONDS: Final = 3600.0  # after which a wrong passcode is forgotten
BUSY: Final = 40  # wrong passcodes for one share, from everywhere, within the window: then who was wrong before waits
BUSY_SECONDS: Final = 60.0
MOST_KEPT: Final = 20_000  # addresses in mind
MOST_OPENINGS: Final = 120  # of one share within a minute
MOST_READINGS: Final = 4
MOST_PAGES: Final = 50  # open pages of one share that are told of its end


class _Wrong(Struct):
    count: int = 0
    last: float = 0.0


def group_of(address: str) -> str:
    """Return what counts as one address: of IPv6 the network that one household has."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped) if parsed.ipv4_mapped else f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
    return address


class Guesses:
    """Slows down guessing a share's passcode: for that share and address, and, when many guess at it, for all who were wrong.

    Somebody with the right passcode is never kept waiting by the wrong ones of others: an address without a wrong passcode
    has its try at once, whatever goes on, and other shares are not concerned at all.
    """

    def __init__(self) -> None:
        self._wrong: OrderedDict[tuple[UUID, str], _Wrong] = OrderedDict()
        self._shares: dict[UUID, _Wrong] = {}

    def wait_seconds(self, share: UUID, address: str, now: float) -> float:
        """Return how long this address has to wait with its next try."""
        mine = self._wrong.get((share, group_of(address)))
        if mine is None or now - mine.last > WINDOW_SECONDS:
            return 0.0
        pause = min(2.0 ** (mine.count - FREE), LONGEST_SECONDS) if mine.count >= FREE else 0.0
        everybody = self._shares.get(share)
        if everybody is not None and everybody.count >= BUSY and now - everybody.last <= WINDOW_SECONDS:
            pause = max(pause, BUSY_SECONDS)
        return max(0.0, mine.last + pause - now)

    def wrong(self, share: UUID, address: str, now: float) -> None:
        """Count a wrong passcode."""
        key = (share, group_of(address))
        for kept in (self._wrong.setdefault(key, _Wrong()), self._shares.setdefault(share, _Wrong())):
            kept.count = kept.count + 1 if now - kept.last <= WINDOW_SECONDS else 1
            kept.last = now
        self._wrong.move_to_end(key)
        if len(self._wrong) > MOST_KEPT:
            self._wrong.popitem(last=False)

    def right(self, share: UUID, address: str) -> None:
        """Forget an address's wrong passcodes for this share; the try itself was counted as one."""
        self._wrong.pop((share, group_of(address)), None)
        if (everybody := self._shares.get(share)) is not None:
            everybody.count -= 1

    def forget(self, share: UUID) -> None:
        """Forget all about a share: it has another link, or another passcode."""
        self._shares.pop(share, None)
        for key in [key for key in self._wrong if key[0] == share]:
            del self._wrong[key]


class Openings:
    """Admits so many openings of a share within a minute: each is an event of the audit log, which nobody may flood."""

    def __init__(self) -> None:
        self._minutes: dict[UUID, tuple[int, int]] = {}  # share -> minute, openings in it

    def admit(self, share: UUID, now: float) -> bool:
        """Count an opening; say whether it may be."""
        minute = int(now // 60)
        before, count = self._minutes.get(share, (minute, 0))
        count = count + 1 if before == minute else 1
        if len(self._minutes) > MOST_KEPT:
            self._minutes = {key: one for key, one in self._minutes.items() if one[0] == minute}
        self._minutes[share] = (minute, count)
        return count <= MOST_OPENINGS


class Sharing:
    """One object of this for a house."""

    def __init__(self) -> None:
        self.guesses = Guesses()
        self.openings = Openings()
        self.hashing = asyncio.Semaphore(2)  # argon2id takes memory and a core
        self._pages: dict[UUID, set[asyncio.Event]] = {}
        self._readings: OrderedDict[UUID, Reading] = OrderedDict()

    @contextmanager
    def page(self, share: UUID) -> Iterator[asyncio.Event | None]:
        """Stand for an open page; the event is set when its share ends. None: too many pages are open."""
        pages = self._pages.setdefault(share, set())
        ended = asyncio.Event() if len(pages) < MOST_PAGES else None
        if ended is not None:
            pages.add(ended)
        try:
            yield ended
        finally:
            if ended is not None:
                pages.discard(ended)
            if not pages:
                self._pages.pop(share, None)

    def end(self, share: UUID) -> None:
        """Tell open pages that their share ended, or goes on under another link."""
        self.guesses.forget(share)
        for ended in self._pages.get(share, ()):
            ended.set()

    def close(self) -> None:
        """Let go of all pages: the server stops."""
        for pages in self._pages.values():
            for ended in pages:
                ended.set()

    def reading(self, transcript: UUID) -> Reading | None:
        """Return what was read lately."""
        found = self._readings.get(transcript)
        if found is not None:
            self._readings.move_to_end(transcript)
        return found

    def keep(self, transcript: UUID, reading: Reading) -> None:
        """Keep what was read, for the next act on the same page."""
        self._readings[transcript] = reading
        while len(self._readings) > MOST_READINGS:
            self._readings.popitem(last=False)

    def drop(self, transcript: UUID) -> None:
        """Forget what was read: something of it was erased."""
        self._readings.pop(transcript, None)
