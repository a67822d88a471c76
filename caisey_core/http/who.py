"""Who asks: a browser's cookie for pages, a bearer token for the API; and whose tenant the address names."""

from itertools import islice
from typing import Any, Final
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie

from caisey_core.config import Config
from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import Member
from caisey_core.http.problems import RefusedError, given
from caisey_core.services import api_tokens, bearers, sign_in
from caisey_core.services.api_tokens import Caller
from caisey_core.services.house import House
from caisey_core.services.outcomes import NOT_FOUND
from caisey_core.services.redirects import ATTEMPT_SECONDS
from caisey_core.services.tokens import PREFIX

NO_TOKEN = Refused("The API token is missing or not valid.", "Send it as “Authorization: Bearer …”.", 401)
MOST_MEMBERSHIPS: Final = 20  # companies that one browser switches between
RECHECK_SECONDS = 15.0  # how long a stream or socket may outlive its sign-in
Connection = ASGIConnection[Any, Any, Any, Any]


def cookie_name(config: Config, tenant: str) -> str:
    """Return the name of the session cookie for a tenant; over TLS it is bound to this host (RFC 6265bis, __Host- prefix).

    Each tenant has its own, so that a browser can be signed in to several and none of them shares a session with another.
    The point keeps a tenant's name from making another cookie's.
    """
    return ("__Host-caisey." if config.secure else "caisey.") + tenant


def csrf_cookie_name(config: Config) -> str:
    """Return the name of the cookie that forms are compared with; over TLS no other host can set it."""
    return "__Host-caisey-csrf" if config.secure else "caisey-csrf"


def browser_of(config: Config, connection: Connection) -> str:
    """Return the token in this browser's session cookie for the tenant in the address, or an empty text."""
    return connection.cookies.get(cookie_name(config, connection.path_params.get("tenant", "")), "")


def browsers_of(config: Config, connection: Connection) -> dict[str, str]:
    """Return the tokens in all of this browser's session cookies, by tenant."""
    prefix = cookie_name(config, "")
    found = ((name.removeprefix(prefix), token) for name, token in connection.cookies.items() if name.startswith(prefix))
    return dict(islice(found, MOST_MEMBERSHIPS))


async def memberships(house: House, connection: Connection) -> list[Member]:
    """Return as whom this browser is signed in, by company: where a person can go without signing in again."""
    found = []
    for slug, token in browsers_of(house.config, connection).items():
        member = await sign_in.by_cookie(house, token)
        if member is not None and member.tenant_slug == slug:
            found.append(member)
    return sorted(found, key=lambda member: (member.tenant_name.lower(), member.tenant_slug))


def session_cookie(config: Config, tenant: str, token: str) -> Cookie:
    """Return the cookie that keeps a browser signed in to a tenant; an empty token takes it away."""
    return Cookie(
        key=cookie_name(config, tenant),
        value=token,
        path="/",
        httponly=True,
        secure=config.secure,
        samesite="lax",
        max_age=0 if not token else config.sign_in_hours * 3600,
    )


def attempt_cookie_name(config: Config) -> str:
    """Return the name of the cookie by which a browser is known when it comes back from a provider."""
    return "__Host-caisey-attempt" if config.secure else "caisey-attempt"


def attempt_cookie(config: Config, token: str) -> Cookie:
    """Return that cookie. It is not strict: the browser comes back from another site."""
    return Cookie(
        key=attempt_cookie_name(config),
        value=token,
        path="/",
        httponly=True,
        secure=config.secure,
        samesite="lax",
        max_age=ATTEMPT_SECONDS,
    )


def address_of(connection: Connection) -> str:
    """Return the client's address as uvicorn knows it (behind a trusted proxy: the forwarded one)."""
    return connection.client.host if connection.client is not None else ""


async def signed_in(house: House, connection: Connection) -> Member | None:
    """Return whose browser this is at the tenant in the address."""
    token = browser_of(house.config, connection)
    member = await sign_in.by_cookie(house, token) if token else None
    return member if member is not None and member.tenant_slug == connection.path_params.get("tenant", "") else None


async def member_of_page(house: House, connection: Connection) -> Member:
    """Return the signed-in member of the tenant in the address.

    Raises the refusal otherwise. Who is signed in to another tenant is a stranger here, and gets what strangers get.
    """
    member = await signed_in(house, connection)
    if member is None:
        if await house.catalogue.tenants.by_slug(connection.path_params.get("tenant", "")) is None:
            raise RefusedError(NOT_FOUND)
        raise RefusedError(sign_in.SIGN_IN_FIRST)
    return member


async def caller_of(house: House, connection: Connection) -> Caller:
    """Return whose bearer token came with a request to the API: our own first, then an identity plugin's. Cookies do not count."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    slug, token = connection.path_params.get("tenant", ""), token.strip()
    if scheme.lower() != "bearer" or not token:
        raise RefusedError(NO_TOKEN)
    if token.startswith(PREFIX):
        caller = given(await api_tokens.by_token(house, token, address_of(connection)))
    else:
        caller = given(await bearers.by_plugin(house, slug, token))
    if caller is None:
        raise RefusedError(NO_TOKEN)
    if caller.member.tenant_slug != slug:
        raise RefusedError(NOT_FOUND)
    return caller


async def member_of_api(house: House, connection: Connection) -> Member:
    """Return the member whose bearer token came with a request."""
    return (await caller_of(house, connection)).member


async def still(house: House, connection: Connection, member: Member) -> bool:
    """Say whether a stream or socket that stays open still belongs to this member, signed in and with the same rights."""
    find = member_of_api if "authorization" in connection.headers else member_of_page
    try:
        return await find(house, connection) == member
    except RefusedError:
        return False


def same_origin(house: House, connection: Connection) -> bool:
    """Say whether a browser's socket or stream comes from our own pages: browsers send cookies with foreign ones as well."""
    origin = connection.headers.get("origin")
    if origin is None:
        return False
    try:
        place = urlsplit(origin).netloc
    except ValueError:  # no browser sends an Origin that is no address
        return False
    return place == connection.headers.get("host") or origin == house.config.url
