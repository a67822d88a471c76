"""What an API token may be good for. A token never does more than its owner's role allows; a scope only takes away."""

from collections.abc import Collection
from enum import StrEnum
from typing import Final

from caisey_core.domain.roles import May


class Scope(StrEnum):
    """A part of the permissions, as it is chosen for a token."""

    READ = "read"
    DISPATCH = "dispatch"
    WORK = "work"
    SHARE = "share"
    ENROL = "enrol"
    MANAGE = "manage"
    AUDIT = "audit"
    ADMIN = "admin"


_NAMED: Final[dict[Scope, frozenset[May]]] = {
    Scope.READ: frozenset({May.SEE_DEVICES, May.SEE_SESSIONS, May.REVIEW}),
    Scope.DISPATCH: frozenset({May.ASSIGN, May.NUDGE, May.CANCEL}),
    Scope.WORK: frozenset({May.WORK, May.WORK_IN_OTHERS}),
    Scope.SHARE: frozenset({May.SHARE}),
    Scope.ENROL: frozenset({May.ENROL}),
    Scope.MANAGE: frozenset({May.CHANGE_DEVICES, May.CHANGE_CLIENTS}),
    Scope.AUDIT: frozenset({May.SEE_AUDIT, May.SEE_PLUGINS}),
}
# A permission that no other scope names is dangerous until somebody decides otherwise: it needs the scope admin.
GRANTS: Final[dict[Scope, frozenset[May]]] = {
    **_NAMED,
    Scope.ADMIN: frozenset(May) - frozenset().union(*_NAMED.values()),
}
DANGEROUS: Final = frozenset({Scope.ENROL, Scope.ADMIN})  # what a browser is asked to sign in again for
BY_CLIENT: Final = frozenset({Scope.READ, Scope.DISPATCH, Scope.WORK, Scope.SHARE})  # all else reaches over all clients
FOR_SERVICES: Final = frozenset(Scope) - {Scope.WORK}  # the person at a device agrees to a person, not to a program


def granted(scopes: Collection[Scope]) -> frozenset[May]:
    """Return what these scopes allow together."""
    return frozenset().union(*(GRANTS[scope] for scope in scopes))


def scope_of(what: May) -> Scope:
    """Return the scope that a token needs for this."""
    return next(scope for scope, may in GRANTS.items() if what in may)
