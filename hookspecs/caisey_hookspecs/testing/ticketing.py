"""What every ticketing plugin keeps."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from caisey_hookspecs.plugin import HttpAnswer, Rejected, Unavailable
from caisey_hookspecs.testing.conformance import HOSTILE_TEXTS, Declared, PluginConformance
from caisey_hookspecs.testing.context import FakeContext
from caisey_hookspecs.ticketing import (
    Changes,
    Choices,
    Company,
    Configuration,
    Conflict,
    Contact,
    NewNote,
    NewStatus,
    NewTimeEntry,
    Note,
    Page,
    Ticket,
    Ticketing,
    TicketSearch,
    TimeEntry,
)

T = TypeVar("T")
R = TypeVar("R")

READ_SECONDS = 10.0
WRITE_SECONDS = 30.0
MOST_ITEMS = 500
LONGEST_CURSOR = 500  # characters
MOST_PAGES = 100
BAD_ANSWERS = (
    HttpAnswer(500, {"content-type": "application/json"}, b'{"errors": ["Object reference not set"]}'),
    HttpAnswer(200, {"content-type": "text/html"}, b"<html>Maintenance</html>"),
    HttpAnswer(200, {"content-type": "application/json"}, b"null"),
    HttpAnswer(401, {}, b""),
    HttpAnswer(429, {"retry-after": "30"}, b'{"message": "Too many requests"}'),
)


class TicketingConformance(PluginConformance):
    """Two lines: `class TestConformance(TicketingConformance):` and `plugin = "…"`.

    The vendor that `prepare` stands for has one open ticket at least, with a company, and two statuses that it can have.
    Where pages are tested the vendor should have more than one.
    """

    kind = "ticketing"

    async def _read(self, context: FakeContext[Any], work: Awaitable[R], expect: Any) -> R:
        said = await self.ask(context, work, expect, READ_SECONDS)
        if isinstance(said, Unavailable | Rejected):
            raise AssertionError(f"reading failed though the vendor answers: {said} {context.http.unanswered}")
        return said

    async def _write(self, context: FakeContext[Any], work: Awaitable[R], expect: Any) -> R:
        said = await self.ask(context, work, expect, WRITE_SECONDS)
        if isinstance(said, Unavailable | Rejected):
            raise AssertionError(f"writing failed though the vendor answers: {said} {context.http.unanswered}")
        return said

    async def _all(self, context: FakeContext[Any], page: Callable[[str], Awaitable[Page[T]]], expect: Any) -> list[T]:
        """Read a list to its end, page by page."""
        cursor, found, seen = "", list[T](), set[str]()
        for _ in range(MOST_PAGES):
            said = await self._read(context, page(cursor), expect)
            assert len(said.items) <= MOST_ITEMS, f"a page has more than {MOST_ITEMS} items"
            assert len(said.next) <= LONGEST_CURSOR, f"a cursor has more than {LONGEST_CURSOR} characters"
            found += said.items
            if not said.next:
                return found
            assert said.next not in seen, "the pages go round in a circle"
            seen.add(said.next)
            cursor = said.next
        raise AssertionError(f"there is no end after {MOST_PAGES} pages")

    async def _a_ticket(self, context: FakeContext[Any], desk: Ticketing) -> Ticket:
        found = await self._all(context, lambda cursor: desk.tickets(TicketSearch(), cursor), Page[Ticket])
        assert found, "the vendor of these tests has no open ticket: see `prepare`"
        return found[0]

    @pytest.mark.asyncio
    async def test_tickets_are_read(self, declared: Declared, context: FakeContext[Any]) -> None:
        """A list holds each ticket once; one read alone is the same; what is not there is None."""
        desk: Ticketing = await self.make(declared, context)
        found = await self._all(context, lambda cursor: desk.tickets(TicketSearch(closed=True), cursor), Page[Ticket])
        ids = [one.id for one in found]
        assert found, "the vendor of these tests has no ticket: see `prepare`"
        assert len(ids) == len(set(ids)), "a ticket is there twice"
        for one in found[:10]:
            assert await self._read(context, desk.ticket(one.id), (Ticket, type(None))) == one
            assert one.created_at.tzinfo is not None, "created_at has no time zone"
            assert one.changed_at.tzinfo is not None, "changed_at has no time zone"
            assert one.version, "a ticket has no version: two people could overwrite each other"
        for stranger in ("no such ticket", "999999999999", "-1", "../1", *HOSTILE_TEXTS):
            assert await self._read(context, desk.ticket(stranger), (Ticket, type(None))) is None, (
                f"{stranger!r:.50} is a ticket"
            )

    @pytest.mark.asyncio
    async def test_what_an_admin_maps(self, declared: Declared, context: FakeContext[Any]) -> None:
        """Each ticket's board, status and priority are among the choices, ids are unique, and the closed are closed."""
        desk: Ticketing = await self.make(declared, context)
        choices = await self._read(context, desk.choices(), Choices)
        for name in ("boards", "statuses", "priorities", "members"):
            ids = [one.id for one in getattr(choices, name)]
            assert len(ids) == len(set(ids)), f"two of the {name} have one id"
        closed = {one.id: one.closed for one in choices.statuses}
        for one in await self._all(context, lambda cursor: desk.tickets(TicketSearch(closed=True), cursor), Page[Ticket]):
            assert one.status in closed, f"the status {one.status} is not among the choices"
            assert one.closed == closed[one.status], "Ticket.closed does not follow its status"
            assert not one.board or one.board in {board.id for board in choices.boards}, "a board is not among the choices"
            assert not one.priority or one.priority in {p.id for p in choices.priorities}, "a priority is not among the choices"

    @pytest.mark.asyncio
    async def test_a_company_keeps_its_own(self, declared: Declared, context: FakeContext[Any]) -> None:
        """Contacts and devices are those of the company that was asked for, and nobody else's."""
        desk: Ticketing = await self.make(declared, context)
        companies = await self._all(context, lambda cursor: desk.companies("", cursor), Page[Company])
        assert companies, "the vendor of these tests has no company: see `prepare`"
        ticket = await self._a_ticket(context, desk)
        assert ticket.company in [one.id for one in companies], "a ticket's company is not among the companies"
        for company in companies[:10]:

            def contacts(cursor: str, of: str = company.id) -> Awaitable[Page[Contact]]:
                return desk.contacts(of, "", cursor)

            def devices(cursor: str, of: str = company.id) -> Awaitable[Page[Configuration]]:
                return desk.configurations(of, "", cursor)

            for contact in await self._all(context, contacts, Page[Contact]):
                assert contact.company == company.id, "a contact of another company was handed over"
            for device in await self._all(context, devices, Page[Configuration]):
                assert device.company == company.id, "a device of another company was handed over"
        assert not (await self._read(context, desk.contacts("no such company"), Page[Contact])).items
        assert not (await self._read(context, desk.configurations("no such company"), Page[Configuration])).items

    @pytest.mark.asyncio
    @pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=range(len(HOSTILE_TEXTS)))
    async def test_searches_for_anything(self, declared: Declared, context: FakeContext[Any], text: str) -> None:
        """Whatever a person types into a search finds what has it in its words, or nothing."""
        desk: Ticketing = await self.make(declared, context)
        page = await self._read(context, desk.tickets(TicketSearch(text=text)), Page[Ticket])
        assert all(text.casefold() in f"{one.number}\n{one.title}".casefold() for one in page.items), "another ticket was found"
        companies = await self._read(context, desk.companies(text), Page[Company])
        assert all(text.casefold() in one.name.casefold() for one in companies.items), "another company was found"

    @pytest.mark.asyncio
    async def test_searches_by_each_field(self, declared: Declared, context: FakeContext[Any]) -> None:
        """A ticket is found by each of its own values, and by none that it has not."""
        desk: Ticketing = await self.make(declared, context)
        ticket = await self._a_ticket(context, desk)
        own = {
            "text": ticket.title,
            "company": ticket.company,
            "board": ticket.board,
            "status": ticket.status,
            "assigned_to": ticket.assigned_to,
            "configuration": next(iter(ticket.configurations), ""),
        }
        for name, value in own.items():
            if value:
                found = await self._search(context, desk, {name: value})
                assert ticket in found, f"the ticket is not found by its {name}"
            found = await self._search(context, desk, {name: "no such thing"})
            assert not found, f"a ticket was found by a {name} that it has not"

    async def _search(self, context: FakeContext[Any], desk: Ticketing, by: dict[str, Any]) -> list[Ticket]:
        return await self._all(context, lambda cursor: desk.tickets(TicketSearch(**by), cursor), Page[Ticket])

    @pytest.mark.asyncio
    @pytest.mark.parametrize("visibility", ["internal", "customer"])
    async def test_notes_once(self, declared: Declared, context: FakeContext[Any], visibility: Any) -> None:
        """A note is written once for each key, also by another object, with the visibility that was asked for."""
        desk: Ticketing = await self.make(declared, context)
        ticket = await self._a_ticket(context, desk)
        before = await self._all(context, lambda cursor: desk.notes(ticket.id, cursor), Page[Note])
        new = NewNote(key=f"note-{visibility}-1", ticket=ticket.id, text="Restarted the queue.", visibility=visibility)
        written = await self._write(context, desk.add_note(new), Note)
        assert written.visibility == visibility, f"the note became {written.visibility}"
        assert written.ticket == ticket.id
        assert new.text in written.text, "the text is another one"
        again = await self._write(context, (await self.make(declared, context)).add_note(new), Note)
        assert again.id == written.id, "one key was written twice"
        after = await self._all(context, lambda cursor: desk.notes(ticket.id, cursor), Page[Note])
        added = {one.id for one in after} - {one.id for one in before}
        assert added == {written.id}, f"{len(added)} notes were added, not one"
        assert all(one.ours for one in after if one.id == written.id), "Note.ours is not set for what was written here"
        assert [one.written_at for one in after] == sorted(one.written_at for one in after), "notes are not oldest first"
        other = await self._write(
            context, desk.add_note(NewNote(key=f"note-{visibility}-2", ticket=ticket.id, text="…", visibility=visibility)), Note
        )
        assert other.id != written.id, "another key gave the same note"

    @pytest.mark.asyncio
    async def test_time_once(self, declared: Declared, context: FakeContext[Any]) -> None:
        """Working time is written once for each key, with the times that were given."""
        desk: Ticketing = await self.make(declared, context)
        ticket = await self._a_ticket(context, desk)
        members = (await self._read(context, desk.choices(), Choices)).members
        assert members, "the vendor of these tests has no member: see `prepare`"
        began = context.clock.now() - timedelta(minutes=30)
        new = NewTimeEntry(
            key="time-1",
            ticket=ticket.id,
            member=members[0].id,
            began_at=began,
            ended_at=began + timedelta(minutes=15),
            text="Printer",
            visibility="internal",
        )
        written = await self._write(context, desk.add_time(new), TimeEntry)
        assert (written.began_at, written.ended_at) == (new.began_at, new.ended_at), "the times are others"
        assert written.visibility == "internal", "an internal text became visible to the client"
        again = await self._write(context, desk.add_time(new), TimeEntry)
        assert again.id == written.id, "one key was written twice"

    @pytest.mark.asyncio
    async def test_status_with_care(self, declared: Declared, context: FakeContext[Any]) -> None:
        """A status is set on the version that was seen; on another one nothing is written and a person decides."""
        desk: Ticketing = await self.make(declared, context)
        ticket = await self._a_ticket(context, desk)
        choices = await self._read(context, desk.choices(), Choices)
        others = [one for one in choices.statuses if one.id != ticket.status and one.board in ("", ticket.board)]
        assert others, "the vendor of these tests has only one status for the ticket: see `prepare`"
        new = NewStatus(key="status-1", ticket=ticket.id, status=others[0].id, seen=ticket.version)
        after = await self._write(context, desk.set_status(new), (Ticket, Conflict))
        assert isinstance(after, Ticket), "there is a conflict though nobody changed the ticket"
        assert after.status == new.status, "the status is another one"
        assert after.version != ticket.version, "the ticket changed and its version did not"
        again = await self._write(context, desk.set_status(new), (Ticket, Conflict))
        assert isinstance(again, Ticket), "the same key again is a conflict with itself"
        late = NewStatus(key="status-2", ticket=ticket.id, status=ticket.status, seen=ticket.version)
        said = await self._write(context, desk.set_status(late), (Ticket, Conflict))
        assert isinstance(said, Conflict), "a status was set on a version that nobody has any more"
        assert said.ticket.status == after.status, "Conflict.ticket is not the ticket as it is now"

    @pytest.mark.asyncio
    async def test_writing_to_what_is_not_there(self, declared: Declared, context: FakeContext[Any]) -> None:
        """A ticket that is not there is Rejected, in words."""
        desk: Ticketing = await self.make(declared, context)
        note = NewNote(key="lost-1", ticket="no such ticket", text="…", visibility="internal")
        assert isinstance(await self.ask(context, desk.add_note(note), Note, WRITE_SECONDS), Rejected)
        status = NewStatus(key="lost-2", ticket="no such ticket", status="1", seen="1")
        assert isinstance(await self.ask(context, desk.set_status(status), (Ticket, Conflict), WRITE_SECONDS), Rejected)

    @pytest.mark.asyncio
    async def test_changes_are_not_missed(self, declared: Declared, context: FakeContext[Any]) -> None:
        """The first mark has all open tickets; after a change the next has that ticket, as it is; marks outlive the object."""
        desk: Ticketing = await self.make(declared, context)
        ticket = await self._a_ticket(context, desk)
        mark, seen = "", list[Ticket]()
        for _ in range(MOST_PAGES):
            said = await self._read(context, desk.changes(mark), Changes)
            assert len(said.mark) <= LONGEST_CURSOR, f"a mark has more than {LONGEST_CURSOR} characters"
            mark, seen = said.mark, [*seen, *said.tickets]
            if not said.more:
                break
        open_ones = await self._all(context, lambda cursor: desk.tickets(TicketSearch(), cursor), Page[Ticket])
        assert {one.id for one in open_ones} <= {one.id for one in seen}, "an open ticket is missing from the first changes"
        context.clock.advance(60)
        note = NewNote(key="change-1", ticket=ticket.id, text="…", visibility="internal")
        await self._write(context, desk.add_note(note), Note)
        choices = await self._read(context, desk.choices(), Choices)
        other = next(one for one in choices.statuses if one.id != ticket.status and one.board in ("", ticket.board))
        now = await self._read(context, desk.ticket(ticket.id), Ticket)
        assert now is not None
        new = NewStatus(key="change-2", ticket=ticket.id, status=other.id, seen=now.version)
        await self._write(context, desk.set_status(new), Ticket)
        said = await self._read(context, (await self.make(declared, context)).changes(mark), Changes)
        changed = [one for one in said.tickets if one.id == ticket.id]
        assert changed, "a change is missing"
        assert changed[-1].status == other.id, "a change shows the ticket as it was"

    @pytest.mark.asyncio
    async def test_a_vendor_who_is_down(self, declared: Declared, cut_off: FakeContext[Any]) -> None:
        """Nothing is made up while nobody answers, and no call is a fault."""
        await self._fails_in_words(declared, cut_off)

    @pytest.mark.asyncio
    @pytest.mark.parametrize("answer", BAD_ANSWERS, ids=range(len(BAD_ANSWERS)))
    async def test_a_vendor_who_answers_nonsense(
        self, declared: Declared, cut_off: FakeContext[Any], answer: HttpAnswer
    ) -> None:
        """Whatever comes instead of an answer is Unavailable or Rejected."""
        cut_off.http.answer_all(answer)
        await self._fails_in_words(declared, cut_off)

    async def _fails_in_words(self, declared: Declared, context: FakeContext[Any]) -> None:
        desk: Ticketing = await self.make(declared, context)
        note = NewNote(key="down-1", ticket="1", text="…", visibility="internal")
        for work, expect in (
            (desk.tickets(TicketSearch()), Page[Ticket]),
            (desk.choices(), Choices),
            (desk.changes(""), Changes),
            (desk.add_note(note), Note),
        ):
            said = await self.ask(context, work, expect, WRITE_SECONDS)
            if context.http.sent:
                assert isinstance(said, Unavailable | Rejected), f"the vendor gave no answer, the plugin gave {said!r:.100}"
