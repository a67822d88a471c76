"""From Struct to row and back: Piccolo's rows are dicts, which do not travel."""

from collections.abc import Sequence
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct
from piccolo.table import Table

S = TypeVar("S", bound=Struct)


def many(kind: type[S], rows: Sequence[Any]) -> list[S]:
    """Return rows as Structs; columns that the Struct does not have are left out."""
    return msgspec.convert(rows, list[kind], strict=False)  # type: ignore[valid-type]


def one(kind: type[S], rows: Sequence[Any]) -> S | None:
    """Return the first row, or None."""
    return msgspec.convert(rows[0], kind, strict=False) if rows else None


async def insert(table: type[Table], tenant: UUID, row: Struct, **more: Any) -> None:
    """Insert a Struct as a row of a tenant."""
    fields = {name: getattr(row, name) for name in row.__struct_fields__}
    await table.insert(table(tenant=tenant, **fields, **more)).run()
