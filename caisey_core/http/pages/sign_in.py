"""The sign-in page of a tenant: its ways to sign in, nothing else."""

from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect
from litestar.status_codes import HTTP_303_SEE_OTHER

from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import Member
from caisey_core.http.pages.answers import given
from caisey_core.http.rendering import AnyRequest, html, render
from caisey_core.http.sign_in import welcome
from caisey_core.http.who import address_of, attempt_cookie, attempt_cookie_name, browser_of, signed_in
from caisey_core.services import redirects, sign_in
from caisey_core.services.house import House
from caisey_core.services.views import SignedIn, SignInPage
from caisey_hookspecs import IncomingRequest


def _shown(
    request: AnyRequest, view: SignInPage, going: str, refused: Refused | None = None, plugin: str = ""
) -> Response[bytes]:
    text = render(request, "sign_in.html", view=view, going=going, refused=refused, plugin=plugin)
    headers = {"retry-after": str(round(refused.retry_after_seconds))} if refused and refused.retry_after_seconds else None
    return html(request, text, refused.status if refused else 200, headers)


def _again(view: SignInPage, member: Member) -> SignInPage:
    """Fill in who signs in again, where a way asks for an address."""
    ways = []
    for way in view.ways:
        form = way.form
        if form is not None:
            replace = msgspec.structs.replace
            fields = (replace(one, value=member.email) if one.kind == "email" and not one.value else one for one in form.fields)
            form = replace(form, fields=tuple(fields))
        ways.append(msgspec.structs.replace(way, form=form))
    return msgspec.structs.replace(view, ways=tuple(ways), again=member.name)


@get("/t/{tenant:str}/sign-in", include_in_schema=False)
async def show(
    request: AnyRequest, tenant: FromPath[str], house: NamedDependency[House], to: FromQuery[str] = ""
) -> Response[bytes]:
    """Show a tenant's ways to sign in. `to` is the page that the person wanted; who is signed in finds their address filled in."""
    view = given(await sign_in.begin(house, tenant, address_of(request)))
    member = await signed_in(house, request)
    return _shown(request, view if member is None else _again(view, member), to)


@post("/t/{tenant:str}/sign-in", status_code=200, include_in_schema=False)
async def complete(request: AnyRequest, tenant: FromPath[str], house: NamedDependency[House]) -> Response[Any]:
    """Judge what was typed; a wrong try shows the form again with all but the password."""
    sent = await request.form()
    typed = tuple((name, str(value)) for name, value in sent.multi_items() if not name.startswith("_"))
    plugin, going = str(sent.get("_plugin", "")), str(sent.get("_to", ""))
    outcome = await sign_in.complete(house, tenant, plugin, typed, address_of(request), browser_of(house.config, request))
    if isinstance(outcome, SignedIn):
        return welcome(house, outcome, going)
    view = given(await sign_in.begin(house, tenant, address_of(request)))
    refused = outcome if isinstance(outcome, Refused) else None
    ways = []
    for way in view.ways:
        shown = outcome if way.plugin == plugin and not isinstance(outcome, Refused) else way.form
        if way.plugin == plugin and shown is not None:
            kept = dict(typed)
            fields = tuple(
                msgspec.structs.replace(field, value=kept.get(field.name, field.value))
                if field.kind in ("text", "email")
                else field
                for field in shown.fields
            )
            shown = msgspec.structs.replace(shown, fields=fields)
        ways.append(msgspec.structs.replace(way, form=shown))
    return _shown(request, msgspec.structs.replace(view, ways=tuple(ways)), going, refused, plugin)


@get("/t/{tenant:str}/sign-in/{plugin:str}", include_in_schema=False)
async def leave(
    request: AnyRequest,
    tenant: FromPath[str],
    plugin: FromPath[str],
    house: NamedDependency[House],
    to: FromQuery[str] = "",
    fresh: FromQuery[bool] = False,
) -> Response[Any]:
    """Send the browser to a provider. With `fresh` the person has to prove there who they are, whoever is signed in there."""
    fresh = fresh or await signed_in(house, request) is not None  # who is signed in here comes to prove it again
    before = request.cookies.get(attempt_cookie_name(house.config), "")
    away = await redirects.start(house, tenant, plugin, to, address_of(request), before, fresh=fresh)
    if isinstance(away, Refused):
        return await _refused(request, house, tenant, plugin, away, to)
    return Redirect(away.url, status_code=HTTP_303_SEE_OTHER, cookies=[attempt_cookie(house.config, away.browser)])


async def after_provider(
    request: AnyRequest, house: House, tenant: str, plugin: str, answer: IncomingRequest, refused: Refused | None
) -> Response[Any]:
    """Let in who came back from a provider, or say on the sign-in page why not."""
    outcome = refused or await redirects.finish(
        house,
        tenant,
        plugin,
        answer,
        request.cookies.get(attempt_cookie_name(house.config), ""),
        browser_of(house.config, request),
    )
    if isinstance(outcome, SignedIn):
        return welcome(house, outcome, outcome.going)
    return await _refused(request, house, tenant, plugin, outcome)


async def _refused(
    request: AnyRequest, house: House, tenant: str, plugin: str, refused: Refused, going: str = ""
) -> Response[Any]:
    """Show the ways to sign in, and beside this one why it came to nothing."""
    return _shown(request, given(await sign_in.begin(house, tenant, address_of(request))), going, refused, plugin)


handlers = [show, complete, leave]
