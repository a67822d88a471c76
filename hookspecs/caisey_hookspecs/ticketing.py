"""Ticketing: reads a vendor's tickets and what they belong to, and writes notes, time and status back.

Ids are the vendor's own and opaque to the core. Texts are plain, lines end with a line feed; the plugin turns them into what the
vendor takes. Times are in UTC. What the vendor has and the contract does not name stays with the vendor.
"""

from abc import ABC, abstractmethod
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct

from caisey_hookspecs.plugin import Context, TenantObject, hookspec

T = TypeVar("T")

Visibility = Literal["internal", "customer"]  # who reads a text: the vendor's staff alone, or the client too


class Page(Struct, Generic[T], frozen=True):
    """A part of a list: 500 items at most. `next` is the cursor of the next page, empty on the last one.

    A cursor is opaque to the core, has 500 characters at most, and is good for an hour. A list that changes while it is read
    may show an item twice but must not leave one out that was there all the time.
    """

    items: tuple[T, ...]
    next: str = ""


class Company(Struct, frozen=True, kw_only=True):
    """A client of the service provider, as the vendor knows it."""

    id: str
    name: str
    active: bool = True


class Contact(Struct, frozen=True, kw_only=True):
    """A person of a company. What the vendor does not know is empty."""

    id: str
    company: str  # id
    name: str
    email: str = ""
    phone: str = ""  # as a person would dial it
    active: bool = True


class Configuration(Struct, frozen=True, kw_only=True):
    """A device of a company. The core matches devices by serial number, then by host name."""

    id: str
    company: str  # id
    name: str
    host_name: str = ""
    serial_number: str = ""
    contact: str = ""  # id of its user
    active: bool = True


class Choice(Struct, frozen=True, kw_only=True):
    """A board (or queue) or a priority: what an admin maps to the core's own words."""

    id: str
    title: str


class Status(Struct, frozen=True, kw_only=True):
    """A state that a ticket can be in."""

    id: str
    title: str
    board: str = ""  # id of the one board that has it; empty: all have it
    closed: bool = False  # no more work is expected


class VendorMember(Struct, frozen=True, kw_only=True):
    """Somebody of the service provider's staff, as the vendor knows them."""

    id: str
    name: str
    email: str = ""  # people are matched by it, never by name alone


class Choices(Struct, frozen=True, kw_only=True):
    """Everything that an admin maps. An id that is gone from here makes its mapping ask for attention."""

    boards: tuple[Choice, ...]
    statuses: tuple[Status, ...]
    priorities: tuple[Choice, ...]
    members: tuple[VendorMember, ...]


class Ticket(Struct, frozen=True, kw_only=True):
    """A piece of work as the vendor has it."""

    id: str
    number: str  # what people call it
    title: str
    company: str  # id
    status: str  # id
    version: str  # another one whenever the ticket changed; see NewStatus.seen
    created_at: datetime
    changed_at: datetime  # the vendor's clock, never the server's
    text: str = ""
    contact: str = ""  # id
    configurations: tuple[str, ...] = ()  # ids
    board: str = ""  # id
    priority: str = ""  # id
    assigned_to: str = ""  # id of a VendorMember
    closed: bool = False
    link: str = ""  # address of its page at the vendor


class TicketSearch(Struct, frozen=True, kw_only=True):
    """Which tickets are wanted: those to which everything applies that is not empty."""

    text: str = ""  # in number or title, without regard to case
    company: str = ""  # id
    board: str = ""  # id
    status: str = ""  # id
    assigned_to: str = ""  # id of a VendorMember
    configuration: str = ""  # id
    closed: bool = False  # closed ones too


class Changes(Struct, frozen=True, kw_only=True):
    """What changed at the vendor. Each page may be handed over twice; `mark` is kept once its page is."""

    tickets: tuple[Ticket, ...]  # as they are now, 500 at most
    gone: tuple[str, ...] = ()  # ids of tickets that were deleted, or merged into another
    mark: str  # from where to go on; 500 characters at most
    more: bool = False  # there is more at once: ask again with this mark


class Note(Struct, frozen=True, kw_only=True):
    """A text on a ticket."""

    id: str
    ticket: str  # id
    text: str
    visibility: Visibility
    written_at: datetime
    author: str = ""  # the name that the vendor shows
    ours: bool = False  # written through this plugin


class NewNote(Struct, frozen=True, kw_only=True):
    """A note to write. Visibility has no default: what was meant for colleagues must not reach a client by mistake."""

    key: str  # the same at each try: 1 to 40 letters, digits and hyphens
    ticket: str  # id
    text: str
    visibility: Visibility
    member: str = ""  # id of the VendorMember in whose name; empty: the plugin's own account


class TimeEntry(Struct, frozen=True, kw_only=True):
    """Working time on a ticket."""

    id: str
    ticket: str  # id
    began_at: datetime
    ended_at: datetime
    text: str
    visibility: Visibility
    member: str = ""  # id of a VendorMember


class NewTimeEntry(Struct, frozen=True, kw_only=True):
    """Working time to write; the core has rounded it as the admin chose."""

    key: str  # the same at each try: 1 to 40 letters, digits and hyphens
    ticket: str  # id
    member: str  # id of the VendorMember who worked
    began_at: datetime
    ended_at: datetime  # 24 hours later at most
    text: str
    visibility: Visibility


class NewStatus(Struct, frozen=True, kw_only=True):
    """A status to set."""

    key: str  # the same at each try: 1 to 40 letters, digits and hyphens
    ticket: str  # id
    status: str  # id, one of the ticket's board
    seen: str  # Ticket.version on which the decision was made


class Conflict(Struct, frozen=True):
    """Nothing was written: somebody changed the ticket meanwhile. A person is shown both and decides."""

    ticket: Ticket  # as it is now


class Ticketing(TenantObject, ABC):
    """A tenant's tickets at one vendor.

    Reading methods are called again by the core when they raise Unavailable. Writing methods are called from the core's outbox:
    in order for each ticket, again with the same key after Unavailable or a time-out, for three days. **The same key writes
    once**: a plugin whose answer was lost looks for what it wrote (a field or a marker with the key) before it writes again, and
    returns what it found. Exactly once does not exist; once or found does.

    A ticket that the vendor moved to another company comes with its new company; the core stops sharing anything of it.

    Thread: the plugin's own; methods of one tenant may be called at the same time.
    Raises: any method may raise Unavailable (vendor down, slow, limits the rate) and Rejected (credentials or rights are
        missing, the vendor refuses the content: an admin reads the vendor's words). Anything else is a fault of the plugin.

    The examples below are of the plugin that `caisey plugins new NAME --kind ticketing` writes: it keeps two tickets in memory.
    """

    @abstractmethod
    async def choices(self) -> Choices:
        """Return boards, statuses, priorities and the vendor's members, complete.

        Called: when an admin opens the mapping, and once a day. The core keeps the answer.
        Limit: 30 seconds.
        Raises: Unavailable, Rejected.
        Example:
            found = await desk.choices()
            assert [status.title for status in found.statuses if status.closed] == ["Closed"]
        """

    @abstractmethod
    async def tickets(self, search: TicketSearch, cursor: str = "") -> Page[Ticket]:
        """Return a page of the tickets that are wanted, newest change first.

        Called: when a person searches. `cursor` is empty or the `next` of the page before, with the same search.
        Limit: 10 seconds.
        Raises: Unavailable, Rejected.
        Example:
            page = await desk.tickets(TicketSearch(text="printer"))
            assert [ticket.number for ticket in page.items] == ["T-1"]
            assert page.next == ""
        """

    @abstractmethod
    async def ticket(self, id: str) -> Ticket | None:
        """Return a ticket, or None where there is none, or no more.

        Called: after each news of it, and before a person decides something about it.
        Limit: 10 seconds.
        Raises: Unavailable, Rejected.
        Example:
            found = await desk.ticket("1")
            assert found is not None and found.company == "harbor"
            assert await desk.ticket("no such ticket") is None
        """

    @abstractmethod
    async def changes(self, mark: str) -> Changes:
        """Return what changed since a mark, oldest change first; with the empty mark begin with all open tickets.

        This is the truth, webhooks are hints: go back behind the mark by as much as the vendor's clock may jump, rather hand over
        too much than too little.

        Called: every 5 minutes, every 15 where webhooks arrive; by one node at a time.
        Limit: 30 seconds.
        Raises: Unavailable, Rejected.
        Example:
            first = await desk.changes("")
            assert {ticket.id for ticket in first.tickets} == {"1", "2"}
            assert (await desk.changes(first.mark)).tickets == ()
        """

    @abstractmethod
    async def companies(self, text: str = "", cursor: str = "") -> Page[Company]:
        """Return a page of the companies whose name holds the text, without regard to case, by name.

        Called: when an admin maps clients.
        Limit: 10 seconds.
        Raises: Unavailable, Rejected.
        Example:
            page = await desk.companies("HARBOR")
            assert [company.name for company in page.items] == ["Harbor Dental"]
        """

    @abstractmethod
    async def contacts(self, company: str, text: str = "", cursor: str = "") -> Page[Contact]:
        """Return a page of a company's contacts whose name, address or number holds the text, by name.

        Called: when a person looks for somebody to call. Only this company's contacts may be in the answer.
        Limit: 10 seconds.
        Raises: Unavailable, Rejected.
        Example:
            page = await desk.contacts("harbor")
            assert [contact.email for contact in page.items] == ["ines@harbor.example"]
        """

    @abstractmethod
    async def configurations(self, company: str, text: str = "", cursor: str = "") -> Page[Configuration]:
        """Return a page of a company's devices whose name, host name or serial number holds the text, by name.

        Called: when devices are matched. Only this company's devices may be in the answer.
        Limit: 10 seconds.
        Raises: Unavailable, Rejected.
        Example:
            page = await desk.configurations("harbor", "hd-front")
            assert [device.serial_number for device in page.items] == ["5CD1234XYZ"]
        """

    @abstractmethod
    async def notes(self, ticket: str, cursor: str = "") -> Page[Note]:
        """Return a page of a ticket's notes, oldest first; an empty one for a ticket that is not there.

        Called: when a person opens the ticket.
        Limit: 10 seconds.
        Raises: Unavailable, Rejected.
        Example:
            page = await desk.notes("1")
            assert page.items == ()
        """

    @abstractmethod
    async def add_note(self, note: NewNote) -> Note:
        """Write a note and return it as the vendor has it now, read back: its visibility must be the one asked for.

        A text that is too long for the vendor is cut at a word.

        Called: from the outbox; see the class about `key`.
        Limit: 30 seconds.
        Raises: Unavailable, also where it is not known whether the note arrived; Rejected where the vendor refuses it, and for
            a ticket that is not there.
        Example:
            new = NewNote(key="n-1", ticket="1", text="Restarted the queue.", visibility="internal")
            written = await desk.add_note(new)
            assert written.visibility == "internal"
            assert await desk.add_note(new) == written
            assert len((await desk.notes("1")).items) == 1
        """

    @abstractmethod
    async def add_time(self, entry: NewTimeEntry) -> TimeEntry:
        """Write working time and return it as the vendor has it now.

        Called: from the outbox; see the class about `key`.
        Limit: 30 seconds.
        Raises: Unavailable, also where it is not known whether the entry arrived; Rejected where the vendor refuses it (a closed
            period, a member without the right), and for a ticket that is not there.
        Example:
            began = context.clock.now()
            new = NewTimeEntry(
                key="t-1", ticket="1", member="tom", began_at=began, ended_at=began + timedelta(minutes=15),
                text="Printer", visibility="customer",
            )
            written = await desk.add_time(new)
            assert await desk.add_time(new) == written
        """

    @abstractmethod
    async def set_status(self, status: NewStatus) -> Ticket | Conflict:
        """Set a ticket's status and return the ticket as it is now, read back; Conflict if it is not the one that was seen.

        Where the vendor cannot compare while it writes, read just before. A ticket that has the status already is no conflict.

        Called: from the outbox; see the class about `key`.
        Limit: 30 seconds.
        Raises: Unavailable, also where it is not known whether the change arrived; Rejected where the vendor refuses it, and for
            a ticket or a status that is not there.
        Example:
            before = await desk.ticket("1")
            assert before is not None
            after = await desk.set_status(NewStatus(key="s-1", ticket="1", status="closed", seen=before.version))
            assert isinstance(after, Ticket) and after.closed
            late = await desk.set_status(NewStatus(key="s-2", ticket="1", status="new", seen=before.version))
            assert isinstance(late, Conflict)
        """


@hookspec(firstresult=True)
def caisey_ticketing(context: Context[Any]) -> Ticketing:
    """Make a tenant's ticketing object; do no I/O. **This version of the server calls none of its methods but `check` and
    `incoming` yet.**

    Called: when the object is first needed after the tenant enabled the plugin or changed a setting.
    Thread: the plugin's own.
    Limit: 1 second.
    Raises: nothing; a setting that cannot be right is told by `check`.
    Example:
        class Desk(Ticketing):
            def __init__(self, context: Context[NoSettings]) -> None:
                self._http, self._store = context.http, context.store

            # choices, tickets, ticket, changes … as below

        @hookimpl
        def caisey_ticketing(context: Context[NoSettings]) -> Ticketing:
            return Desk(context)
    """
    raise NotImplementedError  # a specification is never run
