"""Example ticketing: a small help desk of its own, with two companies and two tickets."""

from datetime import datetime
from typing import TypeVar

from caisey_hookspecs import (
    Changes,
    Check,
    Choices,
    Company,
    Configuration,
    Conflict,
    Contact,
    Context,
    NewNote,
    NewStatus,
    NewTimeEntry,
    NoSettings,
    Note,
    Page,
    PluginInfo,
    Rejected,
    Ticket,
    Ticketing,
    TicketSearch,
    TimeEntry,
    hookimpl,
)
from msgspec.structs import replace

from caisey_example_ticketing.desk import (
    CHOICES,
    COMPANIES,
    CONFIGURATIONS,
    CONTACTS,
    Desk,
    change,
    read,
)

T = TypeVar("T")

PAGE = 100  # items


class HelpDesk(Ticketing):
    """One tenant's help desk."""

    def __init__(self, context: Context[NoSettings]) -> None:
        self._store, self._clock = context.store, context.clock

    async def check(self) -> Check:
        """Say what is there."""
        return Check(True, f"The desk has {len((await read(self._store)).tickets)} tickets.")

    async def choices(self) -> Choices:
        """Return what can be mapped."""
        return CHOICES

    async def tickets(self, search: TicketSearch, cursor: str = "") -> Page[Ticket]:
        """Return those that are wanted, newest change first."""
        found = [one for one in (await read(self._store)).tickets if _is_wanted(one, search)]
        return _page(sorted(found, key=lambda one: int(one.version), reverse=True), cursor)

    async def ticket(self, id: str) -> Ticket | None:
        """Return one, or None."""
        return (await read(self._store)).ticket(id)

    async def changes(self, mark: str) -> Changes:
        """Return what changed after a revision, which is the mark."""
        desk = await read(self._store)
        if mark == "":
            return Changes(tickets=tuple(one for one in desk.tickets if not one.closed), mark=str(desk.revision))
        changed = [one for one in desk.tickets if int(one.version) > int(mark)]
        return Changes(tickets=tuple(sorted(changed, key=lambda one: int(one.version))), mark=str(desk.revision))

    async def companies(self, text: str = "", cursor: str = "") -> Page[Company]:
        """Return companies by name."""
        return _page([one for one in COMPANIES if _has(text, one.name)], cursor)

    async def contacts(self, company: str, text: str = "", cursor: str = "") -> Page[Contact]:
        """Return a company's contacts."""
        own = [one for one in CONTACTS if one.company == company]
        return _page([one for one in own if _has(text, one.name, one.email, one.phone)], cursor)

    async def configurations(self, company: str, text: str = "", cursor: str = "") -> Page[Configuration]:
        """Return a company's devices."""
        own = [one for one in CONFIGURATIONS if one.company == company]
        return _page([one for one in own if _has(text, one.name, one.host_name, one.serial_number)], cursor)

    async def notes(self, ticket: str, cursor: str = "") -> Page[Note]:
        """Return a ticket's notes, oldest first."""
        return _page([one for one in (await read(self._store)).notes if one.ticket == ticket], cursor)

    async def add_note(self, note: NewNote) -> Note:
        """Write a note once for each key."""
        now = self._clock.now()

        def write(desk: Desk) -> tuple[Desk, Note]:
            there = next((one for one in desk.notes if one.id == desk.written.get(note.key)), None)
            if there is not None:
                return desk, there
            desk = _touched(desk, note.ticket, note.key, f"n{len(desk.notes) + 1}", now)
            made = Note(
                id=desk.written[note.key],
                ticket=note.ticket,
                text=note.text,
                visibility=note.visibility,
                written_at=now,
                author=note.member or "Caisey",
                ours=True,
            )
            return replace(desk, notes=(*desk.notes, made)), made

        return await change(self._store, write)

    async def add_time(self, entry: NewTimeEntry) -> TimeEntry:
        """Write working time once for each key."""
        now = self._clock.now()

        def write(desk: Desk) -> tuple[Desk, TimeEntry]:
            there = next((one for one in desk.times if one.id == desk.written.get(entry.key)), None)
            if there is not None:
                return desk, there
            desk = _touched(desk, entry.ticket, entry.key, f"t{len(desk.times) + 1}", now)
            made = TimeEntry(
                id=desk.written[entry.key],
                ticket=entry.ticket,
                began_at=entry.began_at,
                ended_at=entry.ended_at,
                text=entry.text,
                visibility=entry.visibility,
                member=entry.member,
            )
            return replace(desk, times=(*desk.times, made)), made

        return await change(self._store, write)

    async def set_status(self, status: NewStatus) -> Ticket | Conflict:
        """Set a status, unless the ticket is another than the one that was seen."""
        wanted = next((one for one in CHOICES.statuses if one.id == status.status), None)
        now = self._clock.now()

        def write(desk: Desk) -> tuple[Desk, Ticket | Conflict]:
            there = desk.ticket(status.ticket)
            if there is None:
                raise Rejected(f"There is no ticket {status.ticket}.")
            if wanted is None:
                raise Rejected(f"There is no status {status.status}.")
            if there.status == wanted.id:
                return desk, there
            if there.version != status.seen:
                return desk, Conflict(there)
            desk = _touched(desk, there.id, status.key, there.id, now, status=wanted.id, closed=wanted.closed)
            return desk, next(one for one in desk.tickets if one.id == there.id)

        return await change(self._store, write)


def _touched(desk: Desk, ticket: str, key: str, written: str, now: datetime, **changes: object) -> Desk:
    """Return the desk after a change of a ticket, which gets a new version. Raises Rejected where there is none."""
    if desk.ticket(ticket) is None:
        raise Rejected(f"There is no ticket {ticket}.")
    revision = desk.revision + 1
    tickets = tuple(
        replace(one, version=str(revision), changed_at=now, **changes) if one.id == ticket else one
        for one in desk.tickets
    )
    return replace(desk, tickets=tickets, written={**desk.written, key: written}, revision=revision)


def _is_wanted(ticket: Ticket, search: TicketSearch) -> bool:
    return (
        _has(search.text, ticket.number, ticket.title)
        and search.company in ("", ticket.company)
        and search.board in ("", ticket.board)
        and search.status in ("", ticket.status)
        and search.assigned_to in ("", ticket.assigned_to)
        and (not search.configuration or search.configuration in ticket.configurations)
        and (search.closed or not ticket.closed)
    )


def _has(text: str, *words: str) -> bool:
    return any(text.casefold() in one.casefold() for one in words)


def _page(found: list[T], cursor: str) -> Page[T]:
    begin = int(cursor or 0)
    end = begin + PAGE
    return Page(tuple(found[begin:end]), str(end) if end < len(found) else "")


@hookimpl
def caisey_plugin() -> PluginInfo:
    """Describe this plugin."""
    return PluginInfo(
        name="example-ticketing",
        title="Example ticketing",
        version="0.1.0",
        kinds=("ticketing",),
    )


@hookimpl
def caisey_ticketing(context: Context[NoSettings]) -> Ticketing:
    """Make a tenant's ticketing object."""
    return HelpDesk(context)
