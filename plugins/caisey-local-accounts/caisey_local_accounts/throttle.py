"""Slows down guessing, for an account and for an address; kept in the store, so that a restart forgives nothing."""

import hashlib

import msgspec
from msgspec import Struct

from caisey_hookspecs import Clock, Store

FREE = 5  # failures that cost nothing
WINDOW_SECONDS = 15 * 60  # failures older than this are forgotten
LONGEST_SECONDS = 15 * 60


class Failures(Struct, frozen=True):
    """How often in a row, and when last (seconds since 1970)."""

    count: int
    last: float


def wait_after(failures: Failures, now: float) -> float:
    """Return how many seconds to wait: none for the first few failures, then 1, 2, 4 … up to a quarter of an hour."""
    if failures.count < FREE or now - failures.last > WINDOW_SECONDS:
        return 0.0
    pause = min(2.0 ** (failures.count - FREE), LONGEST_SECONDS)
    return max(0.0, failures.last + pause - now)


class Throttle:
    """Counts failures. The right person is never locked out for longer than the window."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    @staticmethod
    def _keys(account: str, address: str) -> tuple[str, str]:
        def key(kind: str, text: str) -> str:
            return f"failures/{hashlib.sha256(f'{kind}:{text}'.encode()).hexdigest()}"

        return key("account", account), key("address", address)

    async def _failures(self, key: str) -> tuple[Failures, int]:
        entry = await self._store.get(key)
        if entry is None:
            return Failures(0, 0.0), 0
        return msgspec.json.decode(entry.value, type=Failures), entry.version

    async def wait_seconds(self, account: str, address: str) -> float:
        """Return how long this account or address has to wait; sweeps what is forgotten."""
        now = self._clock.now().timestamp()
        return max([wait_after((await self._failures(key))[0], now) for key in self._keys(account, address)])

    async def failed(self, account: str, address: str) -> None:
        """Count a failure; two at the same moment count as two."""
        now = self._clock.now().timestamp()
        for key in self._keys(account, address):
            for _ in range(10):
                before, version = await self._failures(key)
                count = before.count if now - before.last <= WINDOW_SECONDS else 0
                value = msgspec.json.encode(Failures(count + 1, now))
                if await self._store.put(key, value, if_version=version) is not None:
                    break

    async def succeeded(self, account: str) -> None:
        """Forget an account's failures; an address's stay, so that one account of one's own does not help to guess others."""
        await self._store.delete(self._keys(account, "")[0])
