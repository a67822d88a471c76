"""What handlers of the API ask for: the house, who asks, and the bodies that several of them take."""

from uuid import UUID

from litestar.di import NamedDependency
from msgspec import Struct

from caisey_core.domain.roles import Member
from caisey_core.services.house import House

House_ = NamedDependency[House]
Member_ = NamedDependency[Member]


class Ask(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the person at the device will read."""

    reason: str
    scopes: tuple[str, ...] = ("run",)
    duration_minutes: int = 60


class Because(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: str = ""


class Handover(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    technician: UUID
    reason: str = ""


class Name(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What something is to be called."""

    name: str
