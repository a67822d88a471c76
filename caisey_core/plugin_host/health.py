"""How a plugin does for a tenant since the server started: what an admin reads on the page and on the command line."""

from collections import deque
from datetime import datetime
from typing import Final, Literal

from msgspec import Struct

from caisey_core.plugin_host.breaker import Breaker

REMEMBERED: Final = 32  # durations
TROUBLES: Final = 5

State = Literal["unused", "well", "failing", "resting", "off"]


class Trouble(Struct, frozen=True):
    """One failure, in words for an admin."""

    at: datetime
    words: str


class Health(Struct, frozen=True, kw_only=True):
    """A look at one plugin in one tenant. Durations are in seconds, of the last calls that were answered."""

    state: State = "unused"
    words: str = ""  # what is wrong and what happens next; empty where all is well
    calls: int = 0
    failures: int = 0
    hangs: int = 0  # how often the plugin's thread was replaced, for whichever tenant
    median_seconds: float | None = None
    slowest_seconds: float | None = None
    rests_seconds: float = 0.0  # until the next try
    troubles: tuple[Trouble, ...] = ()  # the newest first


class Pulse:
    """What is counted for one plugin in one tenant."""

    __slots__ = ("breaker", "calls", "durations", "failing", "failures", "troubles")

    def __init__(self) -> None:
        self.breaker = Breaker()
        self.calls = 0
        self.failures = 0
        self.failing = False  # the last call did
        self.durations: deque[float] = deque(maxlen=REMEMBERED)
        self.troubles: deque[Trouble] = deque(maxlen=TROUBLES)

    def renewed(self) -> None:
        """Settings changed, or it was enabled anew: it gets its chance at once."""
        self.breaker, self.failing = Breaker(), False

    def worked(self, seconds: float) -> None:
        """A call was answered."""
        self.failing = False
        self.breaker.worked()
        self.durations.append(seconds)

    def failed(self, words: str, at: datetime) -> None:
        """A call failed."""
        self.failures += 1
        self.failing = True
        self.troubled(words, at)

    def troubled(self, words: str, at: datetime) -> None:
        """Remember words for an admin."""
        self.troubles.appendleft(Trouble(at, words))

    @property
    def last(self) -> str:
        """The newest words for an admin, or nothing."""
        return self.troubles[0].words if self.troubles else ""

    def resting_words(self, seconds: float) -> str:
        """Say why nothing is tried now, and when it will be."""
        return f"It failed {self.breaker.failures} times in a row and rests; it is tried again in {seconds:.0f} s. {self.last}"

    def look(self, now: float, hangs: int, off: str) -> Health:
        """Return what an admin sees. `now`: monotonic seconds; `off`: why the plugin is off here although it is enabled."""
        rests = self.breaker.resting(now)
        state: State = "well" if self.durations else "unused"
        words = ""
        if off:
            state, words = "off", off
        elif rests:
            state, words = "resting", self.resting_words(rests)
        elif self.failing:
            state, words = "failing", self.last
        ordered = sorted(self.durations)
        return Health(
            state=state,
            words=words,
            calls=self.calls,
            failures=self.failures,
            hangs=hangs,
            median_seconds=ordered[len(ordered) // 2] if ordered else None,
            slowest_seconds=ordered[-1] if ordered else None,
            rests_seconds=rests,
            troubles=tuple(self.troubles),
        )
