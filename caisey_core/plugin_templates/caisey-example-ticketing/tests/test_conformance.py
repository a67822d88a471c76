"""What every ticketing plugin keeps, and what this one does on top."""

import asyncio

import pytest
from caisey_hookspecs import NewNote, NoSettings
from caisey_hookspecs.testing import FakeContext, TicketingConformance

from caisey_example_ticketing import HelpDesk


class TestConformance(TicketingConformance):
    """The suite of the contract."""

    plugin = "example-ticketing"


@pytest.mark.asyncio
async def test_two_servers_write_at_once(caisey_context: FakeContext[NoSettings]) -> None:
    """Both notes are there afterwards."""
    desks = [HelpDesk(caisey_context) for _ in range(2)]
    new = [NewNote(key=f"n-{n}", ticket="1", text=f"Note {n}", visibility="internal") for n in range(2)]
    await asyncio.gather(*(desk.add_note(one) for desk, one in zip(desks, new, strict=True)))
    page = await desks[0].notes("1")
    assert sorted(one.text for one in page.items) == ["Note 0", "Note 1"]
