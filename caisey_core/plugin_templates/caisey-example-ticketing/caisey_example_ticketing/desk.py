"""The vendor: a help desk that lives in the plugin's own store. Replace it by calls of your vendor's API.

Everything is one entry of the store, changed by compare-and-swap: two servers that write at once both succeed, one
after the other. An entry holds 64 KiB, which is enough for an example.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

import msgspec
from caisey_hookspecs import (
    Choice,
    Choices,
    Company,
    Configuration,
    Contact,
    Note,
    Status,
    Store,
    Ticket,
    TimeEntry,
    Unavailable,
    VendorMember,
)
from msgspec import Struct

R = TypeVar("R")

BEGAN = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
COMPANIES = (Company(id="harbor", name="Harbor Dental"), Company(id="north", name="Northwind Legal"))
CONTACTS = (
    Contact(id="ines", company="harbor", name="Ines Okafor", email="ines@harbor.example", phone="+49 30 1234567"),
    Contact(id="paul", company="north", name="Paul Weber", email="paul@north.example"),
)
CONFIGURATIONS = (
    Configuration(id="c1", company="harbor", name="Front desk", host_name="HD-FRONTDESK", serial_number="5CD1234XYZ"),
    Configuration(id="c2", company="north", name="Office", host_name="NL-OFFICE", contact="paul"),
)
CHOICES = Choices(
    boards=(Choice(id="service", title="Service desk"),),
    statuses=(
        Status(id="new", title="New", board="service"),
        Status(id="working", title="In progress", board="service"),
        Status(id="closed", title="Closed", board="service", closed=True),
    ),
    priorities=(Choice(id="normal", title="Normal"), Choice(id="high", title="High")),
    members=(VendorMember(id="tom", name="Tom Brandt", email="tom@msp.example"),),
)


def _ticket(number: int, title: str, company: str, configuration: str, assigned_to: str) -> Ticket:
    return Ticket(
        id=str(number),
        number=f"T-{number}",
        title=title,
        company=company,
        configurations=(configuration,),
        board="service",
        status="new",
        priority="normal",
        assigned_to=assigned_to,
        version="0",
        created_at=BEGAN,
        changed_at=BEGAN,
    )


TICKETS = (
    _ticket(1, "The printer does not print", "harbor", "c1", "tom"),
    _ticket(2, "VPN drops every hour", "north", "c2", ""),
)


class Desk(Struct, frozen=True):
    """All that the vendor knows about one tenant's work."""

    tickets: tuple[Ticket, ...] = TICKETS
    notes: tuple[Note, ...] = ()
    times: tuple[TimeEntry, ...] = ()
    written: dict[str, str] = {}  # id of what was written under a key
    revision: int = 0  # of the newest change; a ticket's version is the revision that changed it

    def ticket(self, id: str) -> Ticket | None:
        """Return a ticket, or None."""
        return next((one for one in self.tickets if one.id == id), None)


async def read(store: Store) -> Desk:
    """Return the desk as it is now."""
    entry = await store.get("desk")
    return Desk() if entry is None else msgspec.json.decode(entry.value, type=Desk)


async def change(store: Store, how: Callable[[Desk], tuple[Desk, R]]) -> R:
    """Change the desk and return what came of it; tried again while others change it at the same time."""
    for _ in range(20):
        entry = await store.get("desk")
        before, version = (Desk(), 0) if entry is None else (msgspec.json.decode(entry.value, type=Desk), entry.version)
        after, result = how(before)
        if after is before or await store.put("desk", msgspec.json.encode(after), if_version=version) is not None:
            return result
    raise Unavailable("Too many people write at the same time.")
