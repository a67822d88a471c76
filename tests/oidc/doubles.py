"""Stand-ins for what a plugin is given: a clock that stands still, a vendor in memory, a store, and who hears its news."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from caisey_hookspecs import Change, Context, Entry, HttpAnswer, Unavailable


@dataclass
class StoppedClock:
    """A clock that a test turns."""

    at: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def now(self) -> datetime:
        """Return the time."""
        return self.at

    def go_on(self, seconds: float) -> None:
        """Turn it."""
        self.at += timedelta(seconds=seconds)

    @property
    def seconds(self) -> int:
        """Seconds since 1970."""
        return int(self.at.timestamp())


def answer(told: object, status: int = 200, **headers: str) -> HttpAnswer:
    """Return an answer in JSON, or these very bytes."""
    return HttpAnswer(status, headers, told if isinstance(told, bytes) else json.dumps(told).encode())


@dataclass
class Vendor:
    """Answers by address; what is missing there does not answer."""

    answers: dict[str, HttpAnswer | Callable[[bytes], HttpAnswer]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout_seconds: float = 10.0,
    ) -> HttpAnswer:
        """Answer."""
        self.asked.append((method, url))
        self.headers.append(headers or {})
        self.bodies.append(body or b"")
        found = self.answers.get(url)
        if found is None:
            raise Unavailable(f"{url} does not answer.")
        return found if isinstance(found, HttpAnswer) else found(body or b"")

    def times(self, url: str) -> int:
        """Return how often an address was asked."""
        return sum(one == url for _, one in self.asked)


class Shelf:
    """A key-value store."""

    def __init__(self) -> None:
        self.entries: dict[str, bytes] = {}

    async def get(self, key: str) -> Entry | None:
        """Return the entry."""
        return Entry(self.entries[key], 1) if key in self.entries else None

    async def put(self, key: str, value: bytes, *, if_version: int | None = None) -> int | None:
        """Write."""
        self.entries[key] = value
        return 1

    async def delete(self, key: str) -> None:
        """Remove."""
        self.entries.pop(key, None)

    async def keys(self, prefix: str = "") -> list[str]:
        """Return keys that start so."""
        return sorted(key for key in self.entries if key.startswith(prefix))


@dataclass
class Given:
    """A context and what a test looks at behind it."""

    settings: Any
    clock: StoppedClock = field(default_factory=StoppedClock)
    http: Vendor = field(default_factory=Vendor)
    store: Shelf = field(default_factory=Shelf)
    news: list[Change] = field(default_factory=list)

    async def hear(self, change: Change) -> None:
        """Take news."""
        self.news.append(change)

    @property
    def context(self) -> Context[Any]:
        """What the plugin gets."""
        log = logging.getLogger("caisey.plugins.test")
        return Context("tenant", self.settings, self.store, self.http, log, self.clock, self.hear)
