"""A circuit breaker: a plugin that fails again and again for a tenant rests, so that nobody waits for it in vain."""

from typing import Final

FAILURES: Final = 5  # in a row, until it rests
FIRST_REST: Final = 30.0  # seconds; doubled after each try that fails
LONGEST_REST: Final = 600.0  # seconds
WHILE_TRYING: Final = 1.0  # seconds that others are told to wait while one call tries


class Breaker:
    """Of one plugin in one tenant. Times are monotonic seconds. Closed, resting, or trying with a single call."""

    __slots__ = ("_rest", "_trying", "_until", "failures")

    def __init__(self) -> None:
        self.failures = 0  # in a row
        self._rest = 0.0  # length of the current rest; 0: closed
        self._until = 0.0
        self._trying = False

    def enter(self, now: float) -> float:
        """Return 0 if a call may go on, else the seconds until the next try. After a rest, the first that asks is the try.

        Whoever may go on says `worked`, `failed` or `left` afterwards.
        """
        if self._rest == 0:
            return 0.0
        if self._trying:
            return WHILE_TRYING
        if now < self._until:
            return self._until - now
        self._trying = True
        return 0.0

    def resting(self, now: float) -> float:
        """Return the seconds until the next try; 0 if calls go on."""
        return 0.0 if self._rest == 0 else max(self._until - now, WHILE_TRYING)

    def worked(self) -> None:
        """A call was answered: all is well."""
        self.failures, self._rest, self._trying = 0, 0.0, False

    def left(self) -> None:
        """A call went away without telling anything: it was cancelled, or its failure says nothing about the plugin."""
        self._trying = False

    def failed(self, now: float, wish: float | None = None) -> None:
        """A call failed. `wish`: the seconds that the vendor itself asked for; a rest is not shorter, and no longer than the longest."""
        self.failures += 1
        if self._trying:
            self._rest = min(self._rest * 2, LONGEST_REST)
        elif self._rest == 0 and self.failures >= FAILURES:
            self._rest = FIRST_REST
        else:
            return  # it began before the rest did
        self._trying = False
        self._until = now + min(max(self._rest, wish or 0.0), LONGEST_REST)
