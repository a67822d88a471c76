"""The REST API: what the pages do, for programs. JSON in and out, bearer tokens, RFC 9457 problems."""

from datetime import date
from typing import Annotated, Literal, TypeVar
from uuid import UUID

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED, HTTP_202_ACCEPTED
from msgspec import Meta, Struct

from caisey_core.domain.events import Priority, Resolution
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import Member
from caisey_core.http.problems import RefusedError
from caisey_core.services import assignments, commands, devices, erasure, installers, records, review, sessions
from caisey_core.services.house import House
from caisey_core.services.outcomes import NOT_FOUND
from caisey_core.services.views import (
    AssignmentView,
    Board,
    CommandCard,
    DeviceFilter,
    DevicePage,
    DevicesPage,
    EntryDetail,
    EntryFilter,
    EntryGroup,
    EntryPart,
    InstallerView,
    NewInstaller,
    Pending,
    Proof,
    QueuePage,
    RecordFilter,
    RecordsPage,
    RetentionPage,
    ReviewPage,
    SessionCard,
    SessionFilter,
)
from caisey_core.services.views import Outcome as SessionOutcome

T = TypeVar("T")
House_ = NamedDependency[House]
Member_ = NamedDependency[Member]


def or_problem(outcome: T | Refused) -> T:
    """Return what a service gave; its refusal becomes a problem."""
    if isinstance(outcome, Refused):
        raise RefusedError(outcome)
    return outcome


class Order(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Assign devices to technicians, in turn."""

    devices: tuple[UUID, ...]
    technicians: tuple[UUID, ...]
    reason: str
    priority: Priority = "normal"
    due_at: int | None = None  # UTC microseconds


class Handover(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    technician: UUID
    reason: str = ""


class Ask(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the person at the device will read."""

    reason: str
    scopes: tuple[str, ...] = ("run",)
    duration_minutes: int = 60


class Message(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    message: str = ""


class Because(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: str = ""


class Line(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    line: Annotated[str, Meta(min_length=1)]


class Which(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    command: UUID | None = None


class Outcome(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    resolution: Resolution
    notes: str
    checked: str = ""


class NewToken(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of an installer."""

    client: UUID | None = None
    device_name: str = ""
    expires_hours: int | None = 24
    uses: int | None = None


@get("/devices")
async def list_devices(
    member: Member_,
    house: House_,
    q: FromQuery[str] = "",
    client: FromQuery[UUID | None] = None,
    status: FromQuery[Literal["", "online", "offline"]] = "",
    pending: FromQuery[Pending] = "",
    technician: FromQuery[UUID | None] = None,
    after: FromQuery[str] = "",
) -> DevicesPage:
    """List devices, 50 at once, with the counts of all."""
    wanted = DeviceFilter(q=q, client=client, status=status, pending=pending, technician=technician, after=after)
    return await devices.page(house, member, wanted)


@get("/devices/{device:uuid}")
async def show_device(device: FromPath[UUID], member: Member_, house: House_) -> DevicePage:
    """Show one device."""
    return or_problem(await devices.detail(house, member, device))


@post("/assignments", status_code=HTTP_201_CREATED)
async def assign(data: JSONBody[Order], member: Member_, house: House_) -> tuple[AssignmentView, ...]:
    """Assign devices."""
    return or_problem(
        await assignments.assign(house, member, data.devices, data.technicians, data.priority, data.reason, data.due_at)
    )


@post("/assignments/{assignment:uuid}/reassign", status_code=HTTP_200_OK)
async def reassign(assignment: FromPath[UUID], data: JSONBody[Handover], member: Member_, house: House_) -> AssignmentView:
    """Give an assignment to another technician."""
    return or_problem(await assignments.reassign(house, member, assignment, data.technician, data.reason))


@get("/queue", sync_to_thread=False)
def queue(member: Member_, house: House_) -> QueuePage:
    """Show the caller's queue."""
    return assignments.queue(house, member)


@get("/sessions")
async def board(member: Member_, house: House_) -> Board:
    """Show all sessions by where they stand."""
    return await review.board(house, member, SessionFilter())


@post("/devices/{device:uuid}/sessions", status_code=HTTP_201_CREATED)
async def request_session(device: FromPath[UUID], data: JSONBody[Ask], member: Member_, house: House_) -> SessionCard:
    """Ask the person at a device for a session."""
    return or_problem(await sessions.request(house, member, device, data.reason, data.scopes, data.duration_minutes))


@get("/sessions/{session:uuid}")
async def show_session(session: FromPath[UUID], member: Member_, house: House_) -> ReviewPage:
    """Show all of a session with the verdict on its record."""
    return or_problem(await review.page(house, member, session))


@get("/sessions/{session:uuid}/card")
async def show_card(session: FromPath[UUID], member: Member_, house: House_) -> SessionCard:
    """Show how a session stands."""
    found = await review.card(house, member, session)
    if found is None:
        raise RefusedError(NOT_FOUND)
    return found


@get("/sessions/{session:uuid}/proof")
async def verify(session: FromPath[UUID], member: Member_, house: House_) -> Proof:
    """Check a session's record now, all of it."""
    return or_problem(await review.verdict(house, member, session, anew=True))


@get("/sessions/{session:uuid}/entries")
async def list_entries(
    session: FromPath[UUID],
    member: Member_,
    house: House_,
    q: FromQuery[str] = "",
    groups: FromQuery[list[EntryGroup] | None] = None,
    start: FromQuery[int] = 0,
    at: FromQuery[int | None] = None,
    time: FromQuery[int | None] = None,
) -> EntryPart:
    """List a session's entries without outputs, 100 at once."""
    wanted = EntryFilter(q=q, groups=tuple(groups) if groups is not None else None, start=start, at=at, time=time)
    return or_problem(await review.entries(house, member, session, wanted))


@get("/sessions/{session:uuid}/entries/{position:int}")
async def show_entry(session: FromPath[UUID], position: FromPath[int], member: Member_, house: House_) -> EntryDetail:
    """Show the entry of one event with its texts."""
    return or_problem(await review.detail(house, member, session, position))


@post("/sessions/{session:uuid}/ask", status_code=HTTP_200_OK)
async def ask_more(session: FromPath[UUID], data: JSONBody[Ask], member: Member_, house: House_) -> SessionCard:
    """Ask again in a running session."""
    return or_problem(await sessions.ask_more(house, member, session, data.reason, data.scopes, data.duration_minutes))


@post("/sessions/{session:uuid}/nudge", status_code=HTTP_200_OK)
async def nudge(session: FromPath[UUID], data: JSONBody[Message], member: Member_, house: House_) -> SessionCard:
    """Show the prompt again, with a message."""
    return or_problem(await sessions.nudge(house, member, session, data.message))


@post("/sessions/{session:uuid}/cancel", status_code=HTTP_200_OK)
async def cancel(session: FromPath[UUID], data: JSONBody[Because], member: Member_, house: House_) -> SessionCard:
    """Take a request back."""
    return or_problem(await sessions.cancel(house, member, session, data.reason))


@post("/sessions/{session:uuid}/reassign", status_code=HTTP_200_OK)
async def hand_over(session: FromPath[UUID], data: JSONBody[Handover], member: Member_, house: House_) -> SessionCard:
    """Hand a session to another technician."""
    return or_problem(await sessions.reassign(house, member, session, data.technician, data.reason))


@post("/sessions/{session:uuid}/commands", status_code=HTTP_202_ACCEPTED)
async def run(session: FromPath[UUID], data: JSONBody[Line], member: Member_, house: House_) -> CommandCard:
    """Accept a command: 202 says that it is in the record, not that it has run."""
    return or_problem(await commands.run(house, member, session, data.line))


@post("/sessions/{session:uuid}/interrupt", status_code=HTTP_200_OK)
async def interrupt(session: FromPath[UUID], data: JSONBody[Which], member: Member_, house: House_) -> None:
    """End a command, or whatever runs."""
    refused = await commands.interrupt(house, member, session, data.command)
    if refused is not None:
        raise RefusedError(refused)


@post("/sessions/{session:uuid}/complete", status_code=HTTP_200_OK)
async def complete(session: FromPath[UUID], data: JSONBody[Outcome], member: Member_, house: House_) -> SessionCard:
    """Finish a session."""
    return or_problem(await sessions.complete(house, member, session, data.resolution, data.notes, data.checked))


@get("/search")
async def search_records(
    member: Member_,
    house: House_,
    q: FromQuery[str] = "",
    device: FromQuery[UUID | None] = None,
    client: FromQuery[UUID | None] = None,
    technician: FromQuery[UUID | None] = None,
    since: FromQuery[date | None] = None,
    until: FromQuery[date | None] = None,
    outcome: FromQuery[SessionOutcome] = "",
    before: FromQuery[int | None] = None,
) -> RecordsPage:
    """Search the records of all sessions: words, "phrases", beginnings*; 20 sessions at once, newest first."""
    return or_problem(
        await records.page(
            house,
            member,
            RecordFilter(
                q=q,
                device=device,
                client=client,
                technician=technician,
                since=since,
                until=until,
                outcome=outcome,
                before=before,
            ),
        )
    )


@get("/installers")
async def list_installers(member: Member_, house: House_) -> tuple[InstallerView, ...]:
    """List installers."""
    return or_problem(await installers.page(house, member))


@post("/installers", status_code=HTTP_201_CREATED)
async def new_installer(data: JSONBody[NewToken], member: Member_, house: House_) -> NewInstaller:
    """Make an installer; its token is in this answer only."""
    return or_problem(await installers.create(house, member, data.client, data.device_name, data.expires_hours, data.uses))


@post("/installers/{installer:uuid}/rotate", status_code=HTTP_201_CREATED)
async def rotate(installer: FromPath[UUID], member: Member_, house: House_) -> NewInstaller:
    """Replace an installer's token."""
    return or_problem(await installers.rotate(house, member, installer))


@post("/installers/{installer:uuid}/revoke", status_code=HTTP_200_OK)
async def revoke(installer: FromPath[UUID], member: Member_, house: House_) -> None:
    """Stop an installer."""
    refused = await installers.revoke(house, member, installer)
    if refused is not None:
        raise RefusedError(refused)


class Name(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str


class Place(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    client: UUID


@post("/devices/{device:uuid}/rename", status_code=HTTP_200_OK)
async def rename(device: FromPath[UUID], data: JSONBody[Name], member: Member_, house: House_) -> None:
    """Rename a device."""
    or_problem(await devices.rename(house, member, device, data.name))


@post("/devices/{device:uuid}/move", status_code=HTTP_200_OK)
async def move(device: FromPath[UUID], data: JSONBody[Place], member: Member_, house: House_) -> None:
    """Move a device to another client."""
    or_problem(await devices.move(house, member, device, data.client))


@post("/devices/{device:uuid}/remove", status_code=HTTP_200_OK)
async def remove(device: FromPath[UUID], data: JSONBody[Because], member: Member_, house: House_) -> None:
    """Remove a device: its key stops at once."""
    refused = await devices.remove(house, member, device, data.reason)
    if refused is not None:
        raise RefusedError(refused)


@post("/sessions/{session:uuid}/erase")
async def erase(session: FromPath[UUID], data: JSONBody[Because], member: Member_, house: House_) -> SessionCard:
    """Destroy the contents of a sealed session; its events and proofs stay."""
    return or_problem(await erasure.erase(house, member, session, data.reason))


class Keep(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many days contents are kept after a session's end; 0: for ever, null: as for all other clients."""

    client: UUID | None = None
    days: int | None = None


@get("/retention")
async def retention(member: Member_, house: House_) -> RetentionPage:
    """Show how long contents are kept."""
    return or_problem(await erasure.page(house, member))


@post("/retention")
async def keep(data: JSONBody[Keep], member: Member_, house: House_) -> RetentionPage:
    """Set how long contents are kept."""
    return or_problem(await erasure.keep(house, member, data.client, data.days))


handlers = [
    erase,
    retention,
    keep,
    list_devices,
    show_device,
    assign,
    reassign,
    queue,
    board,
    request_session,
    show_session,
    show_card,
    verify,
    list_entries,
    show_entry,
    ask_more,
    nudge,
    cancel,
    hand_over,
    run,
    interrupt,
    complete,
    search_records,
    list_installers,
    new_installer,
    rotate,
    revoke,
    rename,
    move,
    remove,
]
