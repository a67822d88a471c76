"""Installers: tokens with which devices enrol; they expire, are counted, and can be replaced at once."""

import shlex
import sys
from pathlib import Path
from uuid import UUID, uuid4

from caisey_core.catalogue.installers import Installer
from caisey_core.domain import events as e
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import May, Member, refuse_unless
from caisey_core.services.house import House
from caisey_core.services.journal import STAMPED
from caisey_core.services.outcomes import NOT_FOUND, WHOLE_COMPANY, bad_input
from caisey_core.services.step_up import refuse_unless_sure
from caisey_core.services.tokens import new_token
from caisey_core.services.views import Choice, InstallerState, InstallerView, NewInstaller

LONGEST_HOURS = 24 * 365
MOST_USES = 100_000


def _view(house: House, row: Installer, enrolled: tuple[Choice, ...]) -> InstallerView:
    now = house.clock.now()
    state: InstallerState = "valid"
    if row.revoked_at is not None:
        state = "revoked"
    elif row.expires_at is not None and now >= row.expires_at:
        state = "expired"
    elif row.uses_left is not None and row.uses_left <= 0:
        state = "used up"
    return InstallerView(
        id=row.id,
        client=row.client,
        client_name=house.live.roster.client_name(row.client) if row.client is not None else "All clients",
        device_name=row.device_name,
        created_at=row.created_at,
        created_by=row.created_by_name,
        expires_at=row.expires_at,
        uses_left=row.uses_left,
        state=state,
        enrolled=enrolled,
    )


def _command(house: House, token: str, device_name: str) -> str:
    name = f" --name {shlex.quote(device_name)}" if device_name else ""
    return f"{_agent(house)} enrol {house.config.url} --token {token}{name}"


def _agent(house: House) -> str:
    """Name the agent's program; the demonstration's own machine has it beside this Python and on no PATH."""
    return shlex.quote(str(Path(sys.executable).with_name("caisey-agent"))) if house.config.demonstration else "caisey-agent"


def _shown_once(house: House, view: InstallerView, token: str) -> NewInstaller:
    agent = _agent(house)
    return NewInstaller(
        view=view,
        token=token,
        command=_command(house, token, view.device_name),
        start=f"{agent} run",
        service=f"{agent} unit > /etc/systemd/system/caisey-agent.service && systemctl enable --now caisey-agent",
    )


async def page(house: House, member: Member) -> tuple[InstallerView, ...] | Refused:
    """Return all installers, newest first, with what each enrolled."""
    if (refused := refuse_unless(member, May.ENROL)) is not None:
        return refused
    enrolled: dict[UUID, list[Choice]] = {}
    for row in await house.catalogue.devices.all(member.tenant):
        if member.serves(row.client):
            enrolled.setdefault(row.installer, []).append(Choice(id=row.id, name=row.name))
    rows = await house.catalogue.installers.list(member.tenant)
    return tuple(_view(house, row, tuple(enrolled.get(row.id, ()))) for row in rows if _reaches(member, row))


def _reaches(member: Member, row: Installer) -> bool:
    """Say whether an installer is within the member's reach: one for all clients is for those who serve all."""
    return member.clients is None if row.client is None else member.serves(row.client)


async def create(
    house: House, member: Member, client: UUID | None, device_name: str, expires_hours: int | None, uses: int | None
) -> NewInstaller | Refused:
    """Make an installer for the tenant, a client, or one named device. The token is shown once."""
    if (refused := refuse_unless(member, May.ENROL)) is not None:
        return refused
    device_name = " ".join(device_name.split())
    if len(device_name) > 100:
        return bad_input("device_name", "The name is longer than 100 characters.", "Shorten it.")
    if client is None and member.clients is not None:
        return WHOLE_COMPANY
    if client is None and (refused := refuse_unless_sure(house, member, May.ENROL)) is not None:
        return refused
    if client is not None and (not member.serves(client) or await house.catalogue.clients.by_id(member.tenant, client) is None):
        return bad_input("client", "This client is not there.", "Choose one from the list.")
    if client is None and not await house.catalogue.clients.list(member.tenant):
        return bad_input("client", "There is no client yet.", "Make a client first: each device belongs to one.")
    if device_name and client is None:
        return bad_input("client", "A named device belongs to one client.", "Choose the client.")
    if expires_hours is not None and not 1 <= expires_hours <= LONGEST_HOURS:
        return bad_input("expires_hours", f"The hours must be between 1 and {LONGEST_HOURS}.", "Correct the hours.")
    if uses is not None and not 1 <= uses <= MOST_USES:
        return bad_input("uses", f"The uses must be between 1 and {MOST_USES}.", "Correct the number.")
    if device_name:
        uses = 1
    now = house.clock.now()
    token, digest = new_token()
    row = Installer(
        id=uuid4(),
        client=client,
        device_name=device_name,
        token_hash=digest,
        created_by=member.id,
        created_by_name=member.name,
        created_at=now,
        expires_at=now + expires_hours * 3600_000_000 if expires_hours is not None else None,
        uses=uses,
        uses_left=uses,
        revoked_at=None,
        replaced_by=None,
    )
    refused = await house.journal.audit(
        member.tenant,
        e.InstallerCreated(
            actor=member.actor,
            at=STAMPED,
            installer=row.id,
            client=client,
            device_name=device_name,
            expires_at=row.expires_at,
            uses=uses,
        ),
    )
    if refused is not None:
        return refused
    await house.catalogue.installers.create(member.tenant, row)
    return _shown_once(house, _view(house, row, ()), token)


async def _of(house: House, member: Member, installer: UUID) -> Installer | None:
    rows = await house.catalogue.installers.list(member.tenant)
    return next((row for row in rows if row.id == installer and _reaches(member, row)), None)


async def rotate(house: House, member: Member, installer: UUID) -> NewInstaller | Refused:
    """Replace a leaked token: the old one stops at once, the new one has the same limits."""
    if (refused := refuse_unless(member, May.ENROL)) is not None:
        return refused
    row = await _of(house, member, installer)
    if row is None:
        return NOT_FOUND
    if row.client is None and (refused := refuse_unless_sure(house, member, May.ENROL)) is not None:
        return refused
    if row.revoked_at is not None:
        return Refused("This installer is revoked already.", "Make a new one.")
    token, digest = new_token()
    new = await house.catalogue.installers.rotate(member.tenant, installer, uuid4(), digest, house.clock.now())
    if new is None:
        return Refused("This installer is revoked already.", "Make a new one.")
    refused = await house.journal.audit(member.tenant, e.InstallerRotated(actor=member.actor, at=STAMPED, installer=installer))
    if refused is not None:
        return refused
    return _shown_once(house, _view(house, new, ()), token)


async def revoke(house: House, member: Member, installer: UUID) -> Refused | None:
    """Stop an installer at once."""
    if (refused := refuse_unless(member, May.ENROL)) is not None:
        return refused
    if await _of(house, member, installer) is None:
        return NOT_FOUND
    if not await house.catalogue.installers.revoke(member.tenant, installer, house.clock.now()):
        return NOT_FOUND
    return await house.journal.audit(member.tenant, e.InstallerRevoked(actor=member.actor, at=STAMPED, installer=installer))
