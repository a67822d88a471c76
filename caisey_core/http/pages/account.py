"""The member's own account: the password, and what is asked for besides it."""

from typing import Any

import segno
from litestar import Response, get, post
from litestar.di import NamedDependency
from markupsafe import Markup
from msgspec import Struct

from caisey_core.domain.refused import Refused
from caisey_core.domain.roles import Member
from caisey_core.http.forms import form
from caisey_core.http.rendering import AnyRequest, page
from caisey_core.http.who import browser_of
from caisey_core.services import account
from caisey_core.services.house import House
from caisey_hookspecs import FactorAnswer, FactorKind, FactorSetup


class NewPassword(Struct, frozen=True, kw_only=True):
    """What was typed."""

    current: str = ""
    password: str = ""
    again: str = ""


class NewFactor(Struct, frozen=True, kw_only=True):
    """What is to be added."""

    kind: FactorKind
    current: str = ""


class Answered(Struct, frozen=True, kw_only=True):
    """What came of a setup; `secret`, `uri` and `passkey` come back so that a wrong code can be typed again."""

    kind: FactorKind
    state: str
    answer: str = ""
    title: str = ""
    secret: str = ""
    uri: str = ""


class OldFactor(Struct, frozen=True, kw_only=True):
    """What is to be removed."""

    factor: str
    current: str = ""


class Current(Struct, frozen=True, kw_only=True):
    """The password, to be sure who asks."""

    current: str = ""


async def _shown(
    house: House,
    request: AnyRequest,
    member: Member,
    refused: Refused | None = None,
    *,
    about: str = "password",
    done: str = "",
    codes: tuple[str, ...] = (),
) -> Response[bytes]:
    view = await account.page(house, member, browser_of(house.config, request))
    return await page(
        house,
        request,
        member,
        "account/account.html",
        nav="account",
        status=refused.status if refused else 200,
        view=view,
        refused=refused,
        about=about,
        done=done,
        codes=codes,
    )


async def _setup(
    house: House, request: AnyRequest, member: Member, setup: FactorSetup, refused: Refused | None = None, title: str = ""
) -> Response[bytes]:
    picture = segno.make(setup.uri, micro=False).svg_inline(scale=5, border=3) if setup.uri else ""
    return await page(
        house,
        request,
        member,
        "account/factor.html",
        nav="account",
        status=refused.status if refused else 200,
        setup=setup,
        picture=Markup(picture),  # noqa: S704 - made by the library from numbers
        title=title,
        refused=refused,
    )


@get("/account")
async def show(request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]) -> Response[bytes]:
    """Show the account."""
    return await _shown(house, request, member)


@post("/account/password", status_code=200)
async def set_password(request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]) -> Response[Any]:
    """Set the password; a refusal shows the form again, without what was typed: passwords never travel back."""
    typed = await form(request, NewPassword)
    browser = browser_of(house.config, request)
    refused = await account.set_password(house, member, browser, typed.current, typed.password, typed.again)
    return await _shown(house, request, member, refused, done="" if refused else "password")


@post("/account/factors/new", status_code=200)
async def new_factor(request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]) -> Response[Any]:
    """Begin to add an authenticator app or a passkey."""
    typed = await form(request, NewFactor)
    setup = await account.new_factor(house, member, browser_of(house.config, request), typed.kind, typed.current)
    if isinstance(setup, Refused):
        return await _shown(house, request, member, setup, about=typed.kind)
    return await _setup(house, request, member, setup)


@post("/account/factors", status_code=200)
async def add_factor(request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]) -> Response[Any]:
    """Judge the code of the new app, or what the browser made; the first one brings recovery codes."""
    typed = await form(request, Answered)
    answer = FactorAnswer(kind=typed.kind, state=typed.state, answer=typed.answer, title=typed.title)
    added = await account.add_factor(house, member, answer)
    if isinstance(added, Refused) and typed.kind == "authenticator" and typed.uri.startswith("otpauth://"):
        again = FactorSetup(kind=typed.kind, state=typed.state, secret=typed.secret, uri=typed.uri)
        return await _setup(house, request, member, again, added, typed.title)
    if isinstance(added, Refused):
        return await _shown(house, request, member, added, about=typed.kind)
    return await _shown(house, request, member, done="factor", codes=added.recovery_codes)


@post("/account/factors/remove", status_code=200)
async def remove_factor(request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]) -> Response[Any]:
    """Remove one."""
    typed = await form(request, OldFactor)
    refused = await account.remove_factor(house, member, browser_of(house.config, request), typed.factor, typed.current)
    return await _shown(house, request, member, refused, about=typed.factor, done="" if refused else "removed")


@post("/account/recovery-codes", status_code=200)
async def new_codes(request: AnyRequest, house: NamedDependency[House], member: NamedDependency[Member]) -> Response[Any]:
    """Make new recovery codes and show them once."""
    typed = await form(request, Current)
    codes = await account.new_recovery_codes(house, member, browser_of(house.config, request), typed.current)
    if isinstance(codes, Refused):
        return await _shown(house, request, member, codes, about="codes")
    return await _shown(house, request, member, done="codes", codes=codes)


handlers = [show, set_password, new_factor, add_factor, remove_factor, new_codes]
