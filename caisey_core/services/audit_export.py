"""The audit log as a file: JSON lines in the shape of OCSF 1.3.0 (https://schema.ocsf.io/1.3.0), or CSV.

Classes: Authentication (3002), Account Change (3001), Entity Management (3004); `unmapped` has what OCSF has no place for.
"""

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final, Literal
from uuid import UUID

import msgspec
from msgspec import Struct

from caisey_core import __version__
from caisey_core.domain import events as e
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import May, Member, refuse_unless
from caisey_core.services.audit import Logged, entries
from caisey_core.services.house import House
from caisey_core.services.journal import STAMPED
from caisey_core.services.views import AuditFilter

Form = Literal["ocsf", "csv"]
AUTHENTICATION, ACCOUNT_CHANGE, ENTITY_MANAGEMENT = 3002, 3001, 3004
_CLASSES: Final = {
    AUTHENTICATION: "Authentication",
    ACCOUNT_CHANGE: "Account Change",
    ENTITY_MANAGEMENT: "Entity Management",
}


class Means(Struct, frozen=True):
    """What an event is in OCSF: its class and activity; for Entity Management the type and the field that names the entity."""

    of: int
    activity: int
    name: str
    entity: str = ""
    field: str = ""


MEANS: Final[dict[type[e.Event], Means]] = {
    e.SignedIn: Means(AUTHENTICATION, 1, "Logon"),
    e.SignInFailed: Means(AUTHENTICATION, 1, "Logon"),
    e.SignedOut: Means(AUTHENTICATION, 2, "Logoff"),
    e.MemberLinked: Means(ACCOUNT_CHANGE, 99, "Way to sign in connected"),
    e.MemberCreated: Means(ACCOUNT_CHANGE, 1, "Create"),
    e.MemberChanged: Means(ACCOUNT_CHANGE, 99, "Role or clients changed"),
    e.MemberDeactivated: Means(ACCOUNT_CHANGE, 5, "Disable"),
    e.MemberReactivated: Means(ACCOUNT_CHANGE, 2, "Enable"),
    e.PasswordSet: Means(ACCOUNT_CHANGE, 3, "Password Change"),
    e.FactorAdded: Means(ACCOUNT_CHANGE, 10, "MFA Factor Enable"),
    e.FactorRemoved: Means(ACCOUNT_CHANGE, 11, "MFA Factor Disable"),
    e.RecoveryCodesMade: Means(ACCOUNT_CHANGE, 99, "Recovery codes created"),
    e.SignInLinkCreated: Means(ACCOUNT_CHANGE, 99, "Sign-in link created"),
    e.ApiTokenCreated: Means(ACCOUNT_CHANGE, 99, "API token created"),
    e.ApiTokenRevoked: Means(ACCOUNT_CHANGE, 99, "API token revoked"),
    e.TenantCreated: Means(ENTITY_MANAGEMENT, 1, "Create", "tenant", "tenant"),
    e.TenantSuspended: Means(ENTITY_MANAGEMENT, 9, "Disable", "tenant"),
    e.TenantResumed: Means(ENTITY_MANAGEMENT, 8, "Enable", "tenant"),
    e.ClientCreated: Means(ENTITY_MANAGEMENT, 1, "Create", "client", "client"),
    e.ClientRenamed: Means(ENTITY_MANAGEMENT, 5, "Move", "client", "client"),
    e.InstallerCreated: Means(ENTITY_MANAGEMENT, 1, "Create", "installer", "installer"),
    e.InstallerRotated: Means(ENTITY_MANAGEMENT, 3, "Update", "installer", "installer"),
    e.InstallerRevoked: Means(ENTITY_MANAGEMENT, 9, "Disable", "installer", "installer"),
    e.DeviceEnrolled: Means(ENTITY_MANAGEMENT, 6, "Enroll", "device", "device"),
    e.DeviceRenamed: Means(ENTITY_MANAGEMENT, 5, "Move", "device", "device"),
    e.DeviceMoved: Means(ENTITY_MANAGEMENT, 5, "Move", "device", "device"),
    e.DeviceRemoved: Means(ENTITY_MANAGEMENT, 7, "Unenroll", "device", "device"),
    e.DeviceAssigned: Means(ENTITY_MANAGEMENT, 1, "Create", "assignment", "assignment"),
    e.AssignmentMoved: Means(ENTITY_MANAGEMENT, 3, "Update", "assignment", "assignment"),
    e.AssignmentClosed: Means(ENTITY_MANAGEMENT, 11, "Deactivate", "assignment", "assignment"),
    e.SessionOpened: Means(ENTITY_MANAGEMENT, 1, "Create", "session", "session"),
    e.ReviewOpened: Means(ENTITY_MANAGEMENT, 2, "Read", "session", "session"),
    e.SessionExported: Means(ENTITY_MANAGEMENT, 2, "Read", "session", "session"),
    e.AuditExported: Means(ENTITY_MANAGEMENT, 2, "Read", "audit log"),
    e.ContentErased: Means(ENTITY_MANAGEMENT, 4, "Delete", "session content", "session"),
    e.RetentionSet: Means(ENTITY_MANAGEMENT, 3, "Update", "retention", "client"),
    e.WitnessRefused: Means(ENTITY_MANAGEMENT, 99, "Record refused by a device", "device", "device"),
    e.WitnessSatisfied: Means(ENTITY_MANAGEMENT, 99, "Record taken by a device again", "device", "device"),
    e.TranscriptCreated: Means(ENTITY_MANAGEMENT, 1, "Create", "transcript", "transcript"),
    e.TranscriptChanged: Means(ENTITY_MANAGEMENT, 3, "Update", "transcript", "transcript"),
    e.TranscriptPublished: Means(ENTITY_MANAGEMENT, 8, "Enable", "share", "share"),
    e.ShareOpened: Means(ENTITY_MANAGEMENT, 2, "Read", "share", "share"),
    e.SharePasscodeRefused: Means(ENTITY_MANAGEMENT, 2, "Read", "share", "share"),
    e.ShareRefreshed: Means(ENTITY_MANAGEMENT, 3, "Update", "share", "share"),
    e.ShareRevoked: Means(ENTITY_MANAGEMENT, 9, "Disable", "share", "share"),
    e.PluginEnabled: Means(ENTITY_MANAGEMENT, 8, "Enable", "plugin", "plugin"),
    e.PluginDisabled: Means(ENTITY_MANAGEMENT, 9, "Disable", "plugin", "plugin"),
    e.PluginChanged: Means(ENTITY_MANAGEMENT, 3, "Update", "plugin", "plugin"),
    e.PluginDefaultSet: Means(ENTITY_MANAGEMENT, 3, "Update", "plugin", "plugin"),
    e.KeysRotated: Means(ENTITY_MANAGEMENT, 3, "Update", "keys"),
}
UNKNOWN: Final = Means(ENTITY_MANAGEMENT, 99, "Unknown to this version", "event")


class _User(Struct, frozen=True, omit_defaults=True):
    name: str
    uid: str = ""
    type_id: int = 1  # 1 User, 3 System


class _Actor(Struct, frozen=True):
    user: _User


class _Product(Struct, frozen=True):
    name: str
    vendor_name: str
    version: str


class _Metadata(Struct, frozen=True):
    version: str
    product: _Product
    uid: str
    sequence: int
    log_name: str
    tenant_uid: str


class _Entity(Struct, frozen=True, omit_defaults=True):
    type: str
    uid: str = ""
    name: str = ""


class _Service(Struct, frozen=True):
    name: str


class _Endpoint(Struct, frozen=True):
    ip: str


class OcsfEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line. `time` is in milliseconds since 1970; `type_uid` is class and activity in one number."""

    activity_id: int
    activity_name: str
    category_uid: int
    category_name: str
    class_uid: int
    class_name: str
    type_uid: int
    time: int
    severity_id: int
    status_id: int
    message: str
    metadata: _Metadata
    actor: _Actor
    user: _User | None = None
    entity: _Entity | None = None
    service: _Service | None = None
    src_endpoint: _Endpoint | None = None
    unmapped: dict[str, str]


def ocsf(tenant: UUID, logged: Logged) -> OcsfEvent:
    """Return an entry in the shape of OCSF."""
    entry, event = logged.entry, logged.event
    means = MEANS.get(type(event), UNKNOWN)  # type: ignore[arg-type]  # an unknown event has no class of its own
    failed = isinstance(event, e.SignInFailed | e.SharePasscodeRefused)
    actor = _User(entry.actor, event.actor.id, 1 if event.actor.kind in ("member", "operator", "stranger") else 3)
    user = entity = None
    if means.of == ENTITY_MANAGEMENT:
        entity = _Entity(
            means.entity, str(getattr(event, means.field, "")) if means.field else "", str(getattr(event, "name", ""))
        )
    else:
        about = str(getattr(event, "member", event.actor.id))
        user = actor if about == event.actor.id else _User(str(getattr(event, "name", "")) or about, about)
    address = str(getattr(event, "address", ""))
    return OcsfEvent(
        activity_id=means.activity,
        activity_name=means.name,
        category_uid=3,
        category_name="Identity & Access Management",
        class_uid=means.of,
        class_name=_CLASSES[means.of],
        type_uid=means.of * 100 + means.activity,
        time=entry.at // 1000,
        severity_id=4 if isinstance(event, e.WitnessRefused) else 3 if failed else 1,  # high, medium, informational
        status_id=2 if failed else 1,
        message=entry.sentence,
        metadata=_Metadata(
            version="1.3.0",
            product=_Product("Caisey", "Caisey", __version__),
            uid=f"{tenant}/audit#{entry.position}",
            sequence=entry.position,
            log_name="audit",
            tenant_uid=str(tenant),
        ),
        actor=_Actor(actor),
        user=user,
        entity=entity,
        service=_Service("Caisey") if means.of == AUTHENTICATION else None,
        src_endpoint=_Endpoint(address) if address else None,
        unmapped={"kind": entry.kind},
    )


def _harmless(value: object) -> str:
    """Return a cell that no spreadsheet takes for a formula (OWASP, CSV injection)."""
    text = str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _row(*cells: object) -> str:
    line = io.StringIO()
    csv.writer(line).writerow([_harmless(cell) for cell in cells])
    return line.getvalue()


async def export(house: House, member: Member, wanted: AuditFilter, form: Form) -> AsyncIterator[str] | Refused:
    """Return the entries that fit, newest first, as lines of text. That they leave is an entry of its own, written first."""
    if (refused := refuse_unless(member, May.SEE_AUDIT)) is not None:
        return refused
    if (
        refused := await house.journal.audit(member.tenant, e.AuditExported(actor=member.actor, at=STAMPED, form=form))
    ) is not None:
        return refused
    return _ocsf_lines(house, member, wanted) if form == "ocsf" else _csv_lines(house, member, wanted)


async def _ocsf_lines(house: House, member: Member, wanted: AuditFilter) -> AsyncIterator[str]:
    async for logged in entries(house, member, wanted):
        yield msgspec.json.encode(ocsf(member.tenant, logged)).decode() + "\n"


async def _csv_lines(house: House, member: Member, wanted: AuditFilter) -> AsyncIterator[str]:
    yield _row("number", "time", "who", "kind", "what", "session")
    async for logged in entries(house, member, wanted):
        entry = logged.entry
        at = datetime.fromtimestamp(entry.at / 1_000_000, UTC).isoformat(timespec="milliseconds")
        yield _row(entry.position, at, entry.actor, entry.kind, entry.sentence, entry.session or "")
