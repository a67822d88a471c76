"""The tenant's audit log as people read it, its proof, and the keys with which outsiders check the records."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct

from caisey_core.domain import events as e
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import May, Member, refuse_unless
from caisey_core.record import checkpoint as notes
from caisey_core.services.house import House
from caisey_core.services.journal import AUDIT
from caisey_core.services.verification import verify_audit
from caisey_core.services.views import AuditEntry, AuditFilter, AuditGroup, AuditPage, Choice, KeysPage, Proof

PAGE: Final = 100
READ_AT_ONCE: Final = 500
GROUPS: Final[dict[AuditGroup, tuple[type[e.Event], ...]]] = {
    "sign-in": (
        *(e.SignInLinkCreated, e.ApiTokenCreated, e.ApiTokenRevoked),
        *(e.SignedIn, e.SignInFailed, e.SignedOut, e.MemberLinked, e.PasswordSet),
        *(e.FactorAdded, e.FactorRemoved, e.RecoveryCodesMade),
    ),
    "devices": (
        *(e.InstallerCreated, e.InstallerRotated, e.InstallerRevoked),
        *(e.DeviceEnrolled, e.DeviceRenamed, e.DeviceMoved, e.DeviceRemoved),
    ),
    "work": (e.DeviceAssigned, e.AssignmentMoved, e.AssignmentClosed, e.SessionOpened),
    "records": (
        *(e.ReviewOpened, e.AuditExported, e.SessionExported, e.ContentErased, e.RetentionSet),
        *(e.WitnessRefused, e.WitnessSatisfied),
    ),
    "shares": (
        *(e.TranscriptCreated, e.TranscriptChanged, e.TranscriptPublished),
        *(e.ShareOpened, e.SharePasscodeRefused, e.ShareRefreshed, e.ShareRevoked),
    ),
    "settings": (
        *(e.TenantCreated, e.TenantSuspended, e.TenantResumed, e.ClientCreated, e.ClientRenamed),
        *(e.MemberCreated, e.MemberChanged, e.MemberDeactivated, e.MemberReactivated),
        *(e.PluginEnabled, e.PluginDisabled, e.PluginChanged, e.PluginDefaultSet, e.KeysRotated),
    ),
}


_FACTORS: Final = {"authenticator": "authenticator app"}


class Logged(Struct, frozen=True):
    """An event of the audit log, and how it reads."""

    entry: AuditEntry
    event: e.AnyEvent | e.Unknown


async def entries(house: House, member: Member, wanted: AuditFilter, before: int | None = None) -> AsyncIterator[Logged]:
    """Yield the entries that fit, newest first, from the one before a position on. The caller checked the permission."""
    words = wanted.q.lower().split()
    size = await house.record.size(member.tenant, AUDIT)
    end = size if before is None else max(0, min(before, size))
    names = {row.id: row.name for row in await house.catalogue.members.list(member.tenant)}
    names |= {client.id: client.name for client in await house.catalogue.clients.list(member.tenant)}
    while end > 0:
        start = max(0, end - READ_AT_ONCE)
        rows = await house.record.read(member.tenant, AUDIT, start, end - start)
        read = [(row.position, event) for row in reversed(rows) if _fits(event := e.decode(row.event), wanted)]
        mentioned = {found for _, event in read if isinstance(found := getattr(event, "device", None), UUID)}
        names |= await house.catalogue.devices.names(member.tenant, mentioned - names.keys())
        for position, event in read:
            entry = _entry(position, event, names)
            text = f"{entry.actor} {entry.kind} {entry.sentence}".lower()
            if all(word in text for word in words):
                yield Logged(entry, event)
        end = start


def _fits(event: e.AnyEvent | e.Unknown, wanted: AuditFilter) -> bool:
    """Judge by what the event says of itself; its words are judged later."""
    if wanted.who is not None and event.actor.id != str(wanted.who):
        return False
    if wanted.what and not isinstance(event, GROUPS[wanted.what]):
        return False
    at = datetime.fromtimestamp(event.at / 1_000_000, UTC)
    if wanted.since is not None and at < datetime.combine(wanted.since, time(), UTC):
        return False
    return wanted.until is None or at < datetime.combine(wanted.until, time(), UTC) + timedelta(days=1)


def _entry(position: int, event: e.AnyEvent | e.Unknown, names: dict[UUID, str]) -> AuditEntry:
    return AuditEntry(
        position=position,
        at=event.at,
        actor=event.actor.name or event.actor.kind,
        kind=event.kind if isinstance(event, e.Unknown) else str(event.__struct_config__.tag),
        sentence=_sentence(event, names),
        session=found if isinstance(found := getattr(event, "session", None), UUID) else None,
    )


async def page(house: House, member: Member, wanted: AuditFilter, before: int | None, limit: int = PAGE) -> AuditPage | Refused:
    """Return a page of the audit log, newest first; `before` is the position where the last page ended."""
    if (refused := refuse_unless(member, May.SEE_AUDIT)) is not None:
        return refused
    found: list[AuditEntry] = []
    async for logged in entries(house, member, wanted, before):
        if len(found) == limit:
            break
        found.append(logged.entry)
    else:
        return await _page(house, member, wanted, found, None)
    return await _page(house, member, wanted, found, found[-1].position)


async def _page(house: House, member: Member, wanted: AuditFilter, found: list[AuditEntry], after: int | None) -> AuditPage:
    people = await house.catalogue.members.list(member.tenant)
    members = tuple(Choice(id=row.id, name=row.name) for row in people)
    return AuditPage(filter=wanted, entries=tuple(found), next=after, members=members)


async def proof(house: House, member: Member) -> Proof | Refused:
    """Check the whole audit log now."""
    if (refused := refuse_unless(member, May.SEE_AUDIT)) is not None:
        return refused
    verdict = await verify_audit(house.record, member.tenant)
    sentence = verdict.sentence if verdict.ok else "The audit log does not hold."
    return Proof(ok=verdict.ok, sentence=sentence, proved=verdict.proved, broken=verdict.broken)


async def keys(house: House, member: Member) -> KeysPage | Refused:
    """Return the public key and the newest checkpoint."""
    if (refused := refuse_unless(member, May.SEE_SESSIONS)) is not None:
        return refused
    note = await house.record.checkpoint(member.tenant)
    size = notes.parse(note.partition("\n\n")[0] + "\n").size
    witnesses = house.witnesses.view(member, size) if member.may(May.SEE_AUDIT) else None
    return KeysPage(vkey=house.record.vkey(member.tenant), checkpoint=note, size=size, witnesses=witnesses)


def _sentence(event: e.AnyEvent | e.Unknown, names: dict[UUID, str]) -> str:
    def device(identity: UUID) -> str:
        return names.get(identity, "a device that was removed")

    match event:
        case e.TenantCreated():
            return f"The company {event.name} began"
        case e.TenantSuspended():
            return f"Suspended the company: {event.reason}"
        case e.TenantResumed():
            return "Ended the company’s suspension"
        case e.ClientCreated():
            return f"Made the client {event.name}"
        case e.ClientRenamed():
            return f"Renamed the client {event.before} to {event.name}"
        case e.MemberCreated():
            return f"Added {event.name} ({event.email}) as {event.role}" + _for(event.clients, names) + _by(event.by_plugin)
        case e.MemberChanged():
            by = f"; {event.by_plugin} says so" if event.by_plugin else ""
            role = f"{event.role} (before: {event.role_before})" if event.role != event.role_before else event.role
            return f"{names.get(event.member, 'A member')} is {role} now" + _for(event.clients, names) + by
        case e.MemberDeactivated():
            by = f"; {event.by_plugin} says so" if event.by_plugin else ""
            return f"Deactivated {names.get(event.member, 'a member')}: what kept them signed in ended{by}"
        case e.MemberReactivated():
            return f"Let {names.get(event.member, 'a member')} in again"
        case e.SignInLinkCreated():
            return f"Made a sign-in link for {names.get(event.member, 'a member')}"
        case e.ApiTokenCreated():
            whose = "a service" if event.service else names.get(event.member, "a member")
            scopes = f" with {', '.join(event.scopes)}" if event.scopes else ""
            return f"Made the API token “{event.label}” for {whose}{scopes}"
        case e.ApiTokenRevoked():
            return f"Revoked the API token “{event.label}”"
        case e.SignedIn():
            return f"Signed in by {event.way} from {event.address}"
        case e.SignInFailed():
            return f"A sign-in by {event.way} failed from {event.address}"
        case e.SignedOut():
            if event.by_plugin:
                return f"Signed {names.get(event.member, 'a member')} out; {event.by_plugin} says so"
            return "Signed out"
        case e.MemberLinked():
            return f"{names.get(event.member, 'A member')} can sign in by {event.way} too"
        case e.PasswordSet():
            return "Set a new password"
        case e.FactorAdded():
            return f"Signs in with the {_FACTORS.get(event.factor, event.factor)} “{event.title}” from now on"
        case e.FactorRemoved():
            return f"No longer signs in with the {_FACTORS.get(event.factor, event.factor)} “{event.title}”"
        case e.RecoveryCodesMade():
            return "Made new recovery codes"
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
        case e.AuditExported():
            return f"Exported the audit log ({event.form})"
        case e.ContentErased():
            return f"Erased the contents of a session: {event.reason}"
        case e.RetentionSet():
            whose = names.get(event.client, "a client") if event.client is not None else "all other clients"
            days = "as for all others" if event.days is None else f"for {event.days} days" if event.days else "for ever"
            return f"Contents of {whose} are kept {days}"
        case e.SessionExported():
            return f"Exported a session, {event.events} events" + ("" if event.everything else ", with lines withheld")
        case e.TranscriptCreated():
            return f"Began a transcript of a session, {event.lines} lines"
        case e.TranscriptChanged():
            return f"Withheld {event.withheld} lines of a transcript" + _as_a_whole(event.hidden)
        case e.TranscriptPublished():
            behind = ", behind a passcode" if event.passcode else ""
            return f"Published a transcript: {event.lines} lines, {event.withheld} withheld{_as_a_whole(event.hidden)}{behind}"
        case e.ShareOpened():
            what = {"page": "a share", "bundle": "the bundle of a share"}.get(event.what, f"the {event.what} of a share")
            return f"Opened {what} from {event.address}"
        case e.SharePasscodeRefused():
            return f"A wrong passcode for a share from {event.address}"
        case e.ShareRefreshed():
            return "Made a new link for a share; the old one stopped"
        case e.ShareRevoked():
            return "Revoked a share" if event.reason == "revoked" else "A share ended: what it showed was erased"
        case e.PluginEnabled():
            return f"Enabled the plugin {event.plugin}"
        case e.PluginDisabled():
            return f"Disabled the plugin {event.plugin}"
        case e.PluginChanged():
            what = f" ({', '.join(event.settings)})" if event.settings else ""
            private = "; it may reach private addresses" if event.allow_private else ""
            return f"Changed the plugin {event.plugin}{what}{private}" + ("" if event.proven else "; untried")
        case e.PluginDefaultSet():
            return f"Made {event.plugin} the first plugin for {event.of}"
        case e.KeysRotated():
            return f"Sealed {event.secrets} secrets under a new key" + (", and took a new master key" if event.master else "")
        case e.WitnessRefused():
            said = {"signature": "is not signed by its key", "shorter": "is shorter than what it saw"}
            why = said.get(event.reason, "does not continue what it saw")
            return f"{device(event.device)} refused this server’s record: it {why} (checkpoint {event.remembered})"
        case e.WitnessSatisfied():
            return f"{device(event.device)} takes this server’s record again, at checkpoint {event.size}"
    return "An event that this version does not know"


def _for(clients: tuple[UUID, ...] | None, names: dict[UUID, str]) -> str:
    if clients is None:
        return ""
    return f", for {', '.join(sorted(names.get(client, 'a client') for client in clients)) or 'no client yet'}"


def _by(plugin: str) -> str:
    return f"; {plugin} says so" if plugin else ""


def _as_a_whole(hidden: int) -> str:
    return f", {hidden} events as a whole" if hidden else ""
