"""Doors of signing in and out by link and form; the form's page is in pages/sign_in.py."""

from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template
from litestar.status_codes import HTTP_200_OK, HTTP_303_SEE_OTHER

from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import Member
from caisey_core.http.problems import RefusedError
from caisey_core.http.who import address_of, browser_of, browsers_of, memberships, session_cookie
from caisey_core.services import sign_in, tenancy
from caisey_core.services.house import House
from caisey_core.services.members import WORKERS
from caisey_core.services.views import SignedIn


def home_of(member: Member) -> str:
    """Return the page where this member's work begins."""
    return f"/t/{member.tenant_slug}/" + ("queue" if member.role in WORKERS else "")


def welcome(house: House, signed: SignedIn, to: str = "") -> Redirect:
    """Send a person who just signed in where they wanted to go."""
    path = to if to.startswith(f"/t/{signed.member.tenant_slug}/") else home_of(signed.member)
    return Redirect(
        path, status_code=HTTP_303_SEE_OTHER, cookies=[session_cookie(house.config, signed.member.tenant_slug, signed.token)]
    )


@get("/sign-in/{token:str}", include_in_schema=False)
async def link(request: Request[Any, Any, Any], token: FromPath[str], house: NamedDependency[House]) -> Redirect | Template:
    """Open a sign-in link. A reusable one (demonstration) signs in at once; a one-time one asks for a click, so that a mail
    scanner that follows links does not use it up."""
    if house.config.demonstration:
        return await _use(request, token, house)
    return Template("sign_in_link.html", context={"token": token})


@post("/sign-in/{token:str}", include_in_schema=False)
async def use_link(request: Request[Any, Any, Any], token: FromPath[str], house: NamedDependency[House]) -> Redirect:
    """Use a sign-in link."""
    return await _use(request, token, house)


async def _use(request: Request[Any, Any, Any], token: str, house: House) -> Redirect:
    outcome = await sign_in.by_link(house, token, address_of(request), browsers_of(house.config, request))
    if isinstance(outcome, Refused):
        raise RefusedError(outcome)
    # whoever came by a one-time link needs a way back in
    return welcome(house, outcome, "" if house.config.demonstration else f"/t/{outcome.member.tenant_slug}/account")


@post("/sign-out")
async def sign_out(
    request: Request[Any, Any, Any], member: NamedDependency[Member], house: NamedDependency[House]
) -> Redirect | Template:
    """Sign this browser out, and lead it to the provider that signed it in.

    A page leads there and not a redirect: browsers apply our policy for forms, ourselves only, to redirects as well (CSP 3, 6.4.2).
    """
    provider = await sign_in.sign_out(house, member, browser_of(house.config, request))
    gone = [session_cookie(house.config, member.tenant_slug, "")]
    if provider:
        context = {"tenant_name": member.tenant_name, "provider": provider}
        return Template("signed_out.html", context=context, cookies=gone, status_code=HTTP_200_OK)
    return Redirect(f"/t/{member.tenant_slug}/sign-in", status_code=HTTP_303_SEE_OTHER, cookies=gone)


@get("/", include_in_schema=False)
async def root(request: Request[Any, Any, Any], house: NamedDependency[House]) -> Redirect | Template:
    """Send people where they belong: home, or to the sign-in page; where several companies are possible, let them choose."""
    mine = await memberships(house, request)
    all_companies = await tenancy.choices(house)
    if len(mine) == 1 and "choose" not in request.query_params:
        return Redirect(home_of(mine[0]), status_code=HTTP_303_SEE_OTHER)
    if not mine and len(all_companies) == 1:
        return Redirect(f"/t/{all_companies[0].slug}/sign-in", status_code=HTTP_303_SEE_OTHER)
    named = all_companies if house.config.name_companies else []
    there = {member.tenant_slug for member in mine}
    others = [company for company in named if company.slug not in there]
    return Template("companies.html", context={"mine": [(one, home_of(one)) for one in mine], "others": others, "wrong": ""})


@get("/company", include_in_schema=False)
async def company(house: NamedDependency[House], name: FromQuery[str] = "") -> Redirect | Template:
    """Send a person who typed their company's address to its sign-in page."""
    slug = name.strip().strip("/").rpartition("/")[2].lower()
    if await house.catalogue.tenants.by_slug(slug) is not None:
        return Redirect(f"/t/{slug}/sign-in", status_code=HTTP_303_SEE_OTHER)
    return Template("companies.html", context={"mine": [], "others": [], "wrong": name[:100]}, status_code=404)


handlers = [link, use_link, root, company]
