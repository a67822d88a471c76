"""The audit log, its proof and its files; the keys with which outsiders check records."""

from datetime import date
from typing import Final
from uuid import UUID

from litestar import get
from litestar.params import FromQuery
from litestar.response import Stream

from caisey_core.http.api.asked import House_, Member_
from caisey_core.http.api.parts import USUAL, After, Limit
from caisey_core.http.problems import given
from caisey_core.services import audit, audit_export
from caisey_core.services.cursors import Page, read, write
from caisey_core.services.views import AuditEntry, AuditFilter, AuditGroup, KeysPage, Proof

FILES: Final = {"csv": ("text/csv; charset=utf-8", "audit.csv"), "ocsf": ("application/jsonl", "audit.jsonl")}


@get("/audit")
async def list_audit_entries(
    member: Member_,
    house: House_,
    q: FromQuery[str] = "",
    who: FromQuery[UUID | None] = None,
    what: FromQuery[AuditGroup] = "",
    since: FromQuery[date | None] = None,
    until: FromQuery[date | None] = None,
    after: After = "",
    limit: Limit = USUAL,
) -> Page[AuditEntry]:
    """List the entries of the audit log that fit, newest first. Days are UTC, both included."""
    wanted = AuditFilter(q=q, who=who, what=what, since=since, until=until)
    found = given(await audit.page(house, member, wanted, given(read(after, int)) if after else None, limit))
    return Page(found.entries, write(found.next) if found.next is not None else "")


@get("/audit/proof")
async def verify_audit_log(member: Member_, house: House_) -> Proof:
    """Check the whole audit log now."""
    return given(await audit.proof(house, member))


@get("/audit/export")
async def export_audit_log(
    member: Member_,
    house: House_,
    q: FromQuery[str] = "",
    who: FromQuery[UUID | None] = None,
    what: FromQuery[AuditGroup] = "",
    since: FromQuery[date | None] = None,
    until: FromQuery[date | None] = None,
    form: FromQuery[audit_export.Form] = "csv",
) -> Stream:
    """Give the entries that fit as a file: CSV, or JSON lines in the shape of OCSF. Each export is an entry of its own."""
    wanted = AuditFilter(q=q, who=who, what=what, since=since, until=until)
    lines = given(await audit_export.export(house, member, wanted, form))
    media, name = FILES[form]
    return Stream(lines, media_type=media, headers={"content-disposition": f'attachment; filename="{name}"'})


@get("/keys")
async def show_keys(member: Member_, house: House_) -> KeysPage:
    """Show what an outsider needs to check this company's records: the public key and the newest checkpoint."""
    return given(await audit.keys(house, member))


handlers = [list_audit_entries, verify_audit_log, export_audit_log, show_keys]
