"""Whose browser this is: session, tenant and member in one statement, because every request asks."""

from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from caisey_core.catalogue.engine import system_scope
from caisey_core.catalogue.members import MemberRow, Members
from caisey_core.catalogue.sign_ins import BrowserSession
from caisey_core.catalogue.tables import BrowserSessionTable
from caisey_core.catalogue.tenants import Tenant


class SignedIn(Struct, frozen=True):
    """A browser's session with its tenant and its member, whatever became of them since."""

    session: BrowserSession
    tenant: Tenant
    member: MemberRow


_PARTS: Final = {"session": BrowserSession, "tenant": Tenant, "member": MemberRow}
_ALIASES: Final = {"session": "s", "tenant": "t", "member": "m"}
_COLUMNS: Final = {part: tuple(name for name in kind.__struct_fields__ if name != "clients") for part, kind in _PARTS.items()}
_LIST: Final = ", ".join(f"{_ALIASES[part]}.{name} AS {part}_{name}" for part, names in _COLUMNS.items() for name in names)
_QUERY: Final = (
    f"SELECT {_LIST}, m.narrowed AS narrowed FROM browser_session s JOIN tenant t ON t.id = s.tenant "  # noqa: S608 - our own names
    "JOIN member m ON m.tenant = s.tenant AND m.id = s.member WHERE s.token_hash = {}"
)


def _part(row: dict[str, Any], part: str, kind: type[Any]) -> Any:
    return msgspec.convert({name: row[f"{part}_{name}"] for name in _COLUMNS[part]}, kind, strict=False)


async def by_token(members: Members, token_hash: bytes) -> SignedIn | None:
    """Return whose session a cookie's token is; None if there is none."""
    with system_scope():
        rows = await BrowserSessionTable.raw(_QUERY, token_hash)
    if not rows:
        return None
    found = SignedIn(*(_part(rows[0], part, kind) for part, kind in _PARTS.items()))
    if not rows[0]["narrowed"]:
        return found
    clients = await members.clients_of(found.tenant.id, found.member.id)
    return replace(found, member=replace(found.member, clients=clients))
