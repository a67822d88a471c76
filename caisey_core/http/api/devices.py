"""Devices: the list with its filters, one device, and what is changed about it."""

from typing import Literal
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED
from msgspec import Struct

from caisey_core.http.api.asked import Ask, Because, House_, Member_, Name
from caisey_core.http.api.parts import USUAL, After, Limit
from caisey_core.http.problems import given, unless
from caisey_core.services import devices, sessions
from caisey_core.services.views import (
    DeviceFilter,
    DevicePage,
    DevicesPage,
    Pending,
    SessionCard,
)


class Place(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    client: UUID


@get("/devices")
async def list_devices(
    member: Member_,
    house: House_,
    q: FromQuery[str] = "",
    client: FromQuery[UUID | None] = None,
    status: FromQuery[Literal["", "online", "offline"]] = "",
    pending: FromQuery[Pending] = "",
    technician: FromQuery[UUID | None] = None,
    after: After = "",
    limit: Limit = USUAL,
) -> DevicesPage:
    """List the devices that match, grouped by client, with the counts of all."""
    wanted = DeviceFilter(q=q, client=client, status=status, pending=pending, technician=technician, after=after)
    return given(await devices.page(house, member, wanted, limit))


@get("/devices/{device:uuid}")
async def show_device(device: FromPath[UUID], member: Member_, house: House_) -> DevicePage:
    """Show one device."""
    return given(await devices.detail(house, member, device))


@post("/devices/{device:uuid}/sessions", status_code=HTTP_201_CREATED)
async def request_session(device: FromPath[UUID], data: JSONBody[Ask], member: Member_, house: House_) -> SessionCard:
    """Ask the person at a device for a session."""
    return given(await sessions.request(house, member, device, data.reason, data.scopes, data.duration_minutes))


@post("/devices/{device:uuid}/rename", status_code=HTTP_200_OK)
async def rename_device(device: FromPath[UUID], data: JSONBody[Name], member: Member_, house: House_) -> None:
    """Rename a device."""
    given(await devices.rename(house, member, device, data.name))


@post("/devices/{device:uuid}/move", status_code=HTTP_200_OK)
async def move_device(device: FromPath[UUID], data: JSONBody[Place], member: Member_, house: House_) -> None:
    """Move a device to another client."""
    given(await devices.move(house, member, device, data.client))


@post("/devices/{device:uuid}/remove", status_code=HTTP_200_OK)
async def remove_device(device: FromPath[UUID], data: JSONBody[Because], member: Member_, house: House_) -> None:
    """Remove a device: its key stops at once."""
    unless(await devices.remove(house, member, device, data.reason))


handlers = [list_devices, show_device, request_session, rename_device, move_device, remove_device]
