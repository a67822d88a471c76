"""The few calls of Clerk's Backend API: who a user is, and what they are in an organization.

Source: https://clerk.com/docs/reference/backend-api
"""

import re
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from caisey_clerk.settings import Settings, backend_of
from caisey_hookspecs import Http, Rejected, Unavailable

PATIENCE_SECONDS: Final = 5.0
MOST: Final = 500  # memberships in one answer
PAGES: Final = 20
T = TypeVar("T")
_USER: Final = re.compile(r"user_[A-Za-z0-9]{1,100}")


class Verification(Struct, frozen=True):
    status: str = ""


class EmailAddress(Struct, frozen=True):
    id: str
    email_address: str
    verification: Verification | None = None


class User(Struct, frozen=True):
    """A person; what is not here is not used."""

    id: str
    first_name: str | None = None
    last_name: str | None = None
    primary_email_address_id: str | None = None
    email_addresses: tuple[EmailAddress, ...] = ()
    banned: bool = False
    locked: bool = False

    @property
    def name(self) -> str:
        """Return both names."""
        return " ".join(part for part in (self.first_name, self.last_name) if part)

    @property
    def email(self) -> str:
        """Return the first address, if it was verified."""
        for one in self.email_addresses:
            if (
                one.id == self.primary_email_address_id
                and one.verification is not None
                and one.verification.status == "verified"
            ):
                return one.email_address
        return ""


class Organization(Struct, frozen=True):
    id: str
    name: str = ""


class Membership(Struct, frozen=True):
    """A person in an organization; `role` has no prefix."""

    id: str
    role: str
    organization: Organization

    @property
    def key(self) -> str:
        """Return the role without its prefix."""
        return self.role.removeprefix("org:")


class _Memberships(Struct, frozen=True):
    data: tuple[Membership, ...]
    total_count: int


class Backend:
    """Calls with the tenant's secret key."""

    def __init__(self, http: Http, settings: Settings) -> None:
        self._http, self._settings = http, settings

    async def user(self, user: str) -> User | None:
        """Return a person, or None where there is none."""
        if _USER.fullmatch(user) is None:
            return None
        return await self._get(f"/users/{user}", User)

    async def membership(self, user: str) -> Membership | None:
        """Return what a person is in the tenant's organization, or None."""
        if _USER.fullmatch(user) is None:
            return None
        for page in range(PAGES):
            path = f"/users/{user}/organization_memberships?limit={MOST}&offset={page * MOST}"
            found = await self._get(path, _Memberships)
            if found is None:
                return None
            for one in found.data:
                if one.organization.id == self._settings.organization:
                    return one
            if (page + 1) * MOST >= found.total_count or not found.data:
                return None
        return None

    async def organization(self) -> Organization | None:
        """Return the tenant's organization, or None if the key does not know it."""
        return await self._get(f"/organizations/{quote(self._settings.organization, safe='')}", Organization)

    async def _get(self, path: str, kind: type[T]) -> T | None:
        answer = await self._http.request(
            "GET",
            f"{backend_of(self._settings)}{path}",
            headers={
                "authorization": f"Bearer {self._settings.secret_key.reveal()}",
                "accept": "application/json",
                "clerk-api-version": self._settings.api_version,
            },
            timeout_seconds=PATIENCE_SECONDS,
        )
        if answer.status == 404:
            return None
        if answer.status in (401, 403):
            raise Rejected("Clerk does not take the secret key. An admin has to correct it.")
        if answer.status == 429:
            raise Unavailable("Clerk limits how often it is asked.", _seconds(answer.headers.get("retry-after")))
        if answer.status != 200:
            raise Unavailable(f"Clerk answers {answer.status}.")
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except msgspec.MsgspecError:
            raise Unavailable("Clerk’s answer cannot be read.") from None


def _seconds(told: Any) -> float | None:
    try:
        return float(told)
    except (TypeError, ValueError):
        return None
