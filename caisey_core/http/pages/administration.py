"""What an admin keeps in order: clients, installers, audit log, keys."""

from typing import Any, Final
from uuid import UUID

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Stream
from litestar.status_codes import HTTP_303_SEE_OTHER
from msgspec import Struct

from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import May, Member
from caisey_core.http.forms import form, query
from caisey_core.http.pages.answers import Done, Step, answer, given, unless
from caisey_core.http.problems import RefusedError
from caisey_core.http.rendering import AnyRequest, html, page, render
from caisey_core.services import audit, audit_export, clients, erasure, installers
from caisey_core.services.house import House
from caisey_core.services.views import AuditFilter, NewInstaller


class ClientName(Struct, frozen=True, kw_only=True):
    name: str = ""


class Installer(Struct, frozen=True, kw_only=True):
    """What was typed for a new installer."""

    client: UUID | None = None
    device_name: str = ""
    expires_hours: int | None = None
    uses: int | None = None


class InstallerForm(Struct, frozen=True, kw_only=True):
    """The same as it was typed, to be shown again where it cannot be understood."""

    client: str = ""
    device_name: str = ""
    expires_hours: str = ""
    uses: str = ""


DAY = InstallerForm(expires_hours="24")


async def _clients(
    house: House, request: AnyRequest, member: Member, typed: ClientName, refused: Refused | None = None
) -> Response[bytes]:
    view = given(await clients.page(house, member))
    return await page(
        house,
        request,
        member,
        "admin/clients.html",
        nav="clients",
        status=refused.status if refused else 200,
        view=view,
        typed=typed,
        refused=refused,
    )


@get("/clients")
async def list_clients(request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]) -> Response[bytes]:
    """Show the clients."""
    return await _clients(house, request, member, ClientName())


@post("/clients", status_code=200)
async def create_client(request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]) -> Response[Any]:
    """Make a client."""
    typed = await form(request, ClientName)
    outcome = await clients.create(house, member, typed.name)
    if isinstance(outcome, Refused):
        return await _clients(house, request, member, typed, outcome)
    return Redirect(f"/t/{member.tenant_slug}/clients#c-{outcome.id}", status_code=HTTP_303_SEE_OTHER)


@post("/clients/{client:uuid}/rename", status_code=200)
async def rename_client(
    request: AnyRequest, client: FromPath[UUID], house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[Any]:
    """Rename a client."""
    typed = await form(request, ClientName)
    before = next((view.name for view in given(await clients.page(house, member)) if view.id == client), "")
    view = given(await clients.rename(house, member, client, typed.name))
    address = f"/t/{member.tenant_slug}/clients"
    undo = (Step(action=request.url.path, fields={"name": before}),)
    return answer(request, Done(said=f"The client is called {view.name} now.", go=address, undo=undo), address)


async def _enrolment(
    house: House,
    request: AnyRequest,
    member: Member,
    typed: InstallerForm = DAY,
    refused: Refused | None = None,
    made: NewInstaller | None = None,
) -> Response[bytes]:
    view = given(await installers.page(house, member))
    return await page(
        house,
        request,
        member,
        "admin/enrolment.html",
        nav="enrolment",
        status=refused.status if refused else 200,
        view=view,
        clients=await clients.choices(house, member),
        typed=typed,
        refused=refused,
        made=made,
    )


@get("/enrolment")
async def list_installers(
    request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[bytes]:
    """Show the installers and what each enrolled."""
    return await _enrolment(house, request, member)


@post("/enrolment", status_code=200)
async def create_installer(
    request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[bytes]:
    """Make an installer; its token is in this answer only."""
    typed = await form(request, InstallerForm)
    try:
        wanted = await form(request, Installer)
    except RefusedError as error:
        return await _enrolment(house, request, member, typed, error.refused)
    outcome = await installers.create(house, member, wanted.client, wanted.device_name, wanted.expires_hours, wanted.uses)
    if isinstance(outcome, Refused):
        return await _enrolment(house, request, member, typed, outcome)
    return await _enrolment(house, request, member, made=outcome)


@post("/enrolment/{installer:uuid}/rotate", status_code=200)
async def rotate_installer(
    request: AnyRequest, installer: FromPath[UUID], house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[bytes]:
    """Replace an installer's token: the old one stops at once, the new one is in this answer only."""
    made = given(await installers.rotate(house, member, installer))
    return await _enrolment(house, request, member, made=made)


@post("/enrolment/{installer:uuid}/revoke", status_code=200)
async def revoke_installer(
    request: AnyRequest, installer: FromPath[UUID], house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[Any]:
    """Stop an installer."""
    unless(await installers.revoke(house, member, installer))
    address = f"/t/{member.tenant_slug}/enrolment"
    return answer(request, Done(said="The installer is revoked: nothing can enrol with it any more.", go=address), address)


@get("/audit")
async def audit_log(
    request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member], before: FromQuery[int | None] = None
) -> Response[bytes]:
    """Show the audit log, newest first."""
    view = given(await audit.page(house, member, query(request, AuditFilter), before))
    return await page(house, request, member, "admin/audit.html", nav="audit", view=view, before=before)


@get("/audit/proof")
async def audit_proof(request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]) -> Response[bytes]:
    """Check the audit log; the page fetches this part after it is shown."""
    return html(request, render(request, "admin/audit_proof.html", proof=given(await audit.proof(house, member))))


FILES: Final = {"csv": ("text/csv; charset=utf-8", "audit.csv"), "ocsf": ("application/jsonl", "audit.jsonl")}


class AuditFile(Struct, frozen=True):
    form: audit_export.Form = "csv"


@get("/audit/export")
async def audit_file(request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]) -> Stream:
    """Give the entries that fit as a file."""
    wanted = query(request, AuditFile)
    lines = given(await audit_export.export(house, member, query(request, AuditFilter), wanted.form))
    media, name = FILES[wanted.form]
    return Stream(lines, media_type=media, headers={"content-disposition": f'attachment; filename="{name}"'})


@get("/keys")
async def keys(request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]) -> Response[bytes]:
    """Show what an outsider needs to check records."""
    view = given(await audit.keys(house, member))
    return await page(house, request, member, "admin/keys.html", nav="keys", view=view, audits=member.may(May.SEE_AUDIT))


class Keep(Struct, frozen=True, kw_only=True):
    """How long contents are kept; no client: for all without a rule of their own, no days: as for all others."""

    client: UUID | None = None
    days: int | None = None


@get("/retention")
async def retention(request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]) -> Response[bytes]:
    """Show how long contents are kept."""
    view = given(await erasure.page(house, member))
    return await page(house, request, member, "admin/retention.html", nav="retention", view=view)


@post("/retention", status_code=200)
async def set_retention(request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]) -> Response[Any]:
    """Set how long contents are kept."""
    typed = await form(request, Keep)
    given(await erasure.keep(house, member, typed.client, typed.days))
    address = f"/t/{member.tenant_slug}/retention"
    return answer(request, Done(said="Set. What is past its time is erased within minutes.", go=address), address)


handlers = [
    retention,
    set_retention,
    list_clients,
    create_client,
    rename_client,
    list_installers,
    create_installer,
    rotate_installer,
    revoke_installer,
    audit_log,
    audit_proof,
    audit_file,
    keys,
]
