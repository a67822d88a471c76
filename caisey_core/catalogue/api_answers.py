"""Requests to the API that carried an Idempotency-Key, and sealed, what was answered."""

from typing import Any
from uuid import UUID

from msgspec import Struct

from caisey_core.catalogue.outcomes import Taken, scoped, unless_taken
from caisey_core.catalogue.rows import insert, one
from caisey_core.catalogue.tables import ApiAnswerTable


class ApiAnswer(Struct, frozen=True, kw_only=True):
    """`fingerprint` says what was asked and is there once it was done; `answer` is sealed."""

    id: UUID
    caller: UUID
    key: str
    begun_at: int
    fingerprint: bytes | None = None
    answer: bytes | None = None


class ApiAnswers:
    """Queries over kept answers."""

    @scoped
    async def claim(self, tenant: UUID, row: ApiAnswer, forget_before: int) -> ApiAnswer | None:
        """Take a caller's key for this request; return who has it already. What is older than the time given is forgotten."""
        t = ApiAnswerTable
        await t.delete().where((t.tenant == tenant) & (t.begun_at < forget_before)).run()
        while isinstance(await unless_taken(insert(t, tenant, row)), Taken):
            wanted = (t.tenant == tenant) & (t.caller == row.caller) & (t.key == row.key)
            if (found := one(ApiAnswer, await t.select().where(wanted).limit(1))) is not None:
                return found
        return None

    @scoped
    async def keep(self, tenant: UUID, request: UUID, fingerprint: bytes, answer: bytes) -> None:
        """Keep what was answered."""
        t = ApiAnswerTable
        changed: dict[Any, Any] = {t.fingerprint: fingerprint, t.answer: answer}
        await t.update(changed).where((t.tenant == tenant) & (t.id == request)).run()

    @scoped
    async def release(self, tenant: UUID, request: UUID) -> None:
        """Give a key back: nothing was done under it."""
        t = ApiAnswerTable
        await t.delete().where((t.tenant == tenant) & (t.id == request)).run()

    @scoped
    async def forget_words(self, tenant: UUID) -> None:
        """Destroy all kept answers; which requests were done stays known."""
        t = ApiAnswerTable
        await t.update({t.answer: None}).where((t.tenant == tenant) & t.answer.is_not_null()).run()
