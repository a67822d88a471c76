"""Devices: the list with its filters, one device, and what is changed about it."""

from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from caisey_core.domain.roles import May, Member
from caisey_core.http.forms import form, query
from caisey_core.http.pages.answers import Done, Step, answer, given, unless
from caisey_core.http.rendering import AnyRequest, html, page, render
from caisey_core.services import devices
from caisey_core.services.house import House
from caisey_core.services.views import DeviceFilter


class Name(Struct, frozen=True, kw_only=True):
    name: str


class Place(Struct, frozen=True, kw_only=True):
    client: UUID


class Because(Struct, frozen=True, kw_only=True):
    reason: str = ""


@get("/")
async def home(request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]) -> Response[bytes]:
    """Show the devices that match the filters in the address; the next part of them alone where a list asks for more."""
    wanted = query(request, DeviceFilter)
    view = given(await devices.page(house, member, wanted))
    if wanted.after and request.headers.get("hx-request"):
        part = render(
            request, "devices/more.html", view=view, base=f"/t/{member.tenant_slug}", choose=member.may(May.ASSIGN), more=True
        )
        return html(request, part)
    return await page(
        house, request, member, "devices/list.html", nav="devices", live="devices", view=view, choose=member.may(May.ASSIGN)
    )


@get("/devices/{device:uuid}")
async def show(
    request: AnyRequest, device: FromPath[UUID], house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[bytes]:
    """Show one device."""
    view = given(await devices.detail(house, member, device))
    return await page(house, request, member, "devices/device.html", nav="devices", live=f"device:{device}", view=view)


@post("/devices/{device:uuid}/rename", status_code=200)
async def rename(
    request: AnyRequest, device: FromPath[UUID], house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[Any]:
    """Rename a device."""
    wanted = await form(request, Name)
    before = devices.row(house, member, device)
    row = given(await devices.rename(house, member, device, wanted.name))
    undo = () if before is None else (Step(action=request.url.path, fields={"name": before.name}),)
    return answer(request, Done(said=f"The device is called {row.name} now.", undo=undo), _address(member, device))


@post("/devices/{device:uuid}/move", status_code=200)
async def move(
    request: AnyRequest, device: FromPath[UUID], house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[Any]:
    """Move a device to another client."""
    wanted = await form(request, Place)
    before = devices.row(house, member, device)
    row = given(await devices.move(house, member, device, wanted.client))
    undo = () if before is None else (Step(action=request.url.path, fields={"client": str(before.client)}),)
    return answer(request, Done(said=f"{row.name} belongs to {row.client_name} now.", undo=undo), _address(member, device))


@post("/devices/{device:uuid}/remove", status_code=200)
async def remove(
    request: AnyRequest, device: FromPath[UUID], house: NamedDependency[House], member: NamedDependency[Member]
) -> Response[Any]:
    """Remove a device."""
    wanted = await form(request, Because)
    unless(await devices.remove(house, member, device, wanted.reason))
    home_address = f"/t/{member.tenant_slug}/"
    return answer(request, Done(said="The device is removed.", go=home_address), home_address)


def _address(member: Member, device: UUID) -> str:
    return f"/t/{member.tenant_slug}/devices/{device}"


handlers = [home, show, rename, move, remove]
