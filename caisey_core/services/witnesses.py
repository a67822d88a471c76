"""The devices as witnesses of their tenant's record: what each is shown, what each has on its own disk, and who refuses."""

import asyncio
import sqlite3
from collections.abc import Iterator
from typing import Final
from uuid import UUID

import msgspec

from caisey_agent.protocol import frames as f
from caisey_agent.protocol import history
from caisey_core.catalogue.witnesses import Witness
from caisey_core.domain import events as e
from caisey_core.domain.events import Actor
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import Member, Role
from caisey_core.live.links import Connection
from caisey_core.live.roster import RosterDevice
from caisey_core.record import checkpoint as notes
from caisey_core.record.history import Histories
from caisey_core.record.tree import LeavesMissing
from caisey_core.services import members, notices
from caisey_core.services.house import House, log
from caisey_core.services.journal import STAMPED
from caisey_core.services.views import WitnessesView, WitnessView

LONGEST_DOUBT: Final = 4 * history.LONGEST_NOTE  # bytes
SENT_AT_ONCE: Final = 100  # devices between two turns of other people's work
SHOWN: Final = 100  # devices on the page
UNREADABLE: Final = (LeavesMissing, notes.NotACheckpoint, sqlite3.Error)  # the record is damaged


class Witnesses:
    """All witnesses of this node."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._histories = Histories(house.record)
        self._known: dict[UUID, dict[UUID, Witness]] = {}
        self._unsaved: set[tuple[UUID, UUID]] = set()

    async def load(self, tenant: UUID) -> None:
        """Remember who saw what."""
        self._known[tenant] = {row.id: row for row in await self._house.catalogue.witnesses.list(tenant)}

    async def prepare(self) -> None:
        """Read the logs before the devices come back."""
        for tenant in self._known:
            try:
                await self._histories.prepare(tenant)
            except UNREADABLE as error:
                log.error("a tenant's log cannot be read", tenant=str(tenant), exc_info=error)

    async def save(self) -> None:
        """Write what changed to the catalogue."""
        changed, self._unsaved = self._unsaved, set()
        for tenant in {tenant for tenant, _ in changed}:
            rows = [self._known[tenant][device] for of, device in changed if of == tenant]
            await self._house.catalogue.witnesses.save(tenant, rows)

    def of(self, device: RosterDevice) -> Witness | None:
        """Return what is known of a device as a witness."""
        return self._known.get(device.tenant, {}).get(device.id)

    def _keep(self, device: RosterDevice, witness: Witness) -> None:
        self._known.setdefault(device.tenant, {})[device.id] = witness
        self._unsaved.add((device.tenant, device.id))

    def refusing(self, tenant: UUID) -> list[tuple[RosterDevice, Witness]]:
        """Return the devices that refuse this server's record now, the first to do so first."""
        found = [pair for pair in self._all(tenant) if pair[1].refused_at is not None]
        return sorted(found, key=lambda pair: pair[1].refused_at or 0)

    def _all(self, tenant: UUID) -> Iterator[tuple[RosterDevice, Witness]]:
        for identity, witness in self._known.get(tenant, {}).items():
            if (device := self._house.live.roster.get(tenant, identity)) is not None:
                yield device, witness

    # --- showing -----------------------------------------------------------------------------------------------------

    async def history(self, tenant: UUID, since: int, *, fresh: bool = False) -> tuple[f.History, int]:
        """Return the newest checkpoint for a device that remembers one of this size, and its own size. Raises UNREADABLE."""
        made = await self._histories.since(tenant, since, fresh=fresh)
        return f.History(checkpoint=made.note, since=made.since, proof=made.proof), made.size

    async def send(self, device: RosterDevice, *, fresh: bool = False) -> None:
        """Send a connected device the newest checkpoint, if it has an older one."""
        connection = self._house.live.links.of(device.id).connection
        while connection is not None and (since := connection.witnessed) is not None:
            shown, size = await self.history(device.tenant, since, fresh=fresh)
            if connection.witnessed == since:  # another checkpoint may have been sent meanwhile: the next continues that one
                if size > since:
                    connection.witnessed = size
                    connection.write(f.encode(shown))
                return

    async def send_all(self) -> None:
        """Send every connected device the newest checkpoint; called by the clock."""
        for tenant in list(self._known):
            for number, device in enumerate(list(self._house.live.roster.ordered(tenant))):
                if device.online:
                    await self.send(device)
                if number % SENT_AT_ONCE == 0:
                    await asyncio.sleep(0)

    # --- hearing -----------------------------------------------------------------------------------------------------

    async def accepted(self, device: RosterDevice, connection: Connection, size: int) -> None:
        """The device has a checkpoint that it was sent on its disk."""
        if connection.witnessed is None or not 0 <= size <= connection.witnessed:
            return
        before = self.of(device)
        self._keep(device, Witness(id=device.id, size=size, seen_at=self._house.clock.now()))
        if before is not None and before.refused_at is not None:
            actor = Actor("device", str(device.id), device.name)
            event = e.WitnessSatisfied(actor=actor, at=STAMPED, device=device.id, size=size)
            if await self._house.journal.audit(device.tenant, event) is not None:
                self._keep(device, before)  # not written: the next checkpoint says it again

    async def refused(self, device: RosterDevice, frame: f.Doubts) -> str:
        """The device refuses this server's record: keep its evidence, tell the admins. Returns why that is no evidence."""
        try:
            doubt = history.decode(frame.doubt)
        except msgspec.DecodeError:
            return "The device's doubt does not decode."
        if len(frame.doubt) > LONGEST_DOUBT or doubt.device != device.id:
            return "The device's doubt is not about its own link."
        if not history.holds(device.key, frame.doubt, frame.signature):
            return "The device's doubt is not signed by its key."
        before = self.of(device)
        remembered, genuine = self._remembered(device.tenant, doubt.remembered)
        if (
            before is not None
            and before.refused_at is not None
            and (before.reason, before.remembered) == (doubt.reason, remembered)
        ):
            return ""  # it said so before
        _, shown = await self._histories.newest(device.tenant)
        log.error("a device refuses this server's record", device=device.name, reason=doubt.reason, remembered=remembered)
        event = e.WitnessRefused(
            actor=Actor("device", str(device.id), device.name),
            at=STAMPED,
            device=device.id,
            doubt=frame.doubt,
            signature=frame.signature,
            reason=doubt.reason,
            remembered=remembered,
            genuine=genuine,
            shown=shown,
        )
        if isinstance(await self._house.journal.audit(device.tenant, event), Refused):
            return ""  # the record is held; the device says it again
        others = self.refusing(device.tenant)
        now = self._house.clock.now()
        size, seen_at = (before.size, before.seen_at) if before is not None else (0, now)
        self._keep(
            device,
            Witness(id=device.id, size=size, seen_at=seen_at, refused_at=now, reason=doubt.reason, remembered=remembered),
        )
        await self.save()
        if not others:  # the first of an incident; the page counts the rest
            await self._tell_admins(device, now)
        return ""

    def _remembered(self, tenant: UUID, note: str) -> tuple[int, bool]:
        name, key = notes.parse_vkey(self._house.record.vkey(tenant))
        try:
            return notes.verify(note, name, key).size, True
        except notes.NotACheckpoint:
            pass
        try:
            return notes.parse(note.partition("\n\n")[0] + "\n").size, False
        except notes.NotACheckpoint:
            return 0, False

    async def _tell_admins(self, device: RosterDevice, now: int) -> None:
        tenant = await self._house.catalogue.tenants.by_id(device.tenant)
        assert tenant is not None
        for row in await self._house.catalogue.members.list(device.tenant):
            if row.active and row.role == Role.ADMIN:
                notices.later(
                    self._house,
                    members.member_of(tenant, row),
                    key=f"witness-refused/{now}",
                    title=f"{device.name} refuses this server’s record",
                    text="What it remembers of the record is not in it. The page Keys and proofs says which devices do so.",
                    link=f"/t/{tenant.slug}/keys",
                    urgency="urgent",
                )

    # --- the page ----------------------------------------------------------------------------------------------------

    def view(self, member: Member, newest: int) -> WitnessesView:
        """Return who saw what: those that refuse first, then those that are furthest behind."""
        known = [pair for pair in self._all(member.tenant) if member.serves(pair[0].client)]
        known.sort(key=lambda pair: (pair[1].refused_at is None, pair[1].size, pair[0].name))
        return WitnessesView(
            devices=len(known),
            newest=max((witness.size for _, witness in known if witness.refused_at is None), default=0),
            behind=sum(witness.size < newest and witness.refused_at is None for _, witness in known),
            refusing=sum(witness.refused_at is not None for _, witness in known),
            shown=tuple(
                WitnessView(
                    device=device.id,
                    name=device.name,
                    client_name=self._house.live.roster.client_name(device.client),
                    online=device.online,
                    size=witness.size,
                    seen_at=witness.seen_at,
                    refused_at=witness.refused_at,
                    reason=witness.reason,
                    remembered=witness.remembered,
                )
                for device, witness in known[:SHOWN]
            ),
        )


def refusing(house: House, member: Member) -> int:
    """Return how many devices refuse this server's record, for the banner of those who must act."""
    if member.role is not Role.ADMIN:
        return 0
    return sum(member.serves(device.client) for device, _ in house.witnesses.refusing(member.tenant))


async def session_ended(house: House, tenant: UUID, device: UUID) -> None:
    """Send the device of a sealed session the checkpoint over all of it."""
    if (found := house.live.roster.get(tenant, device)) is not None:
        await house.witnesses.send(found, fresh=True)


async def save(house: House) -> None:
    """Write what changed; called by the clock."""
    await house.witnesses.save()


async def send_all(house: House) -> None:
    """Send newer checkpoints; called by the clock."""
    await house.witnesses.send_all()
