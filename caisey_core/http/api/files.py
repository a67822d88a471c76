"""Files and full outputs of a session: bytes to and from a browser or an API client."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import PurePosixPath
from typing import IO, Any, Final
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.response import File, Response, Stream
from litestar.status_codes import HTTP_200_OK, HTTP_202_ACCEPTED
from msgspec import Struct

from caisey_core.domain.roles import Member
from caisey_core.http.problems import given, unless
from caisey_core.services import export, review, transfers
from caisey_core.services.house import House
from caisey_core.services.views import TransferCard

PIECE: Final = 256 * 1024  # bytes of a bundle in one piece of the answer


class Wanted(Struct, frozen=True, forbid_unknown_fields=True):
    """Which file to fetch from the device."""

    path: str


@post("/sessions/{session:uuid}/files", status_code=HTTP_202_ACCEPTED, request_max_body_size=None)
async def upload_file(
    request: Request[Any, Any, Any],
    session: FromPath[UUID],
    path: FromQuery[str],
    member: NamedDependency[Member],
    house: NamedDependency[House],
    replace: FromQuery[bool] = False,
) -> TransferCard:
    """Send a file to the device: the body is the file. 202 says that it is in the record and on its way."""
    return given(await transfers.upload(house, member, session, path, request.stream(), replace_existing=replace))


@post("/sessions/{session:uuid}/files/download", status_code=HTTP_202_ACCEPTED)
async def download_file(
    session: FromPath[UUID], data: JSONBody[Wanted], member: NamedDependency[Member], house: NamedDependency[House]
) -> TransferCard:
    """Ask the device for a file; fetch it by its id once its transfer is finished."""
    return given(await transfers.download(house, member, session, data.path))


@post("/sessions/{session:uuid}/files/{transfer:uuid}/cancel", status_code=HTTP_200_OK)
async def cancel_transfer(
    session: FromPath[UUID],
    transfer: FromPath[UUID],
    member: NamedDependency[Member],
    house: NamedDependency[House],
) -> None:
    """Stop a transfer."""
    unless(await transfers.cancel(house, member, session, transfer))


@get("/sessions/{session:uuid}/files/{transfer:uuid}")
async def fetch_file(
    session: FromPath[UUID],
    transfer: FromPath[UUID],
    member: NamedDependency[Member],
    house: NamedDependency[House],
) -> File:
    """Give a file that came from the device; always as a download, whatever it is."""
    found = given(await transfers.content(house, member, session, transfer))
    card, path = found
    name = PurePosixPath(card.path.replace("\\", "/")).name or "file"
    return File(
        path=path,
        filename=name,
        media_type="application/octet-stream",
        content_disposition_type="attachment",
        headers={"x-content-type-options": "nosniff", "cache-control": "no-store"},
    )


@get("/sessions/{session:uuid}/commands/{command:uuid}/output")
async def command_output(
    session: FromPath[UUID],
    command: FromPath[UUID],
    member: NamedDependency[Member],
    house: NamedDependency[House],
) -> Response[bytes]:
    """Give all of a command's recorded output as a download: bytes, never a page."""
    found = given(await review.output(house, member, session, command))
    headers = {
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox; default-src 'none'",
        "content-disposition": f'attachment; filename="output-{command}.txt"',
    }
    return Response(found, media_type="text/plain", headers=headers)


@get("/sessions/{session:uuid}/bundle")
async def session_bundle(session: FromPath[UUID], member: NamedDependency[Member], house: NamedDependency[House]) -> Stream:
    """Give a session as one file that anybody can check offline. Each export is an event of the audit log."""
    made = given(await export.session(house, member, session))
    headers = {
        "content-length": str(made.size),
        "content-disposition": f'attachment; filename="{made.name}"',
        "x-content-type-options": "nosniff",
    }
    return Stream(_pieces(made.file), media_type="application/zip", headers=headers)


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece


@get("/sessions/{session:uuid}/terminal.cast")
async def terminal_recording(session: FromPath[UUID], member: NamedDependency[Member], house: NamedDependency[House]) -> Stream:
    """Give a session's terminal as an asciicast v2: output, sizes, and marks for commands, consent and reassignments."""
    found = given(await review.recording(house, member, session))
    headers = {
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox; default-src 'none'",
        "content-disposition": f'attachment; filename="{session}.cast"',
    }
    return Stream(found, media_type="application/x-asciicast", headers=headers)


handlers = [upload_file, download_file, cancel_transfer, fetch_file, command_output, session_bundle, terminal_recording]
