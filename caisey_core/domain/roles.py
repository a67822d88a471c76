"""Who may do what. Permissions are checked in services, never in a page alone."""

from enum import StrEnum
from typing import Final
from uuid import UUID

from msgspec import Struct

from caisey_core.domain.events import Actor
from caisey_core.domain.refused import Refused


class Role(StrEnum):
    """A member's role in a tenant."""

    ADMIN = "admin"
    DISPATCHER = "dispatcher"
    TECHNICIAN = "technician"
    SENIOR = "senior technician"
    AUDITOR = "auditor"


class May(StrEnum):
    """What a member may be allowed to do, as it reads in a refusal: "You may not …"."""

    SEE_DEVICES = "see devices"
    SEE_SESSIONS = "see sessions"
    REVIEW = "review sessions"
    ASSIGN = "assign devices"
    NUDGE = "nudge end users"
    WORK = "work in sessions"
    WORK_IN_OTHERS = "work in other technicians' sessions"
    CANCEL = "cancel other members' requests"
    SHARE = "share transcripts"
    ENROL = "enrol devices and make installers"
    CHANGE_DEVICES = "rename, move or remove devices"
    CHANGE_CLIENTS = "change clients"
    CHANGE_MEMBERS = "change members"
    SEE_PLUGINS = "see plugins"
    CHANGE_PLUGINS = "enable and change plugins"
    SEE_AUDIT = "read the audit log"
    CHANGE_TOKENS = "make service tokens or revoke other members' tokens"
    ERASE = "erase contents or set how long they are kept"


_LOOK: Final = frozenset({May.SEE_DEVICES, May.SEE_SESSIONS})
_DISPATCH: Final = _LOOK | {May.REVIEW, May.ASSIGN, May.NUDGE, May.CANCEL, May.SHARE}
PERMISSIONS: Final[dict[Role, frozenset[May]]] = {
    Role.ADMIN: frozenset(May) - {May.WORK, May.WORK_IN_OTHERS},
    Role.DISPATCHER: _DISPATCH,
    Role.TECHNICIAN: _LOOK | {May.REVIEW, May.WORK, May.NUDGE},
    Role.SENIOR: _LOOK | {May.REVIEW, May.WORK, May.WORK_IN_OTHERS, May.NUDGE, May.ASSIGN, May.SHARE},
    Role.AUDITOR: _LOOK | {May.REVIEW, May.SEE_AUDIT, May.SEE_PLUGINS},
}


# What concerns the whole company: whoever serves some of its clients only may not, whatever their role.
WHOLE_COMPANY: Final = frozenset(
    {May.CHANGE_CLIENTS, May.CHANGE_MEMBERS, May.CHANGE_TOKENS, May.SEE_PLUGINS, May.CHANGE_PLUGINS, May.SEE_AUDIT}
)


class Member(Struct, frozen=True, kw_only=True):
    """A person with an account in a tenant, or a service with a token of its own, as services see them.

    A service has no role: it may do what its token grants. Its `role` is the one that changes nothing.
    """

    id: UUID
    tenant: UUID
    tenant_slug: str
    tenant_name: str
    name: str
    email: str
    role: Role
    clients: frozenset[UUID] | None = None  # None: all clients; empty: none
    proved_at: int | None = None  # when this browser's person proved who they are, UTC microseconds; None: not by a browser
    granted: frozenset[May] | None = None  # what the API token allows; None: all that the role does
    service: bool = False

    @property
    def actor(self) -> Actor:
        """This member as the actor of an event."""
        return Actor("service" if self.service else "member", str(self.id), self.name)

    def may(self, what: May) -> bool:
        """Say whether the role allows it, and the API token, if one was used, for the clients that the member serves."""
        if self.granted is not None and what not in self.granted:
            return False
        return (self.service or what in PERMISSIONS[self.role]) and (self.clients is None or what not in WHOLE_COMPANY)

    def serves(self, client: UUID) -> bool:
        """Say whether this client is within the member's reach."""
        return self.clients is None or client in self.clients


def refuse_unless(member: Member, what: May) -> Refused | None:
    """Return the refusal for a member whose role does not allow it."""
    if member.may(what):
        return None
    if member.granted is not None and what not in member.granted:
        return Refused(f"This API token may not {what}.", "Use a token whose scopes allow it.", 403)
    if what in WHOLE_COMPANY and member.clients is not None and (member.service or what in PERMISSIONS[member.role]):
        return Refused(
            f"You may not {what}: you serve some clients only, and this concerns the whole company.",
            "Ask an admin of your company to do it.",
            403,
        )
    return Refused(
        f"You may not {what} as {member.role}.", "Ask an admin of your company to do it or to change your role.", 403
    )
