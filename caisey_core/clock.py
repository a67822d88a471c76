"""The time, as a value that is passed: tests own it."""

import time


class Clock:
    """UTC microseconds for people and the record, monotonic nanoseconds for durations."""

    def now(self) -> int:
        """Return the time in microseconds since 1970, UTC."""
        return time.time_ns() // 1000

    def mono(self) -> int:
        """Return nanoseconds that never go back while the process lives."""
        return time.monotonic_ns()
