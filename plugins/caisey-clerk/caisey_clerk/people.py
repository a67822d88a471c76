"""Who signed in by Clerk, and by which membership: messages about one may name only its id, or nobody."""

from typing import Final

from caisey_clerk.backend import Membership
from caisey_hookspecs import Store

_LONGEST: Final = 150  # characters of an id that is kept


class People:
    """In the plugin's store: `person/{user}` has membership and role, `membership/{id}` has the user."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def remember(self, user: str, membership: Membership) -> None:
        """Note what a person is now."""
        await self._store.put(f"membership/{membership.id[:_LONGEST]}", user.encode())
        await self._store.put(f"person/{user}", _said(membership))

    async def knows(self, user: str) -> bool:
        """Say whether a person signed in before."""
        return len(user) <= _LONGEST and await self._store.get(f"person/{user}") is not None

    async def is_as_before(self, user: str, membership: Membership) -> bool:
        """Say whether a person's membership and role are those of the last sign-in."""
        entry = await self._store.get(f"person/{user}")
        return entry is not None and entry.value == _said(membership)

    async def of_membership(self, membership: str) -> str:
        """Return whose membership this is, or an empty text."""
        entry = await self._store.get(f"membership/{membership[:_LONGEST]}") if membership else None
        return entry.value.decode() if entry is not None else ""

    async def some(self) -> list[str]:
        """Return people who are remembered, up to 1,000."""
        return [key.removeprefix("person/") for key in await self._store.keys("person/")]

    async def forget(self, user: str) -> None:
        """Drop a person."""
        if len(user) > _LONGEST:
            return
        entry = await self._store.get(f"person/{user}")
        if entry is not None:
            await self._store.delete(f"membership/{entry.value.decode().partition(' ')[0][:_LONGEST]}")
            await self._store.delete(f"person/{user}")


def _said(membership: Membership) -> bytes:
    return f"{membership.id} {membership.role}".encode()
