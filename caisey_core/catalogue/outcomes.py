"""What a query may come to besides its rows; the driver's exceptions end here."""

import functools
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import UUID

from msgspec import Struct

from caisey_core.catalogue.engine import CatalogueTrouble, CatalogueUnavailable, tenant_scope

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")

__all__ = ["CatalogueTrouble", "CatalogueUnavailable", "Taken", "scoped", "unless_taken"]


class Taken(Struct, frozen=True):
    """What should be unique is there already."""


def scoped(
    query: Callable[Concatenate[S, UUID, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[S, UUID, P], Coroutine[Any, Any, R]]:
    """Run a query within the scope of the tenant that is its first argument."""

    @functools.wraps(query)
    async def within(self: S, tenant: UUID, *args: P.args, **kwargs: P.kwargs) -> R:
        with tenant_scope(tenant):
            return await query(self, tenant, *args, **kwargs)

    return within  # type: ignore[return-value]  # functools.wraps hides that a function binds as a method


async def unless_taken(writing: Awaitable[object]) -> Taken | None:
    """Await a write; a violated UNIQUE becomes Taken."""
    try:
        await writing
    except Exception as error:
        if _is_taken(error):
            return Taken()
        raise
    return None


def _is_taken(error: Exception) -> bool:
    """The SQLSTATE is PostgreSQL's; its driver may not be installed, so that its exception is not named here."""
    if isinstance(error, sqlite3.IntegrityError):
        return "UNIQUE" in str(error)
    return getattr(error, "sqlstate", None) == "23505"
