"""A limit for doors that strangers may knock at: so many tries at once from one address, then so many a second."""

from collections import OrderedDict

from msgspec import Struct

MOST_ADDRESSES = 10_000  # those that are remembered; the oldest is forgotten first


class Level(Struct):
    """How full an address's bucket is, and when that was so (monotonic seconds)."""

    used: float
    at: float


class Flood:
    """A leaky bucket for each address."""

    def __init__(self, burst: float, each_second: float) -> None:
        self._burst, self._each_second = burst, each_second
        self._levels: OrderedDict[str, Level] = OrderedDict()

    def wait_seconds(self, address: str, now: float) -> float:
        """Return how long this address has to wait before its next try; 0: it may try now."""
        level = self._levels.get(address)
        if level is None:
            return 0.0
        return max(0.0, (self._left(level, now) + 1 - self._burst) / self._each_second)

    def used(self, address: str, now: float) -> float:
        """Return how many of its tries an address has used up."""
        level = self._levels.get(address)
        return self._left(level, now) if level is not None else 0.0

    def tried(self, address: str, now: float, cost: float = 1.0) -> None:
        """Count a try."""
        used = min(self.used(address, now), self._burst)
        self._levels[address] = Level(used + cost, now)
        self._levels.move_to_end(address)
        if len(self._levels) > MOST_ADDRESSES:
            self._levels.popitem(last=False)

    def _left(self, level: Level, now: float) -> float:
        return max(0.0, level.used - (now - level.at) * self._each_second)
