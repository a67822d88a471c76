"""The tenant's audit log as people read it, and the keys with which outsiders check its records."""

from uuid import UUID

from caisey_core.domain import events as e
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import May, Member, refuse_unless
from caisey_core.services.house import House
from caisey_core.services.journal import AUDIT
from caisey_core.services.views import AuditEntry, AuditPage, KeysPage

PAGE = 100


async def page(house: House, member: Member, before: int | None) -> AuditPage | Refused:
    """Return a page of the audit log, newest first; `before` is the position where the last page ended."""
    if (refused := refuse_unless(member, May.SEE_AUDIT)) is not None:
        return refused
    size = await house.record.open_stream(member.tenant, AUDIT)
    end = size if before is None else max(0, min(before, size))
    start = max(0, end - PAGE)
    names = {row.id: row.name for row in await house.catalogue.members.list(member.tenant)}
    names |= {client.id: client.name for client in await house.catalogue.clients.list(member.tenant)}
    read = [(row.position, e.decode(row.event)) for row in await house.record.read(member.tenant, AUDIT, start, end - start)]
    mentioned = {found for _, event in read if isinstance(found := getattr(event, "device", None), UUID)}
    names |= await house.catalogue.devices.names(member.tenant, mentioned)
    entries = []
    for position, event in read:
        kind = event.kind if isinstance(event, e.Unknown) else str(event.__struct_config__.tag)
        entries.append(
            AuditEntry(
                position=position,
                at=event.at,
                actor=event.actor.name or event.actor.kind,
                kind=kind,
                sentence=_sentence(event, names),
                session=event.session if isinstance(event, e.SessionOpened | e.ReviewOpened) else None,
            )
        )
    entries.reverse()
    return AuditPage(entries=tuple(entries), next=start or None)


async def keys(house: House, member: Member) -> KeysPage | Refused:
    """Return the public key and the newest checkpoint."""
    return KeysPage(vkey=house.record.vkey(member.tenant), checkpoint=await house.record.checkpoint(member.tenant))


def _sentence(event: e.AnyEvent | e.Unknown, names: dict[UUID, str]) -> str:
    def device(identity: UUID) -> str:
        return names.get(identity, "a device that was removed")

    match event:
        case e.TenantCreated():
            return f"The company {event.name} began"
        case e.ClientCreated():
            return f"Made the client {event.name}"
        case e.ClientRenamed():
            return f"Renamed the client {event.before} to {event.name}"
        case e.MemberCreated():
            return f"Added {event.name} ({event.email}) as {event.role}"
        case e.SignInLinkCreated():
            return f"Made a sign-in link for {names.get(event.member, 'a member')}"
        case e.ApiTokenCreated():
            return f"Made the API token “{event.label}” for {names.get(event.member, 'a member')}"
        case e.SignedIn():
            return f"Signed in by {event.way} from {event.address}"
        case e.SignInFailed():
            return f"A sign-in by {event.way} failed from {event.address}"
        case e.SignedOut():
            return "Signed out"
        case e.PasswordSet():
            return "Set a new password"
        case e.InstallerCreated():
            return "Made an installer" + (f" for the device {event.device_name}" if event.device_name else "")
        case e.InstallerRotated():
            return "Replaced an installer"
        case e.InstallerRevoked():
            return "Revoked an installer"
        case e.DeviceEnrolled():
            return f"The device {event.name} enrolled from {event.address}"
        case e.DeviceRenamed():
            return f"Renamed the device {event.before} to {event.name}"
        case e.DeviceMoved():
            return f"Moved {device(event.device)} to {names.get(event.client, 'another client')}"
        case e.DeviceRemoved():
            return f"Removed {device(event.device)}: {event.reason}"
        case e.DeviceAssigned():
            return f"Assigned {device(event.device)} to {names.get(event.technician, 'a technician')}, {event.priority}"
        case e.AssignmentMoved():
            return f"Gave {device(event.device)} to {names.get(event.to_technician, 'a technician')}"
        case e.AssignmentClosed():
            return f"Closed the assignment of {device(event.device)}: {event.reason}"
        case e.SessionOpened():
            return f"Asked for a session on {device(event.device)}"
        case e.ReviewOpened():
            return "Opened the review of a session"
        case e.PluginEnabled():
            return f"Enabled the plugin {event.plugin}"
        case e.PluginDisabled():
            return f"Disabled the plugin {event.plugin}"
    return "An event that this version does not know"
