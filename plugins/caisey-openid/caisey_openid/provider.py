"""A provider's description of itself (OpenID Connect Discovery 1.0) and how its answers are read."""

from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from caisey_hookspecs import Clock, Http, HttpAnswer, Rejected, Unavailable
from caisey_openid.claims import Claims, no_duplicates

LARGEST_ANSWER: Final = 1 << 20  # bytes
PATIENCE_SECONDS: Final = 5.0  # sign-in has 10 s for up to two requests that it cannot do without
KEPT: Final = timedelta(hours=1)
PAUSE: Final = timedelta(seconds=10)  # after a failure: a page that is loaded again does not knock again


class Metadata(Struct, frozen=True, kw_only=True):
    """What we use of it; other members are passed over."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    end_session_endpoint: str = ""
    id_token_signing_alg_values_supported: tuple[str, ...] = ()
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    code_challenge_methods_supported: tuple[str, ...] = ()
    authorization_response_iss_parameter_supported: bool = False


def read_json(answer: HttpAnswer, what: str) -> Claims:
    """Return an answer's JSON object. Raises Unavailable for a proxy's page, an empty or an oversized answer."""
    if answer.status != 200:
        raise Unavailable(f"The provider answers {answer.status} when asked for {what}.")
    return parse_json(answer.body, what)


def parse_json(body: bytes, what: str) -> Claims:
    """Return a body's JSON object. Raises Unavailable."""
    if len(body) > LARGEST_ANSWER:
        raise Unavailable(f"The provider’s answer to {what} is larger than 1 MiB.")
    try:
        return no_duplicates(body)
    except ValueError:
        raise Unavailable(f"The provider’s answer to {what} is no JSON object.") from None


class Provider:
    """One issuer. Keeps its description for an hour, and the last good one for as long as a new one cannot be had."""

    def __init__(self, http: Http, clock: Clock, issuer: str, well_known: tuple[str, ...] = ("openid-configuration",)) -> None:
        """`well_known` are the names under `/.well-known/` to try, in order."""
        self._http, self._clock, self._issuer, self._well_known = http, clock, issuer, well_known
        self._found: Metadata | None = None
        self._until: datetime | None = None
        self._trouble: Unavailable | Rejected | None = None

    async def metadata(self) -> Metadata:
        """Return the description. Raises Unavailable if there is none yet, Rejected if it is somebody else's."""
        now = self._clock.now()
        if self._until is not None and now < self._until:
            if self._found is not None:
                return self._found
            assert self._trouble is not None
            raise self._trouble
        try:
            self._found, self._until = await self._fetch(), now + KEPT
        except (Unavailable, Rejected) as error:
            self._trouble, self._until = error, now + PAUSE
            if self._found is None:
                raise
        return self._found

    async def _fetch(self) -> Metadata:
        base = self._issuer.removesuffix("/")
        answer: HttpAnswer | None = None
        for name in self._well_known:
            answer = await self._http.request(
                "GET",
                f"{base}/.well-known/{name}",
                headers={"accept": "application/json"},
                timeout_seconds=PATIENCE_SECONDS,
            )
            if answer.status != 404:
                break
        assert answer is not None
        if answer.status == 404:
            raise Rejected(f"There is no OpenID provider at {self._issuer}. Correct the issuer.")
        told = read_json(answer, "its description")
        try:
            found = msgspec.convert(_without_null(told), Metadata)
        except msgspec.ValidationError as error:
            raise Rejected(f"The provider’s description is not one of OpenID Connect ({error}).") from error
        if found.issuer != self._issuer:
            raise Rejected(f"The provider calls itself {found.issuer}, not {self._issuer}. Enter the issuer exactly so.")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "end_session_endpoint"):
            self._check(name, getattr(found, name))
        return found

    def _check(self, name: str, address: str) -> None:
        """Raise Rejected for an address that is not as safe as the issuer's."""
        if not address and name in ("userinfo_endpoint", "end_session_endpoint"):
            return
        try:
            parts = urlsplit(address)
        except ValueError:
            parts = urlsplit("")
        safe = parts.scheme == "https" or (parts.scheme == "http" and self._issuer.startswith("http://"))
        if not safe or not parts.hostname or parts.username is not None or parts.fragment:
            raise Rejected(f"The provider’s description has no usable {name}.")


def _without_null(told: Claims) -> dict[str, Any]:
    """Some write null where the standard says to leave a member out."""
    return {name: value for name, value in told.items() if value is not None}
