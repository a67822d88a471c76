"""Requests that are sent twice and done once: the Idempotency-Key of draft-ietf-httpapi-idempotency-key-header-07.

A key belongs to one caller and counts for 24 hours. What was answered is kept sealed, as it may hold a secret that is shown once.
"""

from typing import Final
from uuid import UUID, uuid4

import msgspec
from msgspec import Struct

from caisey_core.catalogue.api_answers import ApiAnswer
from caisey_core.catalogue.catalogue import Catalogue
from caisey_core.clock import Clock
from caisey_core.domain.refused import Refused
from caisey_core.record.keys import KeyTrouble, MasterKey

KEPT_US: Final = 24 * 3600_000_000
LONGEST_REQUEST_US: Final = 300_000_000  # one that is older did not come to an end: the server stopped meanwhile
LONGEST_KEY: Final = 255
_PURPOSE: Final = "answer to a request with a key"

NO_KEY: Final = Refused(
    "This is no Idempotency-Key.", f"Send 1 to {LONGEST_KEY} visible ASCII characters, such as a UUID.", 422, "Idempotency-Key"
)
UNDER_WAY: Final = Refused(
    "The first request with this Idempotency-Key is still under way.", "Send it again in a moment.", 409, retry_after_seconds=1
)
UNKNOWN_END: Final = Refused(
    "The first request with this Idempotency-Key was begun, and its end is not known: the server stopped meanwhile.",
    "Look whether it was done; if not, send it with a new key.",
    409,
)
NOT_KEPT: Final = Refused(
    "This was done before under this Idempotency-Key; its answer is not kept any more.", "Look at what it was about.", 409
)
ANOTHER: Final = Refused(
    "This Idempotency-Key was used for another request.", "Send a new request with a new key.", 422, "Idempotency-Key"
)


class Answer(Struct, frozen=True):
    """What a caller got."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class Claim(Struct, frozen=True):
    """The key is this request's alone."""

    request: UUID


class Repeats:
    """What was answered to requests with a key, in the catalogue: all servers of an installation know it."""

    def __init__(self, catalogue: Catalogue, master: MasterKey, clock: Clock) -> None:
        self._rows, self._master, self._clock = catalogue.api_answers, master, clock

    async def claim(self, tenant: UUID, caller: UUID, key: str) -> Claim | ApiAnswer | Refused:
        """Take a key for a request, or return the request that had it before and was done."""
        if not 1 <= len(key) <= LONGEST_KEY or not all("!" <= letter <= "~" for letter in key):
            return NO_KEY
        now = self._clock.now()
        row = ApiAnswer(id=uuid4(), caller=caller, key=key, begun_at=now)
        before = await self._rows.claim(tenant, row, now - KEPT_US)
        if before is None:
            return Claim(row.id)
        if before.fingerprint is None:
            return UNDER_WAY if now - before.begun_at < LONGEST_REQUEST_US else UNKNOWN_END
        return before

    async def keep(self, tenant: UUID, claim: Claim, fingerprint: bytes, answer: Answer) -> None:
        """Keep what was answered, before it is sent."""
        sealed = self._master.seal(tenant, _PURPOSE, msgspec.msgpack.encode(answer))
        await self._rows.keep(tenant, claim.request, fingerprint, sealed)

    async def release(self, tenant: UUID, claim: Claim) -> None:
        """Give a key back: the request was refused and nothing was done."""
        await self._rows.release(tenant, claim.request)

    def again(self, tenant: UUID, before: ApiAnswer, fingerprint: bytes) -> Answer | Refused:
        """Return what was answered to the same request; another one under the same key is refused."""
        if before.fingerprint != fingerprint:
            return ANOTHER
        if before.answer is None:
            return NOT_KEPT
        try:
            return msgspec.msgpack.decode(self._master.unseal(tenant, _PURPOSE, before.answer), type=Answer)
        except (KeyTrouble, msgspec.DecodeError):
            return NOT_KEPT
