"""Whose browser this is: session, tenant and member in one statement, because every page, stream and socket asks for it."""

from collections.abc import Iterable
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from caisey_core.catalogue.engine import system_scope
from caisey_core.catalogue.members import MemberRow
from caisey_core.catalogue.sign_ins import BrowserSession
from caisey_core.catalogue.tables import BrowserSessionTable, MemberClientTable
from caisey_core.catalogue.tenants import Tenant

S = TypeVar("S", bound=Struct)


class Holder(Struct, frozen=True, kw_only=True):
    """Who holds a cookie's token; the session comes without its sign-out hint."""

    session: BrowserSession
    tenant: Tenant
    member: MemberRow


def _columns(alias: str, kind: type[Struct], without: Iterable[str] = ()) -> list[str]:
    return [f"{alias}.{name} AS {alias}_{name}" for name in kind.__struct_fields__ if name not in without]


_PARTS: Final = (
    *_columns("s", BrowserSession, {"sign_out_hint"}),
    *_columns("t", Tenant),
    *_columns("m", MemberRow, {"clients"}),
    "m.narrowed AS m_narrowed",
)
_QUERY: Final = (
    f"SELECT {', '.join(_PARTS)} FROM browser_session s JOIN tenant t ON t.id = s.tenant "  # noqa: S608  names of our own
    "JOIN member m ON m.id = s.member AND m.tenant = s.tenant WHERE s.token_hash = {}"
)


class Holders:
    """The query. It runs in the system's scope, like all that find out whose a token is."""

    async def of(self, token_hash: bytes) -> Holder | None:
        """Return who holds the token of a cookie, whatever came of their session, tenant or account since."""
        with system_scope():
            rows = await BrowserSessionTable.raw(_QUERY, token_hash)
            if not rows:
                return None
            row, c = rows[0], MemberClientTable
            member = _part("m", MemberRow, row)
            if row["m_narrowed"]:
                served = await c.select(c.client).where((c.tenant == row["t_id"]) & (c.member == member.id))
                member = replace(member, clients=frozenset(UUID(str(one["client"])) for one in served))
        return Holder(session=_part("s", BrowserSession, row), tenant=_part("t", Tenant, row), member=member)


def _part(alias: str, kind: type[S], row: dict[str, Any]) -> S:
    found = {name: row[f"{alias}_{name}"] for name in kind.__struct_fields__ if f"{alias}_{name}" in row}
    return msgspec.convert(found, kind, strict=False)
